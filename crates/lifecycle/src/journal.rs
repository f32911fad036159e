//! The journal: what was decided, intended, done and seen, in the order it happened. Written in the
//! same transaction as the state change that it tells of.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::failure::Failure;
use crate::finding::Finding;
use crate::ids::{CaseId, TaskId};
use crate::record::ProbeAnswer;
use crate::task::{BlockReason, Verification};

/// One line of a case's timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// When, by our clock.
    pub at: DateTime<Utc>,
    /// The case.
    pub case: CaseId,
    /// The task, where it is about one.
    pub task: Option<TaskId>,
    /// What happened.
    pub what: Happening,
}

/// What happened.
#[allow(missing_docs, reason = "the fields are named for what they are")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Happening {
    /// The event was accepted.
    Accepted,
    /// What it names was looked up and became tasks.
    Planned { tasks: usize, credentials: usize },
    /// Over the blast-radius limit: held.
    Held { credentials: usize, limit: usize },
    /// A person released it.
    Released { by: String },
    /// About to call; the reason is the decision's.
    Intent { action: Action, reason: String },
    /// The provider accepted the call.
    Applied { action: Action, request_id: Option<String> },
    /// The provider refused, or did not answer.
    Failed { action: Option<Action>, failure: Failure },
    /// A probe's answer.
    Probed { key_id: String, answer: ProbeAnswer, request_id: Option<String> },
    /// What trying a version of a secret at its issuer told.
    Tried { version: String, answer: ProbeAnswer, request_id: Option<String> },
    /// Waiting; the reason is the decision's.
    Waiting { until: DateTime<Utc>, reason: String },
    /// In `observe`: what would have been done.
    WouldDo { actions: Vec<Action> },
    /// It cannot be finished for now.
    Blocked { reason: BlockReason },
    /// Proven.
    Done { verification: Verification },
    /// A person asked for another try.
    Retried { by: String },
    /// Open again after it was done.
    Reopened { because: String },
    /// A newer revision took its place.
    Superseded { by: CaseId },
    /// The case closed.
    Closed { how: crate::case::Closing },
    /// Something that a person should know.
    Found { finding: Finding },
}
