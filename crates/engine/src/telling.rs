//! Journal entries and messages that a step or a plan carries.

use chrono::{DateTime, Utc};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::CaseId;
use severance_lifecycle::journal::{Happening, JournalEntry};
use severance_lifecycle::outcome::{self, OutboundEvent};
use severance_lifecycle::task::{BlockReason, Task};

use crate::ports::{Message, Topic};

/// What is to be written with the next transaction.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    pub(crate) journal: Vec<JournalEntry>,
    pub(crate) messages: Vec<Message>,
}

impl Telling {
    /// Something happened to a task.
    pub(crate) fn task(&mut self, task: &Task, at: DateTime<Utc>, what: Happening) {
        let task_id = Some(task.id.clone());
        self.journal.push(JournalEntry { at, case: task.case.clone(), task: task_id, what });
    }

    /// Something happened to a case.
    pub(crate) fn case(&mut self, case: &CaseId, at: DateTime<Utc>, what: Happening) {
        self.journal.push(JournalEntry { at, case: case.clone(), task: None, what });
    }

    pub(crate) fn outcome(&mut self, event: &OutboundEvent) {
        self.messages.push(Message::event(Topic::Outcome, event));
    }

    pub(crate) fn escalation(&mut self, event: &OutboundEvent) {
        self.messages.push(Message::event(Topic::Escalation, event));
    }

    /// A finding about a task.
    pub(crate) fn finding(&mut self, task: &Task, at: DateTime<Utc>, finding: Finding) {
        if finding.escalates() {
            let (case, zone) = (Some(&task.case), Some(&task.binding.zone));
            self.escalation(&outcome::escalation(case, Some(&task.id), zone, &finding, at));
        }
        self.task(task, at, Happening::Found { finding });
    }

    /// A task is blocked: its outcome, and its zone's owner is told.
    pub(crate) fn blocked(&mut self, task: &Task, reason: &BlockReason, at: DateTime<Utc>) {
        self.task(task, at, Happening::Blocked { reason: reason.clone() });
        self.outcome(&outcome::blocked(task, reason, at));
        self.escalation(&outcome::escalation_of_block(task, reason, at));
    }
}
