//! The worker's clock as a steady one for rate limits: a clock that is set back must not stop them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::ports::Clock;

/// Time passed since it was made. Never goes back.
#[derive(Clone)]
pub(crate) struct Steady {
    clock: Arc<dyn Clock>,
    last: Arc<Mutex<(DateTime<Utc>, Duration)>>,
}

impl Steady {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let start = clock.now();
        Self { clock, last: Arc::new(Mutex::new((start, Duration::ZERO))) }
    }

    /// Time passed.
    pub(crate) fn elapsed(&self) -> Duration {
        let now = self.clock.now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let step = (now - last.0).max(TimeDelta::zero()).to_std().unwrap_or_default();
        *last = (now, last.1 + step);
        last.1
    }
}

impl governor::clock::Clock for Steady {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.elapsed()
    }
}
