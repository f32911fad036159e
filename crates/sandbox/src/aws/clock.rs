//! The sandbox's clock: the one place of this crate that reads the time of day.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// The time as the sandbox tells it: the machine's, moved by an offset that tests may set.
///
/// Everything the sandbox stamps, spreads and expires follows this clock, and so does the `Date`
/// header of each of its answers.
#[derive(Debug, Default)]
pub struct SandboxClock {
    offset_micros: AtomicI64,
}

impl SandboxClock {
    /// The sandbox's present.
    pub fn now(&self) -> DateTime<Utc> {
        let offset = TimeDelta::microseconds(self.offset_micros.load(Ordering::Relaxed));
        machine_time() + offset
    }

    /// How far the sandbox's clock is ahead of the machine's.
    pub fn offset(&self) -> TimeDelta {
        TimeDelta::microseconds(self.offset_micros.load(Ordering::Relaxed))
    }

    /// Puts the sandbox's clock ahead of the machine's (behind, when negative).
    pub fn set_offset(&self, offset: TimeDelta) {
        let micros = offset.num_microseconds().unwrap_or(0);
        self.offset_micros.store(micros, Ordering::Relaxed);
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the sandbox plays another party with a clock of its own, so it takes no engine port"
)]
fn machine_time() -> DateTime<Utc> {
    DateTime::<Utc>::from(std::time::SystemTime::now())
}

/// A monotonic reading, for token buckets.
#[allow(
    clippy::disallowed_methods,
    reason = "a token bucket fills with real time, whatever the sandbox's clock says"
)]
pub(crate) fn monotonic() -> std::time::Instant {
    std::time::Instant::now()
}
