//! The ledger: the durable queue and memory. Every method is one short transaction, durable when it
//! returns; none is open across a provider call.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use severance_lifecycle::case::{Case, CaseState};
use severance_lifecycle::credential::UserRef;
use severance_lifecycle::event::{Event, Malformed, Selector};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::{AccountId, CaseId, TaskId};
use severance_lifecycle::journal::{Happening, JournalEntry};
use severance_lifecycle::plan::Identity;
use severance_lifecycle::policy::Holds;
use severance_lifecycle::secret::Holding;
use severance_lifecycle::task::{Lane, Task};
use thiserror::Error;

use super::message::{Headers, Message, OutboxEntry};

/// Where a record came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coordinates {
    /// The topic's name on the broker.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The record's timestamp.
    pub timestamp: DateTime<Utc>,
}

/// One record as it arrived, decoded or not.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Where from.
    pub coordinates: Coordinates,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value, as it came.
    pub value: Option<Vec<u8>>,
    /// The record's headers, as they came.
    pub headers: Headers,
    /// What it says, or why it cannot be read.
    pub parsed: Result<Event, Malformed>,
    /// When it is stored.
    pub received_at: DateTime<Utc>,
}

/// What became of an arrival.
#[allow(missing_docs, reason = "the fields are named for what they are")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// It opened a case.
    Accepted { case: CaseId },
    /// Its `source` and `id` are known with the same content: dropped.
    Duplicate { case: CaseId },
    /// Its `source` and `id` are known with other content: kept, escalated and shown.
    Conflict { case: CaseId },
    /// Malformed: on its way to the dead-letter topic.
    DeadLettered,
}

/// The way in.
#[async_trait]
pub trait Inbox: Send + Sync + 'static {
    /// Stores a batch in one transaction: cases for new events (with contract revisions judged in the
    /// order given), dead letters into the outbox, conflicts escalated. When it returns, offsets may
    /// be stored. One answer per arrival, in order.
    ///
    /// # Errors
    /// [`LedgerError`]; then nothing of the batch is stored.
    async fn accept(&self, batch: Vec<Arrival>) -> Result<Vec<Acceptance>, LedgerError>;

    /// Writes a finding that belongs to no case into the outbox as an escalation (offsets that fell out
    /// of retention).
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn alarm(&self, finding: &Finding, at: DateTime<Utc>) -> Result<(), LedgerError>;
}

/// A lease on a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskLease {
    /// The task.
    pub task: severance_lifecycle::ids::TaskId,
    /// Proves that the lease is still this claim's.
    pub token: i64,
    /// When it ends, by our clock.
    pub until: DateTime<Utc>,
}

/// A lease on a case that is to be planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseLease {
    /// The case.
    pub case: CaseId,
    /// Proves that the lease is still this claim's.
    pub token: i64,
    /// When it ends, by our clock.
    pub until: DateTime<Utc>,
}

/// What is claimed.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// Our clock.
    pub now: DateTime<Utc>,
    /// When the leases end.
    pub until: DateTime<Utc>,
    /// The leases' token.
    pub token: i64,
    /// Only lanes at least this urgent.
    pub least_urgent: Lane,
    /// At most so many.
    pub limit: usize,
}

/// A task that was claimed.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The lease.
    pub lease: TaskLease,
    /// The task as the ledger has it.
    pub task: Task,
    /// How often in a row it failed.
    pub attempts: u32,
}

/// A case that was claimed for planning (or for planning again: its unresolved selectors).
#[derive(Clone, Debug)]
pub struct ClaimedCase {
    /// The lease.
    pub lease: CaseLease,
    /// The case.
    pub case: Case,
    /// Its event.
    pub event: Event,
    /// How often in a row planning failed.
    pub attempts: u32,
    /// For a `reinstated` contract end: the earlier cases of the contract and their tasks, whose
    /// changes are to be put back.
    pub undo: Vec<Task>,
    /// When it is planned again: the selectors that had no answer before, from the case's unresolved
    /// tasks. Only they are looked up again, so that nothing new slips into an old case. `None` at
    /// first.
    pub unresolved: Option<Vec<Selector>>,
    /// The unresolved tasks that were blocked by
    /// [`SecretsNotListed`](severance_lifecycle::task::BlockReason::SecretsNotListed): what they name was
    /// planned, and only the secrets that hand it out are still looked for. Empty at first.
    pub looked_on: BTreeSet<TaskId>,
    /// When it is planned again: the tasks that the case waits for, with how many credentials each comes
    /// to. Empty at first.
    pub known: BTreeMap<TaskId, usize>,
    /// When it is planned again: its tasks for secrets, which are left as they are. Empty at first.
    pub secrets: Vec<Task>,
    /// Where [`looked_on`](Self::looked_on) is not empty: the access keys that have tasks of their own.
    pub keys: BTreeSet<String>,
    /// Tasks of it are still to be let go: see [`Ledger::admit`].
    pub admits: bool,
}

/// A plan to store.
#[derive(Clone, Debug)]
pub struct PlanCommit {
    /// The case's new state: `Open`, `Held`, or `Closed` where there is nothing to do. `Accepted`
    /// where planning failed and is tried again at `again_at`.
    pub state: CaseState,
    /// New tasks. One that is known already is left as it is; one whose target an unresolved task
    /// stood for takes its place.
    pub tasks: Vec<NewTask>,
    /// Portions of it are stored already: what they added is let go, unless the case is held.
    pub in_portions: bool,
    /// Unresolved tasks that now have an answer: removed.
    pub resolved: Vec<severance_lifecycle::ids::TaskId>,
    /// For the journal.
    pub journal: Vec<JournalEntry>,
    /// For the outbox.
    pub messages: Vec<Message>,
    /// When planning is tried again: where it failed, or where selectors stay unresolved; attempts are
    /// counted up. Retrying an unresolved task makes its case due for planning at once.
    pub again_at: Option<DateTime<Utc>>,
}

/// A portion of a plan that is too large to be held at once.
#[derive(Clone, Debug)]
pub struct PlanPortion {
    /// New tasks. One that is known already is left as it is.
    pub tasks: Vec<NewTask>,
    /// For the journal.
    pub journal: Vec<JournalEntry>,
    /// For the outbox.
    pub messages: Vec<Message>,
}

/// A page of the inventory.
#[derive(Clone, Debug, Default)]
pub struct IdentityPage {
    /// The identities; fewer than were asked for where some do not match in full.
    pub identities: Vec<Identity>,
    /// Where the next page begins; `None` where there is none.
    pub next: Option<i64>,
}

/// A task to store, and when it may first run.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// The task.
    pub task: Task,
    /// When.
    pub next_at: DateTime<Utc>,
}

/// What one step of a task changed.
#[derive(Clone, Debug)]
pub struct Step {
    /// The task as it is now.
    pub task: Task,
    /// For the journal, in order.
    pub journal: Vec<JournalEntry>,
    /// For the outbox, in order.
    pub messages: Vec<Message>,
    /// Tasks that follow from this one (deletion after quarantine). A known one is left as it is, but
    /// for one that is not final and whose new `delete_after` is later: that one takes its place, with
    /// its time, since what was switched on and off again begins its quarantine anew.
    pub follow_ups: Vec<NewTask>,
    /// Gives the lease back; `None` keeps it.
    pub release: Option<Release>,
}

/// How a lease is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// When the task may be claimed again; `None`: never by itself.
    pub next_at: Option<DateTime<Utc>>,
    /// Failures in a row.
    pub attempts: u32,
}

/// The durable queue and memory.
#[async_trait]
pub trait Ledger: Inbox {
    /// Claims cases that are due for planning, compromise first, then by when they are due. Of a case that
    /// was not planned to its end, the portions that were stored are taken out: it begins anew.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn claim_cases(&self, request: &ClaimRequest) -> Result<Vec<ClaimedCase>, LedgerError>;

    /// Stores a portion of a plan; the lease stays. Its tasks are not claimed before
    /// [`commit_plan`](Self::commit_plan) has stored the rest.
    ///
    /// # Errors
    /// [`LedgerError::LeaseLost`] where the lease is not this claim's any more; then nothing is stored.
    async fn plan_portion(
        &self,
        lease: &CaseLease,
        portion: PlanPortion,
    ) -> Result<(), LedgerError>;

    /// Lets some of the tasks go that waited for their case to be planned or released; they keep their
    /// timers. Whether more may wait.
    ///
    /// # Errors
    /// [`LedgerError::LeaseLost`]
    async fn admit(&self, lease: &CaseLease, now: DateTime<Utc>) -> Result<bool, LedgerError>;

    /// Stores a plan and gives the case's lease back, in one transaction. Of one that was stored in
    /// portions, not all may be let go at once: then the case is due again at once, and
    /// [`admits`](ClaimedCase::admits). Closes the case at once where
    /// all its tasks are final.
    ///
    /// # Errors
    /// [`LedgerError::LeaseLost`] where the lease is not this claim's any more; then nothing is stored.
    async fn commit_plan(&self, lease: &CaseLease, plan: PlanCommit) -> Result<(), LedgerError>;

    /// Claims tasks that are due, in order of lane, then those whose first blow has not landed
    /// (`record.accepted_at` is none), then deadline. Never two of one
    /// [`lock`](severance_lifecycle::credential::Target::lock), never one that a plan added which held
    /// its case, until that is released, and never one that is superseded. An expired lease is free.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claimed>, LedgerError>;

    /// Stores one step in one transaction: the task, journal, outbox and follow-ups; where the task's
    /// state changed, the case is closed if nothing of it is open or blocked any more (journal and
    /// `case.closed` message in the same transaction), or reopened if a final task is open again.
    /// Returns whether the case closed.
    ///
    /// # Errors
    /// [`LedgerError::LeaseLost`] where the lease is not this claim's any more or has ended by `now`;
    /// then nothing is stored.
    async fn step(
        &self,
        lease: &TaskLease,
        now: DateTime<Utc>,
        step: Step,
    ) -> Result<bool, LedgerError>;

    /// Lengthens a lease.
    ///
    /// # Errors
    /// [`LedgerError::LeaseLost`]
    async fn renew(&self, lease: &TaskLease, until: DateTime<Utc>) -> Result<(), LedgerError>;

    /// Lengthens a lease on a case.
    ///
    /// # Errors
    /// [`LedgerError::LeaseLost`]
    async fn renew_case(&self, lease: &CaseLease, until: DateTime<Utc>) -> Result<(), LedgerError>;

    /// Whether another case (not superseded, not itself undone) wants the same target revoked, and
    /// whether one of those was opened by a compromise notice.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn holds(&self, task: &Task) -> Result<Holds, LedgerError>;

    /// Access keys of a user that tasks switched off and proved dead, and that nothing put back: they may go
    /// before their quarantine ends where a new key needs their place.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn dead_keys(&self, user: &UserRef) -> Result<BTreeSet<String>, LedgerError>;

    /// The next moment at which something becomes due after `now`: what the scheduler sleeps until.
    /// Also how many cases and tasks of the compromise lane are due now (what lower lanes wait for).
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn agenda(&self, now: DateTime<Utc>) -> Result<Agenda, LedgerError>;

    /// Claimed tasks of lower lanes that hold an identity which compromise work that is due waits for.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn in_the_way(&self, now: DateTime<Utc>) -> Result<BTreeSet<TaskId>, LedgerError>;

    /// Gives back all leases with this token (a drain).
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn release_all(&self, token: i64) -> Result<(), LedgerError>;

    /// The oldest messages that may be published now.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn outbox(
        &self,
        now: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<OutboxEntry>, LedgerError>;

    /// These messages were published: they leave the outbox.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn published(&self, ids: &[i64]) -> Result<(), LedgerError>;

    /// This message could not be published; it is tried again at `again_at`.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn defer(&self, id: i64, again_at: DateTime<Utc>, why: &str) -> Result<(), LedgerError>;

    /// This message is too large for the broker: it stays in the ledger, spilled, and `announcement`
    /// takes its place in the outbox.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn spill(&self, id: i64, announcement: &Message) -> Result<(), LedgerError>;

    /// Stores a page of an account's inventory under a generation. What a newer generation has stored
    /// stays as it is: two workers may list an account at one time.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn store_identities(
        &self,
        account: &AccountId,
        generation: i64,
        identities: &[Identity],
    ) -> Result<(), LedgerError>;

    /// The listing of this generation is complete: what older generations had and it has not is gone.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn finish_inventory(
        &self,
        account: &AccountId,
        generation: i64,
        at: DateTime<Utc>,
    ) -> Result<(), LedgerError>;

    /// When each account's listing was last complete: what [`finish_inventory`](Self::finish_inventory)
    /// said. An account that was never listed is missing, and roles within reach may be unknown.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn inventories(&self) -> Result<BTreeMap<AccountId, DateTime<Utc>>, LedgerError> {
        Ok(BTreeMap::new())
    }

    /// What the inventory knows of a selector that names few: a key, a user, a role.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn find_identities(&self, selector: &Selector) -> Result<Vec<Identity>, LedgerError>;

    /// What the inventory knows of any selector, page by page, in an order of the ledger's own that stays.
    /// The first page is after 0.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn identities_page(
        &self,
        selector: &Selector,
        after: i64,
        limit: usize,
    ) -> Result<IdentityPage, LedgerError>;

    /// Secrets that hand out one of these credentials, by the last listing, in the order of their ARNs.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn secrets_holding(&self, holds: &[Holding]) -> Result<Vec<Identity>, LedgerError>;

    /// What a secret of the inventory hands out from now on: a look has seen it, and the next listing is yet to
    /// come. Of a secret that was never listed nothing is kept.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn learn_holdings(&self, arn: &str, holds: &BTreeSet<Holding>)
    -> Result<(), LedgerError>;

    /// At most so many secrets in the order of their ARNs, those after `after`.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn secrets_after(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Identity>, LedgerError>;

    /// Roles whose trust policy names one of these principals in an allow.
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn roles_trusting(&self, principals: &[String]) -> Result<Vec<Identity>, LedgerError>;

    /// Appends journal entries outside a step (inventory findings, conflicts).
    ///
    /// # Errors
    /// [`LedgerError`]
    async fn note(
        &self,
        case: &CaseId,
        at: DateTime<Utc>,
        what: Happening,
    ) -> Result<(), LedgerError>;
}

/// What is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agenda {
    /// The next moment after now at which something becomes due.
    pub next_at: Option<DateTime<Utc>>,
    /// Compromise cases and tasks that are due now and not leased.
    pub urgent_due: usize,
    /// Everything that is due now and not leased.
    pub due: usize,
}

/// Why the ledger did not do what was asked.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The lease is not this claim's any more.
    #[error("the lease on {what} was lost")]
    LeaseLost {
        /// The task or case.
        what: String,
    },
    /// No such case or task.
    #[error("there is no {what}")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// It is not in a state in which that can be done.
    #[error("{what}: {why}")]
    Conflict {
        /// The case or task.
        what: String,
        /// Why.
        why: String,
    },
    /// The store failed (disk full, file gone). Nothing of the call is stored.
    #[error("the ledger cannot {doing}")]
    Store {
        /// What it was doing.
        doing: &'static str,
        /// The store's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
