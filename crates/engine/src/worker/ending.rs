//! How a claim of a task ends: waiting, done, blocked, observed, or open again.

use chrono::{DateTime, TimeDelta, Utc};
use severance_lifecycle::action::Action;
use severance_lifecycle::decide::{Reason, Way};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::TaskId;
use severance_lifecycle::journal::Happening;
use severance_lifecycle::observe::Observed;
use severance_lifecycle::outcome;
use severance_lifecycle::policy::Desired;
use severance_lifecycle::task::{BlockReason, Lane, Task, TaskState, Verification};

use super::Worker;
use crate::ports::{EngineEvent, NewTask, Release};

/// A wait that is shorter is made so long: a provider whose clock has a second's resolution would
/// otherwise be asked without end.
const SHORTEST_WAIT: TimeDelta = TimeDelta::milliseconds(100);

impl Worker {
    /// Waits; `wait` was counted on the provider's clock and is waited on ours.
    pub(super) fn waiting(&mut self, wait: TimeDelta, reason: &Reason) -> Release {
        let now = self.shared.now();
        let until = now + wait.max(SHORTEST_WAIT);
        let what = Happening::Waiting { until, reason: reason.0.clone() };
        self.telling.task(&self.task, now, what);
        // A finished task that needs a second look is finished still.
        if !matches!(self.task.state, TaskState::Done { .. }) {
            self.task.state = TaskState::Open;
        }
        Release { next_at: Some(until), attempts: 0 }
    }

    /// The desired state holds: told once, then looked at again until quarantine is over.
    pub(super) fn done(
        &mut self,
        verification: Verification,
        ways: &[Way],
        observed: &Observed,
    ) -> Release {
        let now = self.shared.now();
        if matches!(self.task.state, TaskState::Done { .. }) {
            return self.recheck(now + self.shared.config.recheck_every);
        }
        let zones = self.shared.zones();
        let zone = zones.get(&self.task.binding.zone);
        self.task.state = TaskState::Done { verification };
        self.task.verified_at = Some(now);
        self.telling.task(&self.task, now, Happening::Done { verification });
        self.shared.observer.on(&EngineEvent::Done { task: &self.task, verification });
        match self.task.desired {
            Desired::Revoked => {
                self.outcome(verification, ways, now);
                let delete_after = observed.at + zone.quarantine;
                self.task.delete_after = Some(delete_after);
                self.quarantine(delete_after, now + zone.quarantine);
                // From here on it is looked at again, which hurries nobody.
                self.task.lane = Lane::Rest;
                self.recheck(now + zone.recheck_after)
            }
            Desired::Reinstated => {
                self.outcome(verification, ways, now);
                Release { next_at: None, attempts: 0 }
            }
            Desired::Deleted => Release { next_at: None, attempts: 0 },
        }
    }

    /// What is switched off is deleted when its quarantine is over, and not before.
    fn quarantine(&mut self, delete_after: DateTime<Utc>, next_at: DateTime<Utc>) {
        let task = deletion(&self.task, delete_after, self.shared.now());
        self.follow_ups.push(NewTask { task, next_at });
    }

    fn outcome(&mut self, verification: Verification, ways: &[Way], now: DateTime<Utc>) {
        self.telling.outcome(&outcome::done(&self.task, verification, ways, now));
    }

    fn recheck(&self, next: DateTime<Utc>) -> Release {
        let in_quarantine = self.task.delete_after.is_some_and(|end| next < end);
        Release { next_at: in_quarantine.then_some(next), attempts: 0 }
    }

    /// It cannot be finished for now. Told once for each reason; retried slowly.
    pub(super) fn blocked(&mut self, reason: &BlockReason) -> Release {
        let now = self.shared.now();
        if matches!(self.task.state, TaskState::Done { .. }) {
            self.reopen(&reason.to_string());
        }
        let told = matches!(&self.task.state, TaskState::Blocked { reason: old } if old == reason);
        self.task.state = TaskState::Blocked { reason: reason.clone() };
        if !told {
            self.attempts = 0;
            self.telling.blocked(&self.task, reason, now);
            self.shared.observer.on(&EngineEvent::Blocked { task: &self.task });
        }
        let attempts = self.attempts.saturating_add(1);
        let delay = self.shared.delay(self.shared.config.retries.blocked, attempts);
        Release { next_at: Some(now + delay), attempts }
    }

    /// In `observe`: what would have been done is recorded, and nothing is done.
    pub(super) fn observed(&mut self, actions: Vec<Action>) -> Release {
        self.task.state = TaskState::Observed;
        self.telling.task(&self.task, self.shared.now(), Happening::WouldDo { actions });
        Release { next_at: None, attempts: 0 }
    }

    /// What was closed is open again: drift. It queues where it queued before.
    pub(super) fn reopened(&mut self, because: &str) -> Release {
        self.reopen(because);
        let now = self.shared.now();
        if self.task.lane == Lane::Compromise {
            self.shared.urgency.due_at(now);
        }
        Release { next_at: Some(now), attempts: 0 }
    }

    fn reopen(&mut self, because: &str) {
        let now = self.shared.now();
        self.task.state = TaskState::Open;
        self.task.verified_at = None;
        self.task.lane = Lane::of(self.task.trigger, self.task.desired);
        let reopened = Happening::Reopened { because: because.to_owned() };
        self.telling.task(&self.task, now, reopened);
        let drift = Finding::Drift { what: because.to_owned() };
        self.telling.finding(&self.task, now, drift);
        if self.task.desired == Desired::Revoked {
            // Its deletion is put off with it: not before it is proven dead again.
            let quarantine = self.shared.zones().get(&self.task.binding.zone).quarantine;
            self.quarantine(now + quarantine, now + quarantine);
        }
        self.shared.observer.on(&EngineEvent::Reopened { task: &self.task, because });
    }
}

/// The task that deletes what was switched off, once quarantine is over. The case does not wait for it.
fn deletion(revoked: &Task, delete_after: DateTime<Utc>, now: DateTime<Utc>) -> Task {
    let desired = Desired::Deleted;
    Task {
        id: TaskId::of(&revoked.case, &revoked.target.key(), desired.as_str()),
        desired,
        lane: Lane::of(revoked.trigger, desired),
        planned_at: now,
        deadline: delete_after,
        counts: false,
        delete_after: Some(delete_after),
        state: TaskState::Open,
        accepted_at: None,
        verified_at: None,
        ..revoked.clone()
    }
}
