//! A plan in the making: what the planner said is put down, in portions where it is much.

use std::collections::BTreeMap;

use severance_lifecycle::case::{CaseState, Closing};
use severance_lifecycle::credential::Target;
use severance_lifecycle::failure::Failure;
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::TaskId;
use severance_lifecycle::journal::{Happening, JournalEntry};
use severance_lifecycle::outcome;
use severance_lifecycle::plan::{Planned, unresolved_task};
use severance_lifecycle::task::{BlockReason, Task, TaskState};

use super::ahead::Memory;
use super::times::Times;
use super::{Drawn, PASSING, holding, looks};
use crate::ports::{ClaimedCase, EngineEvent, LedgerError, NewTask, PlanCommit, PlanPortion};
use crate::shared::Shared;
use crate::telling::Telling;

/// A plan in the making.
pub(super) struct Draft<'a> {
    shared: &'a Shared,
    claimed: &'a ClaimedCase,
    memory: &'a mut Memory,
    /// Lookups that failed in passing, by the task that stands for them.
    failures: BTreeMap<TaskId, Failure>,
    times: Times,
    telling: Telling,
    /// Not stored yet.
    tasks: Vec<NewTask>,
    /// How many credentials each task of the whole plan comes to.
    credentials: BTreeMap<TaskId, usize>,
    in_portions: bool,
    /// Something of it may run.
    open: bool,
    /// Something of it is more than a selector without an answer.
    answers: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        claimed: &'a ClaimedCase,
        memory: &'a mut Memory,
        failures: BTreeMap<TaskId, Failure>,
        times: Times,
    ) -> Self {
        Self {
            shared,
            claimed,
            memory,
            failures,
            times,
            telling: Telling::default(),
            tasks: Vec::new(),
            credentials: BTreeMap::new(),
            in_portions: false,
            open: false,
            answers: false,
        }
    }

    /// Whether some of it is stored already.
    pub(super) fn is_in_portions(&self) -> bool {
        self.in_portions
    }

    /// Lookups that failed in passing, by the task that stands for them.
    pub(super) fn fail(&mut self, failures: impl IntoIterator<Item = (TaskId, Failure)>) {
        self.failures.extend(failures);
    }

    /// Puts down what the planner said.
    pub(super) fn add(&mut self, planned: Planned) {
        for finding in planned.findings {
            if self.memory.findings.insert(finding.clone()) {
                self.tell_finding(finding);
            }
        }
        for mut task in planned.tasks {
            looks::awaits_listing(self.shared, self.memory.ticket, &mut task);
            self.answers |= !is_unresolved(&task);
            self.open |= task.state == TaskState::Open;
            self.credentials.insert(task.id.clone(), task.credentials);
            let next_at = self.times.of_task(&task, &self.failures);
            self.tasks.push(NewTask { task, next_at });
        }
    }

    /// Stores what was put down so far.
    pub(super) async fn store_portion(&mut self) -> Result<(), LedgerError> {
        self.in_portions = true;
        self.tell_blocked();
        let Telling { journal, messages } = std::mem::take(&mut self.telling);
        let tasks = std::mem::take(&mut self.tasks);
        let portion = PlanPortion { tasks, journal, messages };
        self.shared.ledger.plan_portion(&self.claimed.lease, portion).await
    }

    /// What is left to be stored, and what becomes of the case.
    pub(super) fn finish(mut self) -> Drawn {
        let case = &self.claimed.case;
        let first = self.is_first();
        let found = std::mem::take(&mut self.telling);
        if first || self.answers {
            let (tasks, credentials) = (self.credentials.len(), self.credentials.values().sum());
            let planned = Happening::Planned { tasks, credentials };
            self.telling.case(&case.id, self.shared.now(), planned);
        }
        self.telling.journal.extend(found.journal);
        self.telling.messages.extend(found.messages);
        let answered = self.answered();
        let (shared, claimed) = (self.shared, self.claimed);
        let held = holding::hold(shared, claimed, &answered, &self.credentials, &mut self.telling);
        let mut resolved = answered;
        resolved.extend(self.tell_blocked());
        let again_at = self.times.again_at(&self.tasks, &self.failures);
        let state = held.unwrap_or_else(|| match (first, self.credentials.is_empty()) {
            (false, _) => case.state.clone(),
            (true, true) => CaseState::Closed { how: Closing::NothingToDo },
            (true, false) => CaseState::Open,
        });
        let stored = self.in_portions.then_some(self.times.now);
        let due = self.tasks.iter().map(|new| new.next_at).chain(again_at).chain(stored);
        Drawn {
            tasks: self.credentials.len(),
            open: self.open,
            next: due.min(),
            commit: PlanCommit {
                state,
                again_at,
                tasks: self.tasks,
                in_portions: self.in_portions,
                resolved,
                journal: self.telling.journal,
                messages: self.telling.messages,
            },
        }
    }

    fn is_first(&self) -> bool {
        self.claimed.unresolved.is_none()
    }

    /// Tells of what is blocked from the beginning. Answers unresolved tasks of an earlier plan that are
    /// to be stored anew: they may be blocked for another reason than before.
    fn tell_blocked(&mut self) -> Vec<TaskId> {
        let (case, now) = (&self.claimed.case, self.shared.now());
        let first = self.is_first();
        let mut anew = Vec::new();
        for NewTask { task, next_at } in &self.tasks {
            let TaskState::Blocked { reason } = &task.state else { continue };
            let failure = self.failures.get(&task.id);
            if let Some(failure) = failure.cloned() {
                self.telling.case(&case.id, now, Happening::Failed { action: None, failure });
            }
            let passes = failure.is_some() && self.claimed.attempts < PASSING;
            let waits = reason.waits_for_listing();
            if waits && first {
                let reason = reason.to_string();
                self.telling.case(&case.id, now, Happening::Waiting { until: *next_at, reason });
            }
            // What could not be looked up before is now, all but its secrets.
            let looked_on = &self.claimed.looked_on;
            if *reason == BlockReason::SecretsNotListed && !first && !looked_on.contains(&task.id) {
                anew.push(task.id.clone());
            }
            if passes || waits {
                continue;
            }
            let replaced = !first && matches!(task.target, Target::Unresolved { .. });
            if replaced {
                anew.push(task.id.clone());
            }
            // What an earlier process told long ago is not told again.
            let old = replaced && !self.memory.planned && self.claimed.attempts >= PASSING;
            if self.memory.blocked.insert(task.id.clone()) && !old {
                self.telling.blocked(task, reason, now);
                self.shared.observer.on(&EngineEvent::Blocked { task });
            }
        }
        anew
    }

    /// Unresolved tasks of an earlier plan whose selector has an answer now.
    fn answered(&self) -> Vec<TaskId> {
        let case = &self.claimed.case;
        let selectors = self.claimed.unresolved.iter().flatten();
        selectors
            .map(|selector| unresolved_task(&case.id, case.trigger, selector))
            .filter(|id| !self.credentials.contains_key(id))
            .collect()
    }

    fn tell_finding(&mut self, finding: Finding) {
        let (case, now) = (&self.claimed.case, self.shared.now());
        if finding.escalates() {
            let zone = case.zone.as_ref();
            let escalation = outcome::escalation(Some(&case.id), None, zone, &finding, now);
            self.telling.escalation(&escalation);
        }
        let what = Happening::Found { finding };
        self.telling.journal.push(JournalEntry {
            at: now,
            case: case.id.clone(),
            task: None,
            what,
        });
    }
}

/// Whether a task stands for a selector that may have an answer later.
pub(super) fn is_unresolved(task: &Task) -> bool {
    let hopeless = matches!(task.state, TaskState::Blocked { reason: BlockReason::SessionKey });
    matches!(task.target, Target::Unresolved { .. }) && !hopeless
}
