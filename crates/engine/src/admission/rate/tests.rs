//! A rate in virtual time, alone and against a provider that limits calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::*;

/// Tokio's paused clock as the worker's.
pub(in crate::admission) struct Virtual(Instant);

#[allow(clippy::disallowed_methods, reason = "virtual time")]
fn virtual_now() -> Instant {
    Instant::now()
}

impl Virtual {
    pub(in crate::admission) fn clock() -> Arc<dyn Clock> {
        Arc::new(Self(virtual_now()))
    }
}

#[async_trait]
impl Clock for Virtual {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::from_std(virtual_now() - self.0).unwrap()
    }

    async fn sleep(&self, duration: TimeDelta) {
        tokio::time::sleep(duration.to_std().unwrap_or_default()).await;
    }
}

fn gate(clock: &Arc<dyn Clock>, per_second: u32, burst: u32, reserved: f64) -> Arc<RateGate> {
    let steady = Steady::new(Arc::clone(clock));
    Arc::new(RateGate::new(Rate { per_second, burst }, reserved, steady))
}

/// How many calls of a lane are let through within `time`, asked for without end.
async fn through(gate: &RateGate, lane: Lane, clock: &Arc<dyn Clock>, time: Duration) -> u32 {
    let mut calls = 0;
    let all = async {
        loop {
            gate.take(lane, clock.as_ref()).await;
            calls += 1;
        }
    };
    let _: Result<(), _> = tokio::time::timeout(time, all).await;
    calls
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_than_the_burst_pass_at_once() {
    let clock = Virtual::clock();
    let gate = gate(&clock, 10, 5, 0.0);
    let at_once = through(&gate, Lane::Compromise, &clock, Duration::from_millis(50)).await;
    assert_eq!(at_once, 5);
    let second = through(&gate, Lane::Compromise, &clock, Duration::from_secs(1)).await;
    assert!((9..=11).contains(&second), "{second} calls in a second of ten");
}

#[tokio::test(start_paused = true)]
async fn lower_lanes_leave_the_reserved_share_of_rate_and_burst() {
    let clock = Virtual::clock();
    let gate = gate(&clock, 100, 40, 0.25);
    let lower = through(&gate, Lane::Rest, &clock, Duration::from_millis(1)).await;
    assert_eq!(lower, 30, "three quarters of the burst");
    let urgent = through(&gate, Lane::Compromise, &clock, Duration::from_millis(1)).await;
    assert!(urgent >= 10, "a quarter of the burst was kept, {urgent} passed");
    let lower = through(&gate, Lane::Rest, &clock, Duration::from_secs(10)).await;
    assert!((735..=760).contains(&lower), "three quarters of the rate, {lower} passed");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_costs_more_than_the_burst_passes_all_the_same() {
    let clock = Virtual::clock();
    let gate = gate(&clock, 100, 1, 0.5);
    for _ in 0..4 {
        gate.throttled();
        tokio::time::sleep(SETTLING).await;
    }
    assert!(gate.rate() < 60.0);
    let passed = through(&gate, Lane::Rest, &clock, Duration::from_secs(20)).await;
    assert!(passed > 10, "{passed} passed");
}

#[tokio::test(start_paused = true)]
async fn one_throttle_by_itself_is_forgotten_in_seconds() {
    let clock = Virtual::clock();
    let gate = gate(&clock, 2_000, 100, 0.25);
    gate.throttled();
    assert!(gate.rate() < 100.0, "nothing is known but that it was too much");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(gate.rate() >= 2_000.0, "{} after two seconds without another", gate.rate());
}

/// A provider that allows so many calls a second and so many at once, and refuses the rest.
struct Bucket {
    limit: f64,
    burst: f64,
    state: Mutex<(f64, Instant)>,
    accepted: AtomicU64,
    refused: AtomicU64,
}

impl Bucket {
    fn call(&self) -> bool {
        let now = virtual_now();
        let mut state = self.state.lock().unwrap();
        let (tokens, at) = *state;
        let tokens = (tokens + (now - at).as_secs_f64() * self.limit).min(self.burst);
        let accepted = tokens >= 1.0;
        *state = (if accepted { tokens - 1.0 } else { tokens }, now);
        let count = if accepted { &self.accepted } else { &self.refused };
        count.fetch_add(1, SeqCst);
        accepted
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_limit_is_used_to_95_percent_with_at_most_5_percent_refused() {
    for (limit, burst, seconds) in [(100.0, 100.0, 120), (100.0, 20.0, 20), (900.0, 50.0, 60)] {
        let (used, refused) = search(limit, burst, seconds).await;
        let words = format!("{limit}/s: used {used:.3} of the limit, {refused:.3} refused");
        assert!(used >= 0.95 && refused <= 0.05, "{words}");
    }
}

/// Calls without end for so many seconds. Answers the share of the limit that was used, and the share of
/// calls that were refused.
async fn search(limit: f64, burst: f64, seconds: u32) -> (f64, f64) {
    let clock = Virtual::clock();
    let gate = gate(&clock, 2_000, 100, 0.25);
    let provider = Arc::new(Bucket {
        limit,
        burst,
        state: Mutex::new((burst, virtual_now())),
        accepted: AtomicU64::new(0),
        refused: AtomicU64::new(0),
    });
    let callers = (0..64).map(|_| {
        let (gate, provider, clock) =
            (Arc::clone(&gate), Arc::clone(&provider), Arc::clone(&clock));
        tokio::spawn(async move {
            loop {
                gate.take(Lane::Compromise, clock.as_ref()).await;
                tokio::time::sleep(Duration::from_millis(15)).await;
                let accepted = provider.call();
                tokio::time::sleep(Duration::from_millis(15)).await;
                if !accepted {
                    gate.throttled();
                }
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    tokio::time::sleep(Duration::from_secs(seconds.into())).await;
    callers.iter().for_each(tokio::task::JoinHandle::abort);
    let count = |n: &AtomicU64| f64::from(u32::try_from(n.load(SeqCst)).unwrap());
    let (accepted, refused) = (count(&provider.accepted), count(&provider.refused));
    let admitted = burst + limit * f64::from(seconds);
    (accepted / admitted, refused / (accepted + refused))
}

#[tokio::test(start_paused = true)]
async fn a_backlog_of_rotations_takes_no_rate_from_contract_ends() {
    let clock = Virtual::clock();
    let gate = gate(&clock, 100, 1, 0.0);
    let second = Duration::from_secs(1);
    // Two at a time, so that one of them always waits.
    let (one, two, rest) = tokio::join!(
        through(&gate, Lane::ContractEnd, &clock, second),
        through(&gate, Lane::ContractEnd, &clock, second),
        through(&gate, Lane::Rest, &clock, second),
    );
    assert!(one + two >= 95, "{one} and {two} contract ends, {rest} others");
    let rest = through(&gate, Lane::Rest, &clock, second).await;
    assert!(rest >= 95, "{rest} once no contract end waits");
}
