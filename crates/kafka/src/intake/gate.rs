//! Urgent first: a batch waits while more urgent ones are on their way to the ledger. Contract ends wait for
//! compromise notices, rotations for both.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::Inbound;

/// What a topic has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pressure {
    /// Records wait for the ledger, or are at it.
    busy: bool,
    /// The backlog has not been caught up with since the start or the last assignment.
    behind: bool,
}

/// By topic, urgent first.
type Pressures = [Pressure; Inbound::ALL.len()];

/// Shared by the storers. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<watch::Sender<Pressures>>);

impl Gate {
    /// At the start every topic is taken to have a backlog.
    pub(super) fn new() -> Self {
        let unknown = Pressure { busy: false, behind: true };
        Self(Arc::new(watch::Sender::new([unknown; Inbound::ALL.len()])))
    }

    /// Told by each topic of itself.
    pub(super) fn set_busy(&self, inbound: Inbound, busy: bool) {
        self.set(inbound, |pressure| &mut pressure.busy, busy);
    }

    /// Told by each topic of itself.
    pub(super) fn set_behind(&self, inbound: Inbound, behind: bool) {
        self.set(inbound, |pressure| &mut pressure.behind, behind);
    }

    fn set(&self, inbound: Inbound, which: fn(&mut Pressure) -> &mut bool, to: bool) {
        self.0.send_if_modified(|all| {
            let pressure = all.get_mut(inbound as usize).map(which);
            pressure.is_some_and(|fact| std::mem::replace(fact, to) != to)
        });
    }

    /// Waits until the topics that are more urgent than this one have nothing to hand over, at most so
    /// long: urgent goes first, but nothing waits for ever. Where the time was up because a backlog could
    /// not be caught up with (a topic has no leader, or does not exist), that is not waited for again
    /// until its next assignment.
    pub(super) async fn yield_to_urgent(&self, inbound: Inbound, patience: Duration) {
        let mut pressures = self.0.subscribe();
        let before = inbound as usize;
        let clear = pressures.wait_for(|all| all.iter().take(before).all(|p| !p.busy && !p.behind));
        if tokio::time::timeout(patience, clear).await.is_err() {
            let urgent = Inbound::ALL.into_iter().filter(|other| *other < inbound);
            urgent.for_each(|other| self.set_behind(other, false));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_hours(1);
    const SHORT: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn others_wait_until_the_urgent_topic_is_caught_up_and_idle() {
        let gate = Gate::new();
        let waiter = tokio::spawn({
            let gate = gate.clone();
            async move { gate.yield_to_urgent(Inbound::ContractEnd, LONG).await }
        });
        gate.set_busy(Inbound::CompromiseNotice, true);
        gate.set_behind(Inbound::CompromiseNotice, false);
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished(), "records still wait");
        gate.set_busy(Inbound::CompromiseNotice, false);
        waiter.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_topic_that_cannot_be_read_is_not_waited_for_twice() {
        let gate = Gate::new();
        gate.yield_to_urgent(Inbound::Rotation, LONG).await;
        let second = gate.yield_to_urgent(Inbound::Rotation, LONG);
        assert!(tokio::time::timeout(SHORT, second).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_waits_for_what_is_less_urgent_and_rotations_wait_for_contract_ends() {
        let gate = Gate::new();
        for inbound in Inbound::ALL {
            gate.set_busy(inbound, true);
            gate.set_behind(inbound, inbound == Inbound::Rotation);
        }
        let waits = async |inbound| {
            tokio::time::timeout(SHORT, gate.yield_to_urgent(inbound, LONG)).await.is_err()
        };
        assert!(!waits(Inbound::CompromiseNotice).await, "nothing goes before a notice");
        assert!(waits(Inbound::ContractEnd).await);
        gate.set_busy(Inbound::CompromiseNotice, false);
        assert!(!waits(Inbound::ContractEnd).await);
        assert!(waits(Inbound::Rotation).await, "contract ends are on their way");
        gate.set_busy(Inbound::ContractEnd, false);
        assert!(!waits(Inbound::Rotation).await);
    }
}
