//! Virtual time: tokio's paused clock, ours with an offset that may jump, the provider's without.

use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use severance_engine::ports::Clock;
use tokio::time::Instant;

pub struct SimClock {
    start: Instant,
    offset: AtomicI64,
}

/// Where every run begins.
pub fn epoch() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

impl SimClock {
    #[allow(clippy::disallowed_methods, reason = "this is the simulation's clock module")]
    pub fn new() -> Self {
        Self { start: Instant::now(), offset: AtomicI64::new(0) }
    }

    /// True time, which is also the provider's.
    #[allow(clippy::disallowed_methods, reason = "this is the simulation's clock module")]
    pub fn provider(&self) -> DateTime<Utc> {
        epoch() + TimeDelta::from_std(Instant::now() - self.start).unwrap()
    }

    /// Sets the worker's clock forward or back.
    pub fn jump(&self, by: TimeDelta) {
        self.offset.fetch_add(by.num_milliseconds(), SeqCst);
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> DateTime<Utc> {
        self.provider() + TimeDelta::milliseconds(self.offset.load(SeqCst))
    }

    async fn sleep(&self, duration: TimeDelta) {
        tokio::time::sleep(duration.to_std().unwrap_or_default()).await;
    }
}

/// Sleeps in virtual time.
pub async fn pause(ms: i64) {
    tokio::time::sleep(std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(0))).await;
}
