//! Slots for calls in flight, a share of them for compromise work only. Of compromise work, calls on the
//! way to a blow come before calls that prove one which has landed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Slots. Tokio's semaphore is fair: first come, first served.
pub(super) struct Slots {
    all: Arc<Semaphore>,
    unreserved: Arc<Semaphore>,
    /// Calls on the way to a blow that wait for a slot.
    blows: AtomicUsize,
    no_blows: Notify,
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
            blows: AtomicUsize::new(0),
            no_blows: Notify::new(),
        }
    }

    /// For compromise work on the way to a blow: any slot.
    pub(super) async fn take_for_blow(&self) -> Slot {
        let _waiting = Waiting::new(self);
        Slot { _all: take(&self.all).await, _unreserved: None }
    }

    /// For compromise work whose blows have landed: any slot that no blow waits for.
    pub(super) async fn take_for_proof(&self) -> Slot {
        loop {
            self.no_blow_waits().await;
            let slot = Slot { _all: take(&self.all).await, _unreserved: None };
            // One may have come while this waited for its slot.
            if self.blows.load(SeqCst) == 0 {
                return slot;
            }
        }
    }

    async fn no_blow_waits(&self) {
        loop {
            let changed = self.no_blows.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.blows.load(SeqCst) == 0 {
                return;
            }
            changed.await;
        }
    }

    /// For lower lanes: never one of the reserved.
    pub(super) async fn take_unreserved(&self) -> Slot {
        let unreserved = take(&self.unreserved).await;
        Slot { _all: take(&self.all).await, _unreserved: unreserved }
    }
}

/// Counts a call that waits.
struct Waiting<'a>(&'a Slots);

impl<'a> Waiting<'a> {
    fn new(slots: &'a Slots) -> Self {
        slots.blows.fetch_add(1, SeqCst);
        Self(slots)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.0.blows.fetch_sub(1, SeqCst) == 1 {
            self.0.no_blows.notify_waiters();
        }
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

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_slot_that_comes_free_goes_to_a_blow_before_an_older_proof() {
        let slots = Slots::new(1, 0.0);
        let held = slots.take_for_blow().now_or_never();
        assert!(held.is_some());
        let mut proof = Box::pin(slots.take_for_proof());
        assert!(proof.as_mut().now_or_never().is_none(), "no slot is free");
        let mut blow = Box::pin(slots.take_for_blow());
        assert!(blow.as_mut().now_or_never().is_none(), "no slot is free");
        drop(held);
        assert!(proof.as_mut().now_or_never().is_none(), "the blow waits");
        let landed = blow.as_mut().now_or_never();
        assert!(landed.is_some(), "the proof gave the slot on");
        drop(landed);
        assert!(proof.as_mut().now_or_never().is_some(), "nothing else waits");
    }
}
