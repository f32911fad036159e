//! Urgent first: contract ends wait while compromise notices are on their way to the ledger.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// What the urgent topic has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pressure {
    /// Records wait for the ledger, or are at it.
    busy: bool,
    /// The backlog has not been caught up with since the start or the last assignment.
    behind: bool,
}

/// Shared by the storers. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<watch::Sender<Pressure>>);

impl Gate {
    /// At the start the urgent topic is taken to have a backlog.
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Pressure { busy: false, behind: true })))
    }

    /// Told by the urgent topic.
    pub(super) fn set_busy(&self, busy: bool) {
        self.0.send_if_modified(|p| std::mem::replace(&mut p.busy, busy) != busy);
    }

    /// Told by the urgent topic.
    pub(super) fn set_behind(&self, behind: bool) {
        self.0.send_if_modified(|p| std::mem::replace(&mut p.behind, behind) != behind);
    }

    /// Waits until the urgent topic has nothing to hand over, at most so long: urgent goes first, but
    /// nothing waits for ever. Where the time was up because the backlog could not be caught up with
    /// (the topic has no leader, or does not exist), that is not waited for again until the next
    /// assignment.
    pub(super) async fn yield_to_urgent(&self, patience: Duration) {
        let mut pressure = self.0.subscribe();
        let clear = pressure.wait_for(|p| !p.busy && !p.behind);
        if tokio::time::timeout(patience, clear).await.is_err() {
            self.set_behind(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    #[tokio::test(start_paused = true)]
    async fn others_wait_until_the_urgent_topic_is_caught_up_and_idle() {
        let gate = Gate::new();
        let waiter = tokio::spawn({
            let gate = gate.clone();
            async move { gate.yield_to_urgent(LONG).await }
        });
        gate.set_busy(true);
        gate.set_behind(false);
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished(), "records still wait");
        gate.set_busy(false);
        waiter.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_topic_that_cannot_be_read_is_not_waited_for_twice() {
        let gate = Gate::new();
        gate.yield_to_urgent(LONG).await;
        let second = tokio::time::timeout(Duration::from_secs(1), gate.yield_to_urgent(LONG));
        assert!(second.await.is_ok());
    }
}
