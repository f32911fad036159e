//! The real clock: these tests talk to a real client, which knows no other.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use severance_engine::ports::Clock;

pub(crate) struct RealClock;

#[async_trait]
impl Clock for RealClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> DateTime<Utc> {
        std::time::SystemTime::now().into()
    }

    async fn sleep(&self, duration: TimeDelta) {
        tokio::time::sleep(duration.to_std().unwrap_or_default()).await;
    }
}
