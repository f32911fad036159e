//! Delays between tries. The one module that knows the `backoff` crate.
//!
//! That crate is no longer maintained (RUSTSEC-2025-0012) and draws its jitter from ambient
//! randomness; so its own jitter is switched off and ours comes from the [`Entropy`] port.

use std::time::Duration;

use ::backoff::backoff::Backoff as _;
use ::backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use chrono::TimeDelta;

use crate::ports::Entropy;

/// How delays grow: from `first`, doubling, up to `most`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// After the first failure.
    pub first: TimeDelta,
    /// Never more than this.
    pub most: TimeDelta,
}

/// More doublings than this change nothing: the limit is reached long before.
const MAX_DOUBLINGS: u32 = 40;

impl Growth {
    /// A growth in milliseconds.
    pub const fn millis(first: i64, most: i64) -> Self {
        Self { first: TimeDelta::milliseconds(first), most: TimeDelta::milliseconds(most) }
    }

    /// The delay after `failures` failures in a row (one or more), with up to a quarter taken off by
    /// chance, so that tasks which failed together do not come back together.
    pub fn delay(&self, failures: u32, entropy: &dyn Entropy) -> TimeDelta {
        let mut backoff = self.exponential();
        let mut delay = backoff.current_interval;
        for _ in 0..failures.clamp(1, MAX_DOUBLINGS) {
            delay = backoff.next_backoff().unwrap_or(backoff.max_interval);
        }
        let whole = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        let quarter = u64::try_from(whole / 4).unwrap_or(0);
        let off = entropy.next_u64() % (quarter + 1);
        TimeDelta::milliseconds(whole - i64::try_from(off).unwrap_or(0))
    }

    fn exponential(&self) -> ExponentialBackoff {
        let duration = |delta: TimeDelta| delta.to_std().unwrap_or(Duration::ZERO);
        ExponentialBackoffBuilder::new()
            .with_initial_interval(duration(self.first))
            .with_max_interval(duration(self.most))
            .with_multiplier(2.0)
            .with_randomization_factor(0.0)
            .with_max_elapsed_time(None)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u64);
    impl Entropy for Fixed {
        fn next_u64(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn delays_double_up_to_the_limit() {
        let growth = Growth::millis(1_000, 8_000);
        let delays: Vec<_> =
            (0..7).map(|n| growth.delay(n, &Fixed(0)).num_milliseconds()).collect();
        assert_eq!(delays, [1_000, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
        assert_eq!(growth.delay(u32::MAX, &Fixed(0)), TimeDelta::seconds(8));
    }

    #[test]
    fn chance_takes_off_at_most_a_quarter() {
        let growth = Growth::millis(1_000, 8_000);
        assert_eq!(growth.delay(1, &Fixed(250)).num_milliseconds(), 750);
        assert_eq!(growth.delay(1, &Fixed(251)).num_milliseconds(), 1_000);
    }
}
