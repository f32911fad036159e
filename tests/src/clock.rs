//! The one place of this package that reads the time of day.

use chrono::{DateTime, Utc};

/// The machine's time: the sandbox's log and the events are stamped by the same clock.
#[allow(
    clippy::disallowed_methods,
    reason = "tests stand outside the worker and see it in real time"
)]
pub fn now() -> DateTime<Utc> {
    DateTime::<Utc>::from(std::time::SystemTime::now())
}

/// A monotonic reading, for deadlines.
#[allow(clippy::disallowed_methods, reason = "bounds a wait for a condition in real time")]
pub fn monotonic() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
