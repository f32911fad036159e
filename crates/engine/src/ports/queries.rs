//! What people ask of the ledger, and the few things that they may tell it.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use severance_lifecycle::case::Case;
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::{CaseId, TaskId, ZoneName};
use severance_lifecycle::journal::JournalEntry;
use severance_lifecycle::task::Task;

use super::ledger::LedgerError;

/// Questions and commands of people, over the local HTTP API.
#[async_trait]
pub trait Queries: Send + Sync + 'static {
    /// Cases, the newest first.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn cases(&self, filter: &CaseFilter) -> Result<Vec<CaseSummary>, LedgerError>;

    /// One case, with its tasks, findings and timeline.
    ///
    /// # Errors
    /// [`LedgerError::NotFound`]
    async fn case(&self, id: &CaseId) -> Result<CaseDetail, LedgerError>;

    /// Tasks: open and blocked first, then by deadline.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskDetail>, LedgerError>;

    /// How many of everything.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn counts(&self) -> Result<Counts, LedgerError>;

    /// Open exposures by zone: tasks that count, are enforced, and are not verified.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn exposures(&self) -> Result<Vec<Exposure>, LedgerError>;

    /// Runs a blocked task now; without an id, all of them. Returns how many.
    ///
    /// # Errors
    /// [`LedgerError::NotFound`], [`LedgerError::Conflict`]
    async fn retry(
        &self,
        task: Option<&TaskId>,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<usize, LedgerError>;

    /// Lets a held case go: all that was planned of it, and as many credentials as it then came to
    /// (`Case::released`). A later plan that brings it beyond those holds it again.
    ///
    /// # Errors
    /// [`LedgerError::NotFound`], [`LedgerError::Conflict`]
    async fn release(&self, case: &CaseId, by: &str, now: DateTime<Utc>)
    -> Result<(), LedgerError>;
}

/// Which cases.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CaseFilter {
    /// Only in this state (`accepted`, `held`, `open`, `closed`).
    pub state: Option<String>,
    /// Only of the event with this CloudEvents `id`.
    pub event_id: Option<String>,
    /// Only with a task in this zone, or of it.
    pub zone: Option<ZoneName>,
    /// At most so many; 100 where none is given.
    pub limit: Option<u32>,
}

/// Which tasks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskFilter {
    /// Only in this state (`open`, `blocked`, `done`, `observed`, `superseded`).
    pub state: Option<String>,
    /// Only of this case.
    pub case: Option<CaseId>,
    /// Only in this zone.
    pub zone: Option<ZoneName>,
    /// At most so many; 100 where none is given.
    pub limit: Option<u32>,
}

/// A case and how far it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaseSummary {
    /// The case.
    pub case: Case,
    /// Its counting tasks.
    pub tasks: usize,
    /// Those that are final.
    pub finished: usize,
    /// Those that are blocked.
    pub blocked: usize,
    /// Those that were only observed.
    #[serde(default)]
    pub observed: usize,
    /// The zones of its tasks: none, one, or the first and the last of several.
    #[serde(default)]
    pub zones: Vec<ZoneName>,
}

/// A case with everything.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaseDetail {
    /// The case and how far it is.
    pub summary: CaseSummary,
    /// All its tasks.
    pub tasks: Vec<TaskDetail>,
    /// Its findings.
    pub findings: Vec<Finding>,
    /// Its timeline.
    pub journal: Vec<Journaled>,
}

/// A task with its place in the queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskDetail {
    /// The task.
    pub task: Task,
    /// When it may run next.
    pub next_at: Option<DateTime<Utc>>,
    /// Failures in a row.
    pub attempts: u32,
    /// Whether a worker has it now.
    pub leased: bool,
    /// The reason of the last decision.
    pub last_reason: Option<String>,
}

/// A journal entry with its number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Journaled {
    /// Its number in the ledger.
    pub sequence: i64,
    /// The entry.
    #[serde(flatten)]
    pub entry: JournalEntry,
}

/// How many of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Events that opened a case.
    pub accepted: u64,
    /// Events that were known already.
    pub duplicates: u64,
    /// Events with a known key and other content.
    pub conflicts: u64,
    /// Records that went to the dead-letter topic.
    pub dead_lettered: u64,
    /// Cases not closed.
    pub cases_open: u64,
    /// Cases held.
    pub cases_held: u64,
    /// Cases closed.
    pub cases_closed: u64,
    /// Counting tasks that are open.
    pub tasks_open: u64,
    /// Counting tasks that are blocked.
    pub tasks_blocked: u64,
    /// Counting tasks that are done.
    pub tasks_done: u64,
    /// Messages that wait in the outbox.
    pub outbox: u64,
}

/// Open exposures of one zone, trigger and kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposure {
    /// The zone.
    pub zone: ZoneName,
    /// What opened the cases.
    pub trigger: severance_lifecycle::event::Trigger,
    /// The kind of target.
    pub kind: severance_lifecycle::credential::TargetKind,
    /// Whether they are blocked.
    pub blocked: bool,
    /// How many.
    pub open: u64,
    /// Since when the oldest is noticed.
    pub oldest: DateTime<Utc>,
}
