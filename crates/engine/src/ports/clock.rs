//! Time and randomness, as ports: virtual time and seeds are what make recovery testable.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

/// The worker's clock.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> DateTime<Utc>;

    /// Returns after `duration`; at once where it is not positive.
    async fn sleep(&self, duration: TimeDelta);
}

/// Randomness for lease tokens and jitter. Not for secrets.
pub trait Entropy: Send + Sync + 'static {
    /// The next 64 random bits.
    fn next_u64(&self) -> u64;
}
