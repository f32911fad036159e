//! Durations as people write them: `15m`, `2h 30m`, `500ms`.

use std::fmt;
use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Deserializer, de::Error as _};

/// A duration, bounded to ten years so that arithmetic on moments cannot overflow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(Duration);

const LONGEST: Duration = Duration::from_hours(24 * 3_650);

impl Span {
    /// So many seconds.
    pub(crate) const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// As the domain counts it.
    pub(crate) fn delta(self) -> TimeDelta {
        // Bounded when it was read, far below what a TimeDelta holds.
        TimeDelta::from_std(self.0).unwrap_or(TimeDelta::MAX)
    }

    /// As the standard library counts it.
    pub(crate) fn std(self) -> Duration {
        self.0
    }

    /// Nothing at all.
    pub(crate) fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let duration = humantime::parse_duration(&text)
            .map_err(|error| D::Error::custom(format!("{text:?} is not a duration: {error}")))?;
        if duration > LONGEST {
            return Err(D::Error::custom(format!("{text:?} is longer than ten years")));
        }
        Ok(Self(duration))
    }
}
