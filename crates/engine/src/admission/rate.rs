//! A rate, an account's or an API's in it: configured at most, lowered where the provider throttles, and found again.
//!
//! The limits of IAM are not published, so the limit is searched for. The first throttle takes the rate
//! far down, since nothing is known yet but that it was too high, and from there it doubles until the
//! next one: a search from below costs a second of time, one from above hundreds of refused calls.
//! The ceiling is the rate at which it last throttled. A throttle far from it halves the rate; one
//! near it takes off a few percent. Without throttles the rate closes in on the ceiling and then creeps
//! past it, so that it stays within a few percent of a limit; the longer none comes, the faster, so that
//! a limit that was raised, or was never there, is found out within a quarter of a minute.

#[cfg(test)]
pub(super) mod tests;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use severance_lifecycle::task::Lane;
use tokio::sync::Notify;

use super::Rate;
use crate::ports::Clock;
use crate::steady::Steady;

/// A limiter, and the most that it gives at once.
struct Limiter {
    rate: RateLimiter<NotKeyed, InMemoryState, Steady, NoOpMiddleware<Duration>>,
    burst: NonZeroU32,
}

/// A call costs this many units at the configured rate, and more where the rate is lowered: that is
/// how one limiter, whose quota is fixed, serves a rate that changes. A call that costs more than the
/// burst holds is spent in portions.
const UNITS: u32 = 64;
/// Calls are never fewer than the configured rate divided by this.
const MOST_LOWERED: f64 = 1_000.0;
/// What is left of the rate after the first throttle.
const FIRST: f64 = 1.0 / 32.0;
/// But not less than this a second: so much AWS takes of everybody.
const SAFE: f64 = 10.0;
/// Near a limit, throttles come closer together than this.
const CALM: Duration = Duration::from_secs(8);
/// Throttles of one moment are one answer, not many.
const SETTLING: Duration = Duration::from_millis(200);

/// The gate of one rate.
pub(super) struct RateGate {
    all: Limiter,
    lower: Limiter,
    steady: Steady,
    adapted: Mutex<Adapted>,
    /// Calls that wait for this rate, by lane: less urgent ones take nothing meanwhile.
    waiting: [AtomicUsize; Lane::ALL.len()],
    served: Notify,
    /// One caller of each lane polls the limiter; the others wait behind it in order.
    turnstiles: [tokio::sync::Mutex<()>; Lane::ALL.len()],
}

/// What is known of the provider's own limit.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    /// It never throttled, or not for long.
    Unknown,
    /// It throttled once: the limit is below the rate of then, and searched for.
    Searched,
    /// The rate at which it last throttled.
    Ceiling(f64),
}

#[derive(Clone, Copy, Debug)]
struct Adapted {
    most: f64,
    rate: f64,
    limit: Limit,
    lowered_at: Duration,
    raised_at: Duration,
}

impl RateGate {
    pub(super) fn new(rate: Rate, reserved: f64, steady: Steady) -> Self {
        let lower_share = 1.0 - reserved.clamp(0.0, 0.9);
        let most = f64::from(rate.per_second.max(1));
        let now = steady.elapsed();
        Self {
            all: limiter(rate, 1.0, &steady),
            lower: limiter(rate, lower_share, &steady),
            adapted: Mutex::new(Adapted {
                most,
                rate: most,
                limit: Limit::Unknown,
                lowered_at: now,
                raised_at: now,
            }),
            steady,
            waiting: Default::default(),
            served: Notify::new(),
            turnstiles: Default::default(),
        }
    }

    /// Waits until the rate allows a call.
    pub(super) async fn take(&self, lane: Lane, clock: &dyn Clock) {
        let _waiting = Waiting::new(self, lane);
        let _turn = self.turnstiles[usize::from(lane.rank())].lock().await;
        if lane != Lane::Compromise {
            self.spend(&self.lower, lane, clock).await;
        }
        self.spend(&self.all, lane, clock).await;
    }

    async fn spend(&self, limiter: &Limiter, lane: Lane, clock: &dyn Clock) {
        let mut left = self.cost();
        while let Some(portion) = NonZeroU32::new(left.min(limiter.burst.get())) {
            self.no_more_urgent_waits(lane).await;
            match limiter.rate.check_n(portion) {
                // An error says that the portion is over the burst, which it never is.
                Ok(Ok(())) | Err(_) => left -= portion.get(),
                Ok(Err(not_until)) => {
                    let wait = not_until.wait_time_from(self.steady.elapsed());
                    let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::seconds(1));
                    clock.sleep(wait.max(TimeDelta::milliseconds(1))).await;
                }
            }
        }
    }

    async fn no_more_urgent_waits(&self, lane: Lane) {
        let before = &self.waiting[..usize::from(lane.rank())];
        loop {
            let served = self.served.notified();
            tokio::pin!(served);
            served.as_mut().enable();
            if before.iter().all(|waiting| waiting.load(SeqCst) == 0) {
                return;
            }
            served.await;
        }
    }

    fn cost(&self) -> u32 {
        let adapted = self.recovered();
        let cost = (f64::from(UNITS) * adapted.most / adapted.rate).ceil();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between UNITS and UNITS * MOST_LOWERED"
        )]
        let cost = cost as u32;
        cost
    }

    /// The rate in force now.
    pub(super) fn rate(&self) -> f64 {
        self.recovered().rate
    }

    fn recovered(&self) -> Adapted {
        let now = self.steady.elapsed();
        let mut adapted = self.adapted.lock().unwrap_or_else(PoisonError::into_inner);
        adapted.recover(now);
        *adapted
    }

    /// The provider throttled a call.
    pub(super) fn throttled(&self) {
        let now = self.steady.elapsed();
        let mut adapted = self.adapted.lock().unwrap_or_else(PoisonError::into_inner);
        adapted.lower(now);
    }
}

impl Adapted {
    fn lower(&mut self, now: Duration) {
        let known = self.limit != Limit::Unknown;
        if known && now.saturating_sub(self.lowered_at) < SETTLING {
            return;
        }
        let factor = match self.limit {
            Limit::Unknown => FIRST.max(SAFE / self.rate).min(1.0),
            Limit::Ceiling(ceiling) if self.rate > 0.9 * ceiling => 0.96,
            Limit::Ceiling(ceiling) if self.rate > 0.5 * ceiling => 0.8,
            Limit::Ceiling(_) | Limit::Searched => 0.5,
        };
        self.limit = if known { Limit::Ceiling(self.rate) } else { Limit::Searched };
        self.rate = (self.rate * factor).max(self.most / MOST_LOWERED);
        self.lowered_at = now;
        self.raised_at = now;
    }

    /// A quarter of a second at a time: doubled while the limit is searched for; then a tenth of the way
    /// to the ceiling, and a creep.
    fn recover(&mut self, now: Duration) {
        const EVERY: Duration = Duration::from_millis(250);
        while now.saturating_sub(self.raised_at) >= EVERY && self.rate < self.most {
            self.raised_at += EVERY;
            let more = match self.limit {
                Limit::Unknown | Limit::Searched => self.rate,
                Limit::Ceiling(ceiling) => {
                    (ceiling - self.rate).max(0.0) * 0.1 + self.rate * self.creep()
                }
            };
            self.rate = (self.rate + more).min(self.most);
        }
        let calm = now.saturating_sub(self.lowered_at);
        if self.rate >= self.most && calm > CALM {
            self.limit = Limit::Unknown;
        }
    }

    /// The share of the rate that a step adds beyond the ceiling: doubled every second of calm.
    fn creep(&self) -> f64 {
        let calm = self.raised_at.saturating_sub(self.lowered_at).saturating_sub(CALM);
        (0.002 * calm.as_secs_f64().exp2()).min(0.25)
    }
}

/// A share of a rate, of its burst too: what is reserved of either is out of the others' reach.
fn limiter(rate: Rate, share: f64, steady: &Steady) -> Limiter {
    let units = |calls: u32, share: f64| {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to what a u32 holds"
        )]
        let units = (f64::from(calls.max(1)) * f64::from(UNITS) * share)
            .clamp(1.0, f64::from(u32::MAX)) as u32;
        NonZeroU32::new(units).unwrap_or(NonZeroU32::MIN)
    };
    let burst = units(rate.burst, share);
    let quota = Quota::per_second(units(rate.per_second, share)).allow_burst(burst);
    Limiter { rate: RateLimiter::direct_with_clock(quota, steady.clone()), burst }
}

/// Counts a call that waits.
struct Waiting<'a> {
    gate: &'a RateGate,
    lane: usize,
}

impl<'a> Waiting<'a> {
    fn new(gate: &'a RateGate, lane: Lane) -> Self {
        let lane = usize::from(lane.rank());
        gate.waiting[lane].fetch_add(1, SeqCst);
        Self { gate, lane }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.gate.waiting[self.lane].fetch_sub(1, SeqCst) == 1 {
            self.gate.served.notify_waiters();
        }
    }
}
