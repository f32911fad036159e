//! Slots for calls in flight, a share of them for compromise work only.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Slots. Tokio's semaphore is fair: first come, first served.
pub(super) struct Slots {
    all: Arc<Semaphore>,
    unreserved: Arc<Semaphore>,
}

/// A slot in use.
pub(super) struct Slot {
    _all: Option<OwnedSemaphorePermit>,
    _unreserved: Option<OwnedSemaphorePermit>,
}

impl Slots {
    pub(super) fn new(concurrency: usize, reserved: f64) -> Self {
        let concurrency = concurrency.max(1);
        Self {
            all: Arc::new(Semaphore::new(concurrency)),
            unreserved: Arc::new(Semaphore::new(unreserved(concurrency, reserved))),
        }
    }

    /// For compromise work: any slot.
    pub(super) async fn take_any(&self) -> Slot {
        Slot { _all: take(&self.all).await, _unreserved: None }
    }

    /// For lower lanes: never one of the reserved.
    pub(super) async fn take_unreserved(&self) -> Slot {
        let unreserved = take(&self.unreserved).await;
        Slot { _all: take(&self.all).await, _unreserved: unreserved }
    }
}

/// `None` only for a closed semaphore, and these are never closed.
async fn take(semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(semaphore).acquire_owned().await.ok()
}

/// How many of `all` lower lanes may use: at least one, or they would never run, and at most all but
/// one where there is more than one.
pub(crate) fn unreserved(all: usize, reserved: f64) -> usize {
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of slots, far below 2^52 and not negative"
    )]
    let kept = (all as f64 * reserved.clamp(0.0, 1.0)).ceil() as usize;
    all.saturating_sub(kept).max(1)
}
