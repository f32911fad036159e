//! The machine's clock: one of the two places where the command reads real time.

use std::time::SystemTime;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use severance_engine::ports::Clock;

/// Real time, and real sleeping.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock that everything else takes")]
    fn now(&self) -> DateTime<Utc> {
        SystemTime::now().into()
    }

    async fn sleep(&self, duration: TimeDelta) {
        // A negative duration is no duration: nothing to wait for.
        if let Ok(duration) = duration.to_std() {
            tokio::time::sleep(duration).await;
        }
    }
}
