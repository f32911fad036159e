//! How a claim of a task ends: waiting, done, blocked, observed, or open again.

use chrono::{DateTime, TimeDelta, Utc};
use severance_lifecycle::action::Action;
use severance_lifecycle::credential::Target;
use severance_lifecycle::decide::{Reason, Way};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::TaskId;
use severance_lifecycle::journal::Happening;
use severance_lifecycle::observe::Observed;
use severance_lifecycle::outcome;
use severance_lifecycle::policy::Desired;
use severance_lifecycle::secret::Issuer;
use severance_lifecycle::task::{BlockReason, Lane, Mode, Task, TaskState, Verification};

use super::Worker;
use crate::ports::{EngineEvent, NewTask, Release};

/// A wait that is shorter is made so long: a provider whose clock has a second's resolution would
/// otherwise be asked without end.
const SHORTEST_WAIT: TimeDelta = TimeDelta::milliseconds(100);

/// A wait that is longer is said by `decide` only where nothing is blocked.
const BLOCKS_WITHIN: TimeDelta = TimeDelta::minutes(1);

/// What is blocked is looked at so soon after its deadline: the provider's clock may be behind.
const DEADLINE_LOOK: TimeDelta = TimeDelta::seconds(10);

impl Worker {
    /// Told once, whatever keeps the task from its end: a fault that keeps passing is one too.
    pub(super) fn tell_missed_deadline(&mut self) {
        let now = self.shared.now();
        let Task { deadline, mode, counts, .. } = self.task;
        let is_open = counts && mode == Mode::Enforce && !self.task.state.is_final();
        let finding = Finding::DeadlineMissed { deadline };
        if is_open && now > deadline && self.task.record.told.insert(finding.clone()) {
            self.telling.finding(&self.task, now, finding);
        }
    }

    /// Waits; `wait` was counted on the provider's clock and is waited on ours.
    pub(super) fn waiting(&mut self, wait: TimeDelta, reason: &Reason) -> Release {
        let now = self.shared.now();
        // As it was decided: what is looked at sooner waits no shorter.
        let is_long = wait > BLOCKS_WITHIN;
        let mut wait = wait.max(SHORTEST_WAIT);
        if self.task.desired.ends_a_credential() {
            // What is closed may be opened by somebody while the last sessions are waited for.
            let zones = self.shared.zones();
            wait = wait.min(zones.get(&self.task.binding.zone).recheck_after.max(SHORTEST_WAIT));
        }
        let blocked = matches!(self.task.state, TaskState::Blocked { .. });
        // What is blocked goes on being so until a call is accepted, or until nothing blocks it.
        let unblocked = is_long && self.task.record.refused.is_empty();
        let mut attempts = if self.task.record.told_block.is_some() { self.attempts } else { 0 };
        if !self.later.is_empty() {
            attempts = self.attempts.saturating_add(1);
            wait = wait.min(self.shared.delay(self.shared.config.retries.later, attempts));
        }
        let until = now + wait;
        let what = Happening::Waiting { until, reason: reason.0.clone() };
        self.telling.task(&self.task, now, what);
        // A finished task that needs a second look is finished still.
        if !matches!(self.task.state, TaskState::Done { .. }) && (!blocked || unblocked) {
            self.task.state = TaskState::Open;
        }
        Release { next_at: Some(until), attempts }
    }

    /// `decide` has nothing left to do. What is refused only for minutes is tried again by then;
    /// anything else is a block.
    pub(super) fn nothing_left(&mut self, reason: &BlockReason) -> Release {
        if !self.later.values().any(|later| later == reason) {
            return self.blocked(reason);
        }
        let mut refused = self.task.record.refused.iter();
        let for_good = refused.find(|(site, _)| !self.later.contains_key(*site));
        if let Some(reason) = for_good.map(|(_, reason)| reason.clone()) {
            return self.blocked(&reason);
        }
        let attempts = self.attempts.saturating_add(1);
        let delay = self.shared.delay(self.shared.config.retries.later, attempts);
        Release { next_at: Some(self.shared.now() + delay), attempts }
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
        self.task.record.told_block = None;
        self.telling.task(&self.task, now, Happening::Done { verification });
        self.shared.observer.on(&EngineEvent::Done { task: &self.task, verification });
        match self.task.desired {
            Desired::Revoked | Desired::Rotated => {
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
        if matches!(&self.task.target, Target::Secret { issuer, .. } if !leaves_keys(issuer)) {
            return;
        }
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

    /// It cannot be finished for now. Told once for each kind of reason; retried slowly, with
    /// everything that was refused.
    pub(super) fn blocked(&mut self, reason: &BlockReason) -> Release {
        if self.task.is_over_by(reason) {
            return Release { next_at: None, attempts: 0 };
        }
        let now = self.shared.now();
        if matches!(self.task.state, TaskState::Done { .. }) {
            self.reopen(&reason.to_string());
        }
        let kind = kind(reason);
        let planned =
            matches!(&self.task.state, TaskState::Blocked { reason: old } if old == reason);
        let told = planned || self.task.record.told_block.as_ref() == Some(&kind);
        self.task.record.told_block = Some(kind);
        self.task.state = TaskState::Blocked { reason: reason.clone() };
        if !told {
            self.telling.blocked(&self.task, reason, now);
            self.shared.observer.on(&EngineEvent::Blocked { task: &self.task });
        }
        // The next claim is a retry, by time or by a person.
        self.task.record.refused.clear();
        self.task.record.full.clear();
        let attempts = if told { self.attempts.saturating_add(1) } else { 1 };
        let delay = self.shared.delay(self.shared.config.retries.blocked, attempts);
        Release { next_at: Some((now + delay).min(self.after_the_deadline(now))), attempts }
    }

    /// The look that the deadline asks for: it is told as missed, and what is exposed waits no longer for
    /// what should follow it.
    fn after_the_deadline(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let look = self.task.deadline + DEADLINE_LOOK;
        if now < look { look } else { DateTime::<Utc>::MAX_UTC }
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
            self.reopening = Some(self.shared.urgency.hold());
        }
        Release { next_at: Some(now), attempts: 0 }
    }

    fn reopen(&mut self, because: &str) {
        let now = self.shared.now();
        self.task.state = TaskState::Open;
        self.task.verified_at = None;
        self.task.record.told_block = None;
        // Drift is told by itself; the deadline was met or missed by the first proof.
        let deadline = self.task.deadline;
        self.task.record.told.insert(Finding::DeadlineMissed { deadline });
        self.task.lane = Lane::of(self.task.trigger, self.task.desired);
        let reopened = Happening::Reopened { because: because.to_owned() };
        self.telling.task(&self.task, now, reopened);
        let drift = Finding::Drift { what: because.to_owned() };
        self.telling.finding(&self.task, now, drift);
        if self.task.desired.ends_a_credential() {
            // Its deletion is put off with it: not before it is proven dead again.
            let quarantine = self.shared.zones().get(&self.task.binding.zone).quarantine;
            self.quarantine(now + quarantine, now + quarantine);
        }
        self.shared.observer.on(&EngineEvent::Reopened { task: &self.task, because });
    }
}

/// Whether what a rotation leaves behind can be deleted. A version of a secret cannot.
fn leaves_keys(issuer: &Issuer) -> bool {
    matches!(issuer, Issuer::AccessKey { .. })
}

/// What of a block is no free text: the same again is no news.
fn kind(reason: &BlockReason) -> String {
    let mut told = serde_json::to_value(reason).unwrap_or_default();
    if let Some(fields) = told.as_object_mut() {
        fields.remove("message");
        fields.remove("why");
    }
    told.to_string()
}

/// The task that deletes what was switched off, once quarantine is over. The case does not wait for it.
fn deletion(revoked: &Task, delete_after: DateTime<Utc>, now: DateTime<Utc>) -> Task {
    let desired = Desired::Deleted;
    let mut record = revoked.record.clone();
    // What one look did not show days before is no first look.
    record.missing_since = None;
    Task {
        record,
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
