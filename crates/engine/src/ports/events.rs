//! What the engine tells of itself: one struct of facts per happening, from which metrics and log
//! lines are made in one place.

use severance_lifecycle::failure::FailureClass;
use severance_lifecycle::ids::{AccountId, CaseId};
use severance_lifecycle::task::{Lane, Task, Verification};

/// What happened in the engine or at an adapter.
#[allow(missing_docs, reason = "the fields are named for what they are")]
#[derive(Debug)]
#[non_exhaustive]
pub enum EngineEvent<'a> {
    /// A case was planned.
    Planned { case: &'a CaseId, tasks: usize, held: bool },
    /// A decision was taken; `decision` is its kind (`act`, `wait`, `done`, `blocked`).
    Decided { task: &'a Task, decision: &'static str, reason: &'a str },
    /// A provider call ended; `code` is `ok` or the failure's code.
    Called {
        account: &'a AccountId,
        operation: &'a str,
        lane: Lane,
        code: &'a str,
        class: Option<FailureClass>,
        seconds: f64,
    },
    /// The provider accepted the last disabling call of a task for the first time.
    Accepted { task: &'a Task },
    /// A task was verified.
    Done { task: &'a Task, verification: Verification },
    /// A task was blocked.
    Blocked { task: &'a Task },
    /// A finished task was found open again.
    Reopened { task: &'a Task, because: &'a str },
    /// A case closed.
    CaseClosed { case: &'a CaseId },
    /// A lease was lost to another worker or to time.
    LeaseLost { task: &'a Task },
    /// The ledger failed; the engine tries again.
    LedgerFailed { doing: &'static str, error: &'a (dyn std::error::Error + 'static) },
    /// The inventory of an account was refreshed, or not.
    Inventory { account: &'a AccountId, identities: usize, failure: Option<&'a str> },
    /// A message was published, or not.
    Published { topic: super::Topic, failure: Option<&'a str> },
}

/// Takes in what happens. Called from hot paths: it must not block.
pub trait Observer: Send + Sync + 'static {
    /// Takes one happening in.
    fn on(&self, event: &EngineEvent<'_>);
}

/// For tests and tools that want none of it.
impl Observer for () {
    fn on(&self, _: &EngineEvent<'_>) {}
}
