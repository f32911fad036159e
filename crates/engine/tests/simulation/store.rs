//! What the ledger keeps, in memory and without any IO: it outlives the processes of a run.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use severance_engine::ports::{
    Acceptance, Agenda, Arrival, CaseLease, ClaimRequest, Claimed, ClaimedCase, LedgerError,
    Message, NewTask, PlanCommit, PlanPortion, Step, TaskLease, Topic,
};
use severance_lifecycle::action::Change;
use severance_lifecycle::case::{Case, CaseState, Closing, Tally, closing};
use severance_lifecycle::contract::{ContractState, Verdict, judge};
use severance_lifecycle::credential::{Target, UserRef};
use severance_lifecycle::event::{ContractChange, Event, Payload, SelectorTarget, Trigger};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::{CaseId, ContractName, TaskId};
use severance_lifecycle::outcome;
use severance_lifecycle::plan::Identity;
use severance_lifecycle::policy::{Desired, Holds};
use severance_lifecycle::task::{BlockReason, Lane, Mode, Task, TaskState};

use crate::sim::Process;
use crate::usable;
use crate::world::Time;

#[derive(Clone, Debug)]
pub struct Lease {
    pub token: i64,
    pub until: Time,
    pub process: Process,
}

#[derive(Clone, Debug)]
pub struct CaseRow {
    pub case: Case,
    pub event: Event,
    pub due: Option<Time>,
    pub lease: Option<Lease>,
    pub attempts: u32,
}

#[derive(Clone, Debug)]
pub struct TaskRow {
    pub task: Task,
    pub next_at: Option<Time>,
    pub lease: Option<Lease>,
    pub attempts: u32,
    /// A plan added it that made the case too large: it waits for a person.
    pub parked: bool,
    /// Which process last stored it, and when.
    pub stored: Option<(Process, Time)>,
}

#[derive(Clone, Debug)]
pub struct Outgoing {
    pub id: i64,
    pub message: Message,
    pub due: Time,
    pub attempts: u32,
}

#[derive(Debug, Default)]
pub struct Store {
    pub cases: BTreeMap<CaseId, CaseRow>,
    pub tasks: BTreeMap<TaskId, TaskRow>,
    pub contracts: BTreeMap<ContractName, ContractState>,
    pub outbox: BTreeMap<i64, Outgoing>,
    pub inventory: BTreeMap<String, (Identity, i64)>,
    /// Places in the inventory, by ARN: they stay.
    pub places: BTreeMap<String, i64>,
    pub listed: BTreeMap<severance_lifecycle::ids::AccountId, Time>,
    pub published: Vec<Message>,
    pub alarms: Vec<(Time, Finding)>,
    /// How often each case was claimed for planning.
    pub claims: BTreeMap<CaseId, u64>,
    /// Which process accepted a case's event.
    pub accepted_by: BTreeMap<CaseId, Process>,
    /// When a person let each case go.
    pub released: BTreeMap<CaseId, Time>,
    pub accepted: u64,
    pub dead_letters: u64,
    pub closed: BTreeMap<CaseId, u64>,
    pub reopened: BTreeMap<CaseId, u64>,
    /// Secrets, by ARN, that others spoilt or hid and leave so.
    pub unmended: BTreeSet<String>,
    serial: i64,
}

fn lost(what: impl ToString) -> LedgerError {
    LedgerError::LeaseLost { what: what.to_string() }
}

fn free(lease: Option<&Lease>, now: Time) -> bool {
    lease.is_none_or(|lease| lease.until <= now)
}

pub fn case_lane(case: &Case) -> Lane {
    Lane::of(case.trigger, Desired::Revoked)
}

impl Store {
    pub fn send(&mut self, messages: impl IntoIterator<Item = Message>, now: Time) {
        for message in messages {
            self.serial += 1;
            let id = self.serial;
            self.outbox.insert(id, Outgoing { id, message, due: now, attempts: 0 });
        }
    }

    pub fn accept(&mut self, arrival: &Arrival, forgets_known: bool) -> Acceptance {
        let Ok(event) = &arrival.parsed else {
            self.dead_letters += 1;
            let letter = Message {
                topic: Topic::DeadLetter,
                key: arrival.key.clone(),
                value: arrival.value.clone(),
                headers: arrival.headers.clone(),
            };
            self.send([letter], arrival.received_at);
            return Acceptance::DeadLettered;
        };
        let case = CaseId::of(&event.key);
        if let Some(known) = self.cases.get(&case).filter(|_| !forgets_known) {
            return if known.event.digest == event.digest {
                Acceptance::Duplicate { case }
            } else {
                Acceptance::Conflict { case }
            };
        }
        self.accepted += 1;
        let opened = Case::open(event, arrival.coordinates.timestamp, arrival.received_at);
        let mut row = CaseRow {
            due: Some(opened.start_at),
            case: opened,
            event: event.clone(),
            lease: None,
            attempts: 0,
        };
        if let Payload::ContractEnd(end) = &event.payload {
            let known = self.contracts.get(&end.contract);
            if let Verdict::Holds { .. } = judge(known, end, &event.digest) {
                self.supersede(&end.contract);
                let state = ContractState {
                    revision: end.revision,
                    change: end.change,
                    effective_at: end.effective_at,
                    case: case.clone(),
                    digest: event.digest.clone(),
                };
                self.contracts.insert(end.contract.clone(), state);
            } else {
                row.case.state = CaseState::Closed { how: Closing::Superseded };
                row.due = None;
            }
        }
        self.cases.insert(case.clone(), row);
        Acceptance::Accepted { case }
    }

    /// Whatever a lower revision still had to do is not done any more. Leases stay until they end: a
    /// call of theirs may be in flight.
    fn supersede(&mut self, contract: &ContractName) {
        let mut earlier = BTreeSet::new();
        for row in self.cases.values_mut() {
            if row.case.contract.as_ref() == Some(contract) {
                earlier.insert(row.case.id.clone());
                row.due = None;
                if !matches!(row.case.state, CaseState::Closed { .. }) {
                    row.case.state = CaseState::Closed { how: Closing::Superseded };
                }
            }
        }
        for row in self.tasks.values_mut().filter(|row| earlier.contains(&row.task.case)) {
            row.next_at = None;
            if !row.task.state.is_final() {
                row.task.state = TaskState::Superseded;
            }
        }
    }

    pub fn claim_cases(&mut self, request: &ClaimRequest, process: Process) -> Vec<ClaimedCase> {
        let mut due: Vec<_> = self
            .cases
            .values()
            .filter(|row| Self::case_is_due(row, request.now))
            .map(|row| (case_lane(&row.case), row.due, row.case.id.clone()))
            .filter(|(lane, ..)| *lane <= request.least_urgent)
            .collect();
        due.sort();
        due.truncate(request.limit);
        due.into_iter().map(|(.., id)| self.lease_case(&id, request, process)).collect()
    }

    fn case_is_due(row: &CaseRow, now: Time) -> bool {
        row.due.is_some_and(|due| due <= now) && free(row.lease.as_ref(), now)
    }

    fn lease_case(&mut self, id: &CaseId, request: &ClaimRequest, process: Process) -> ClaimedCase {
        *self.claims.entry(id.clone()).or_default() += 1;
        if self.cases[id].case.state == CaseState::Accepted {
            // It was not planned to its end.
            self.tasks.retain(|_, row| row.task.case != *id);
        }
        let undo = self.undo(id);
        let unresolved = self.tasks.values().filter(|row| row.task.case == *id);
        let unresolved = unresolved
            .filter_map(|row| match &row.task.target {
                Target::Unresolved { selector } => Some(selector.clone()),
                _ => None,
            })
            .collect();
        let looks = |task: &&Task| {
            let reason = BlockReason::SecretsNotListed;
            task.case == *id && task.state == TaskState::Blocked { reason }
        };
        let looked_on = self.tasks.values().map(|row| &row.task).filter(looks);
        let looked_on = looked_on.map(|task| task.id.clone()).collect();
        let counting =
            self.tasks.values().map(|row| &row.task).filter(|t| t.case == *id && t.counts);
        let known = counting.map(|task| (task.id.clone(), task.credentials)).collect();
        let (secrets, keys) = self.earlier(id);
        let admits = self.cases[id].case.state == CaseState::Open
            && self.tasks.values().any(|row| row.task.case == *id && row.parked);
        let row = self.cases.get_mut(id).unwrap();
        let (token, until) = (request.token, request.until);
        row.lease = Some(Lease { token, until, process });
        ClaimedCase {
            admits,
            known,
            secrets,
            keys,
            looked_on,
            lease: CaseLease { case: id.clone(), token, until },
            case: row.case.clone(),
            event: row.event.clone(),
            attempts: row.attempts,
            undo,
            unresolved: (row.case.state != CaseState::Accepted).then_some(unresolved),
        }
    }

    /// A case's tasks for secrets, and the keys that have tasks of their own.
    fn earlier(&self, id: &CaseId) -> (Vec<Task>, BTreeSet<String>) {
        let of_case = || self.tasks.values().map(|row| &row.task).filter(|task| task.case == *id);
        let is_secret = |task: &&Task| matches!(task.target, Target::Secret { .. });
        let keys = of_case().filter_map(|task| match &task.target {
            Target::AccessKey { key_id, .. } => Some(key_id.clone()),
            _ => None,
        });
        (of_case().filter(is_secret).cloned().collect(), keys.collect())
    }

    fn undo(&self, id: &CaseId) -> Vec<Task> {
        let Payload::ContractEnd(end) = &self.cases[id].event.payload else { return Vec::new() };
        if end.change != ContractChange::Reinstated {
            return Vec::new();
        }
        let earlier = |case: &CaseId| {
            case != id && self.cases[case].case.contract.as_ref() == Some(&end.contract)
        };
        let tasks = self.tasks.values().map(|row| &row.task);
        tasks.filter(|t| t.desired.ends_a_credential() && earlier(&t.case)).cloned().collect()
    }

    fn is_planning(&mut self, lease: &CaseLease, now: Time) -> Result<&mut CaseRow, LedgerError> {
        let row = self.cases.get_mut(&lease.case).ok_or_else(|| lost(&lease.case))?;
        let held = row.lease.as_ref().is_some_and(|l| l.token == lease.token && l.until > now);
        if !held || matches!(row.case.state, CaseState::Closed { .. }) {
            return Err(lost(&lease.case));
        }
        Ok(row)
    }

    pub fn plan_portion(
        &mut self,
        lease: &CaseLease,
        portion: PlanPortion,
        parked: bool,
        now: Time,
    ) -> Result<(), LedgerError> {
        let by = self.is_planning(lease, now)?.lease.as_ref().map(|lease| (lease.process, now));
        self.add(portion.tasks, parked, by);
        self.send(portion.messages, now);
        Ok(())
    }

    pub fn commit_plan(
        &mut self,
        lease: &CaseLease,
        plan: PlanCommit,
        now: Time,
    ) -> Result<(), LedgerError> {
        let row = self.is_planning(lease, now)?;
        let parked = matches!(plan.state, CaseState::Held { .. });
        let again_at = plan.again_at.filter(|_| !parked);
        let by = row.lease.take().map(|lease| (lease.process, now));
        row.case.state = plan.state;
        row.due = again_at;
        row.attempts = if again_at.is_some() { row.attempts + 1 } else { 0 };
        let is_open = row.case.state == CaseState::Open;
        for id in &plan.resolved {
            self.tasks.remove(id);
        }
        self.add(plan.tasks, parked, by);
        self.send(plan.messages, now);
        if plan.in_portions && is_open && self.admit(&lease.case, by) {
            self.cases.get_mut(&lease.case).unwrap().due = Some(now);
            return Ok(());
        }
        self.close_or_reopen(&lease.case, now);
        Ok(())
    }

    pub fn admit_more(&mut self, lease: &CaseLease, now: Time) -> Result<bool, LedgerError> {
        let by = self.is_planning(lease, now)?.lease.as_ref().map(|lease| lease.process);
        Ok(self.admit(&lease.case, by.map(|process| (process, now))))
    }

    /// Lets one task of a case go. Whether more may wait.
    fn admit(&mut self, case: &CaseId, by: Option<(Process, Time)>) -> bool {
        let mut waiting = self.tasks.values_mut().filter(|row| {
            row.task.case == *case && row.parked && row.task.state != TaskState::Superseded
        });
        waiting.next().is_some_and(|row| {
            row.parked = false;
            row.stored = by.or(row.stored);
            true
        })
    }

    /// A person lets a held case go.
    pub fn release(&mut self, id: &CaseId, now: Time) {
        let Some(row) = self.cases.get_mut(id) else { return };
        let CaseState::Held { credentials, .. } = row.case.state else { return };
        row.case.released = row.case.released.max(credentials);
        self.released.insert(id.clone(), now);
        row.case.state = CaseState::Open;
        let unresolved = |row: &&TaskRow| matches!(row.task.target, Target::Unresolved { .. });
        let looks_up = self.tasks.values().filter(unresolved).any(|row| row.task.case == *id);
        row.due = looks_up.then_some(now);
        if self.admit(id, None) {
            self.cases.get_mut(id).unwrap().due = Some(now);
        }
        self.close_or_reopen(id, now);
    }

    pub fn renew_case(&mut self, lease: &CaseLease, until: Time) -> Result<(), LedgerError> {
        let row = self.cases.get_mut(&lease.case).ok_or_else(|| lost(&lease.case))?;
        match row.lease.as_mut().filter(|held| held.token == lease.token) {
            Some(held) => held.until = held.until.max(until),
            None => return Err(lost(&lease.case)),
        }
        Ok(())
    }

    fn add(&mut self, tasks: Vec<NewTask>, parked: bool, stored: Option<(Process, Time)>) {
        for new in tasks {
            let next_at = Some(new.next_at);
            let row = TaskRow { task: new.task, next_at, lease: None, attempts: 0, parked, stored };
            self.tasks.entry(row.task.id.clone()).or_insert(row);
        }
    }

    fn held_locks(&self, now: Time) -> BTreeSet<String> {
        let leased = self.tasks.values().filter(|row| !free(row.lease.as_ref(), now));
        leased.map(|row| row.task.target.lock()).collect()
    }

    fn task_is_due(row: &TaskRow, now: Time) -> bool {
        row.next_at.is_some_and(|at| at <= now)
            && free(row.lease.as_ref(), now)
            && row.task.state != TaskState::Superseded
            && !row.parked
    }

    pub fn claim(&mut self, request: &ClaimRequest, process: Process) -> Vec<Claimed> {
        let mut locks = self.held_locks(request.now);
        let mut due: Vec<_> = self
            .tasks
            .values()
            .filter(|row| row.task.lane <= request.least_urgent)
            .filter(|row| Self::task_is_due(row, request.now))
            .map(|row| {
                let task = &row.task;
                let landed = task.record.accepted_at.is_some();
                (task.lane, landed, task.deadline, task.id.clone(), task.target.lock())
            })
            .collect();
        due.sort();
        due.retain(|(.., lock)| locks.insert(lock.clone()));
        due.truncate(request.limit);
        let (token, until) = (request.token, request.until);
        due.into_iter()
            .map(|(_, _, _, id, _)| {
                let row = self.tasks.get_mut(&id).unwrap();
                row.lease = Some(Lease { token, until, process });
                let lease = TaskLease { task: id, token, until };
                Claimed { lease, task: row.task.clone(), attempts: row.attempts }
            })
            .collect()
    }

    pub fn holds_lease(&self, lease: &TaskLease, now: Time) -> bool {
        self.tasks.get(&lease.task).is_some_and(|row| {
            row.task.state != TaskState::Superseded
                && row.lease.as_ref().is_some_and(|l| l.token == lease.token && l.until > now)
        })
    }

    pub fn renew(&mut self, lease: &TaskLease, until: Time) {
        if let Some(held) = self.tasks.get_mut(&lease.task).and_then(|row| row.lease.as_mut()) {
            held.until = until;
        }
    }

    /// Stores a step whose lease was checked.
    pub fn step(&mut self, lease: &TaskLease, now: Time, step: Step) -> bool {
        let Some(row) = self.tasks.get_mut(&lease.task) else { return false };
        let case = step.task.case.clone();
        row.task = step.task;
        let stored = row.lease.as_ref().map(|lease| (lease.process, now));
        row.stored = stored;
        if let Some(release) = step.release {
            row.lease = None;
            row.next_at = release.next_at;
            row.attempts = release.attempts;
        }
        for new in &step.follow_ups {
            let known = self.tasks.get_mut(&new.task.id);
            let open = known.filter(|row| !row.task.state.is_final());
            if let Some(row) = open.filter(|row| row.task.delete_after < new.task.delete_after) {
                row.task = new.task.clone();
                row.next_at = Some(new.next_at);
            }
        }
        self.add(step.follow_ups, false, stored);
        self.send(step.messages, now);
        self.close_or_reopen(&case, now)
    }

    fn close_or_reopen(&mut self, id: &CaseId, now: Time) -> bool {
        let mut tally = Tally::default();
        for row in self.tasks.values().filter(|row| row.task.case == *id && row.task.counts) {
            match row.task.state {
                TaskState::Open => tally.open += 1,
                TaskState::Blocked { .. } => tally.blocked += 1,
                TaskState::Done { .. } => tally.done += 1,
                TaskState::Observed => tally.observed += 1,
                TaskState::Superseded => tally.superseded += 1,
            }
        }
        let row = self.cases.get_mut(id).unwrap();
        match (&row.case.state, closing(tally)) {
            (CaseState::Open, Some(how)) => {
                row.case.state = CaseState::Closed { how };
                // Nothing of it is planned any more.
                (row.due, row.lease) = (None, None);
                let event = outcome::case_closed(&row.case, tally, how, now);
                *self.closed.entry(id.clone()).or_default() += 1;
                self.send([Message::event(Topic::Outcome, &event)], now);
                true
            }
            (CaseState::Closed { how }, None) if *how != Closing::Superseded => {
                row.case.state = CaseState::Open;
                *self.reopened.entry(id.clone()).or_default() += 1;
                false
            }
            _ => false,
        }
    }

    /// Who else wants what is on the same identity revoked.
    pub fn holds(&self, task: &Task) -> Holds {
        let mut holds = Holds::default();
        for row in self.tasks.values() {
            let other = &row.task;
            let held = matches!(self.cases[&other.case].case.state, CaseState::Held { .. });
            let refused = matches!(
                &other.state,
                TaskState::Blocked {
                    reason: BlockReason::Protected
                        | BlockReason::FlattenedBoundary { .. }
                        | BlockReason::UserOfAnotherZone { .. }
                }
            );
            let idle = other.record.changes.is_empty() && (refused || (row.parked && held));
            let ours = other.case == task.case || Some(&other.case) == task.undoes.as_ref();
            let burnt =
                other.desired == Desired::Rotated && other.trigger == Trigger::CompromiseNotice;
            let counts = (other.desired == Desired::Revoked || burnt)
                && other.state != TaskState::Superseded
                && other.target.lock() == task.target.lock();
            let user = task.target.key_user();
            let whole = matches!(&other.target, Target::User { user: it } if Some(it) == user);
            holds.user |= counts
                && whole
                && other.desired == Desired::Revoked
                && other.mode == Mode::Enforce
                && !idle
                && !self.is_put_back(other);
            let undone = task.undoes.is_some()
                && other.trigger == Trigger::ContractEnd
                && self.cases[&other.case].case.contract == self.cases[&task.case].case.contract;
            if counts && !ours && !undone {
                holds.other = true;
                let same = other.desired == Desired::Revoked
                    && other.target.key() == task.target.key()
                    && !self.is_put_back(other);
                let heeded =
                    task.desired != Desired::Rotated || (other.mode == Mode::Enforce && !idle);
                holds.target |= same && heeded;
                holds.ended |= same
                    && other.mode == Mode::Enforce
                    && matches!(other.state, TaskState::Done { .. });
                holds.compromise |= other.trigger == Trigger::CompromiseNotice;
            }
        }
        holds
    }

    /// Whether a later case puts back what this task did, or has done so.
    fn is_put_back(&self, done: &Task) -> bool {
        self.tasks.values().map(|row| &row.task).any(|back| {
            back.desired == Desired::Reinstated
                && matches!(back.state, TaskState::Open | TaskState::Done { .. })
                && back.undoes.as_ref() == Some(&done.case)
                && back.target.lock() == done.target.lock()
        })
    }

    pub fn dead_keys(&self, user: &UserRef) -> BTreeSet<String> {
        let back = |done: &Task| {
            self.tasks.values().any(|row| {
                row.task.desired == Desired::Reinstated
                    && row.task.state != TaskState::Superseded
                    && row.task.undoes.as_ref() == Some(&done.case)
                    && row.task.target.lock() == done.target.lock()
            })
        };
        let done = self.tasks.values().map(|row| &row.task).filter(|task| {
            matches!(task.desired, Desired::Revoked | Desired::Rotated)
                && matches!(task.state, TaskState::Done { .. })
        });
        let changes = done.filter(|task| !back(task)).flat_map(|task| &task.record.changes);
        changes
            .filter_map(|change| match change {
                Change::KeyDeactivated { user: of, key_id } if of == user => Some(key_id.clone()),
                _ => None,
            })
            .collect()
    }

    pub fn agenda(&self, now: Time) -> Agenda {
        let mut agenda = Agenda::default();
        let mut soon = |at: Time| {
            if at > now {
                agenda.next_at = Some(agenda.next_at.map_or(at, |next| next.min(at)));
            }
        };
        for row in self.cases.values() {
            if let Some(due) = row.due {
                soon(row.lease.as_ref().map_or(due, |lease| lease.until.max(due)));
            }
        }
        let live = |row: &&TaskRow| row.task.state != TaskState::Superseded && !row.parked;
        for row in self.tasks.values().filter(live) {
            if let Some(due) = row.next_at {
                soon(row.lease.as_ref().map_or(due, |lease| lease.until.max(due)));
            }
        }
        let cases = self.cases.values().filter(|row| Self::case_is_due(row, now));
        let lanes = cases.map(|row| case_lane(&row.case));
        let tasks = self.tasks.values().filter(|row| Self::task_is_due(row, now));
        let lanes: Vec<Lane> = lanes.chain(tasks.map(|row| row.task.lane)).collect();
        agenda.due = lanes.len();
        agenda.urgent_due = lanes.iter().filter(|lane| **lane == Lane::Compromise).count();
        agenda
    }

    /// Claimed tasks of lower lanes on whose identity compromise work waits.
    pub fn in_the_way(&self, now: Time) -> BTreeSet<TaskId> {
        let waits = |lock: &str| {
            self.tasks.values().any(|row| {
                row.task.lane == Lane::Compromise
                    && row.task.target.lock() == lock
                    && Self::task_is_due(row, now)
            })
        };
        let held = self.tasks.values().filter(|row| {
            row.task.lane > Lane::Compromise
                && row.lease.as_ref().is_some_and(|lease| lease.until > now)
                && waits(&row.task.target.lock())
        });
        held.map(|row| row.task.id.clone()).collect()
    }

    /// Compromise work that could be claimed now and was not: what lower lanes must wait for.
    pub fn unclaimed_urgent(&self, process: Process, now: Time) -> Option<String> {
        let locks = self.held_locks(now);
        // Whoever let it go wakes the engine, which takes it a moment.
        let just_released = |case: &CaseId| {
            self.released.get(case).is_some_and(|at| now - *at < TimeDelta::seconds(1))
        };
        // Nor does one process know at once what another stored.
        let just_stored_elsewhere = |row: &TaskRow| {
            let stored = row.stored.filter(|(by, _)| *by != process);
            stored.is_some_and(|(_, at)| now - at < TimeDelta::seconds(1))
        };
        let just_accepted_elsewhere = |case: &Case| {
            let elsewhere = self.accepted_by.get(&case.id).is_some_and(|by| *by != process);
            elsewhere && now - case.received_at < TimeDelta::seconds(1)
        };
        let case = self.cases.values().find(|row| {
            case_lane(&row.case) == Lane::Compromise
                && !just_accepted_elsewhere(&row.case)
                && Self::case_is_due(row, now)
                && !just_released(&row.case.id)
        });
        let task = self.tasks.values().find(|row| {
            row.task.lane == Lane::Compromise
                && !just_released(&row.task.case)
                && !just_stored_elsewhere(row)
                && Self::task_is_due(row, now)
                && !locks.contains(&row.task.target.lock())
        });
        case.map(|row| format!("case {}", row.case.id))
            .or(task.map(|row| format!("task {} ({})", row.task.id, row.task.target.label())))
    }

    pub fn release_all(&mut self, token: i64) {
        for row in self.tasks.values_mut() {
            row.lease = row.lease.take().filter(|lease| lease.token != token);
        }
        for row in self.cases.values_mut() {
            row.lease = row.lease.take().filter(|lease| lease.token != token);
        }
    }

    pub fn outbox(&self, now: Time, limit: usize) -> Vec<Outgoing> {
        self.outbox.values().filter(|out| out.due <= now).take(limit).cloned().collect()
    }

    /// Whether a name may still be looked up that belongs to this user now: no case has a task on it
    /// yet, or one looks again.
    pub fn may_look_up(&self, user: &str) -> bool {
        let waits = self.cases.values().any(|row| row.case.state == CaseState::Accepted);
        let tasks = || self.tasks.values().map(|row| &row.task);
        let looks_again = |task: &Task| match &task.target {
            Target::Unresolved { selector } => {
                !matches!(selector.target, SelectorTarget::AccessKeyId(_))
            }
            _ => false,
        };
        let is_on_it = |task: &Task| match &task.target {
            Target::User { user: on } => on.id == user,
            _ => false,
        };
        waits || tasks().any(looks_again) || !tasks().any(is_on_it)
    }

    /// Nothing is left that would still be done by itself.
    pub fn is_settled(&self, now: Time) -> bool {
        let soon = now + TimeDelta::days(20);
        self.outbox.is_empty()
            && self
                .cases
                .values()
                .all(|row| row.due.is_none() || row.case.state != CaseState::Accepted)
            && !self.cases.values().any(|row| matches!(row.case.state, CaseState::Held { .. }))
            && !self.tasks.values().any(|row| usable::may_pass(&row.task, &self.unmended))
            && self.tasks.values().all(|row| match row.task.state {
                TaskState::Open | TaskState::Blocked { reason: BlockReason::Refused { .. } } => {
                    false
                }
                TaskState::Done { .. } => row.next_at.is_none_or(|at| at > soon),
                _ => true,
            })
    }
}
