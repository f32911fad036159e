//! The engine's ports. Each method says which connection it takes and what it would be doing if it
//! failed; what it does is elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use severance_engine::ports::{
    Acceptance, Agenda, Arrival, CaseDetail, CaseFilter, CaseLease, CaseSummary, ClaimRequest,
    Claimed, ClaimedCase, Counts, Exposure, IdentityPage, Inbox, Ledger, LedgerError, Message,
    OutboxEntry, PlanCommit, PlanPortion, Queries, Step, TaskDetail, TaskFilter, TaskLease, Topic,
};
use severance_lifecycle::credential::UserRef;
use severance_lifecycle::event::{Selector, Trigger};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::{AccountId, CaseId, TaskId};
use severance_lifecycle::journal::Happening;
use severance_lifecycle::outcome;
use severance_lifecycle::plan::Identity;
use severance_lifecycle::policy::Holds;
use severance_lifecycle::secret::Holding;
use severance_lifecycle::task::{Lane, Task};

use super::writer::Urgency;
use super::{
    SqliteLedger, accept, agenda, cases, claim, commands, during, holds, inventory, journal,
    leases, outbox, planning, queries, secrets, step,
};

/// Queues a call with the writer. It may be applied twice: what it takes is named, and each time it gets
/// copies.
macro_rules! write {
    ($self:ident, $urgency:expr, $doing:literal, [$($taken:ident),*],
     |$connection:ident| $work:expr) => {
        $self
            .writer
            .write($urgency, $doing, move |$connection| {
                $(let $taken = $taken.clone();)*
                Box::pin(async move { $work.await })
            })
            .await
    };
}

/// Asks on a connection that only reads.
macro_rules! read {
    ($self:ident, $doing:literal, |$connection:ident| $work:expr) => {{
        let mut taken = $self.readers.take().await;
        let $connection = &mut *taken;
        $work.await.map_err(during($doing))
    }};
}

#[async_trait]
impl Inbox for SqliteLedger {
    async fn accept(&self, batch: Vec<Arrival>) -> Result<Vec<Acceptance>, LedgerError> {
        let batch = Arc::new(batch);
        let urgent = batch.iter().any(|arrival| {
            arrival.parsed.as_ref().is_ok_and(|e| e.trigger() == Trigger::CompromiseNotice)
        });
        let urgency = if urgent { Urgency::Urgent } else { Urgency::Normal };
        write!(self, urgency, "store what arrived", [batch], |connection| {
            accept::accept(connection, &batch)
        })
    }

    async fn alarm(&self, finding: &Finding, at: DateTime<Utc>) -> Result<(), LedgerError> {
        let event = outcome::escalation(None, None, None, finding, at);
        let message = Message::event(Topic::Escalation, &event);
        write!(self, Urgency::Normal, "store an alarm", [message], |connection| {
            outbox::push(connection, message, None)
        })
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn claim_cases(&self, request: &ClaimRequest) -> Result<Vec<ClaimedCase>, LedgerError> {
        let request = request.clone();
        write!(self, Urgency::Step, "claim cases", [request], |connection| {
            planning::claim(connection, &request)
        })
    }

    async fn plan_portion(
        &self,
        lease: &CaseLease,
        portion: PlanPortion,
    ) -> Result<(), LedgerError> {
        let lease = lease.clone();
        // Urgent or not: nothing runs before the rest of the plan is stored, and it is much.
        write!(self, Urgency::Normal, "store a portion of a plan", [lease, portion], |connection| {
            planning::store_portion(connection, &lease, portion)
        })
    }

    async fn admit(&self, lease: &CaseLease, now: DateTime<Utc>) -> Result<bool, LedgerError> {
        let lease = lease.clone();
        write!(self, Urgency::Normal, "let tasks go", [lease], |connection| {
            planning::admit(connection, &lease, now)
        })
    }

    async fn commit_plan(&self, lease: &CaseLease, plan: PlanCommit) -> Result<(), LedgerError> {
        let urgent = plan.tasks.iter().all(|new| new.task.lane == Lane::Compromise);
        let lease = lease.clone();
        let urgency = if urgent { Urgency::Urgent } else { Urgency::Normal };
        write!(self, urgency, "store a plan", [lease, plan], |connection| {
            planning::commit(connection, &lease, plan)
        })
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claimed>, LedgerError> {
        let request = request.clone();
        write!(self, Urgency::Step, "claim tasks", [request], |connection| {
            claim::claim(connection, &request)
        })
    }

    async fn step(
        &self,
        lease: &TaskLease,
        now: DateTime<Utc>,
        step: Step,
    ) -> Result<bool, LedgerError> {
        let urgent = step.task.lane == Lane::Compromise;
        let lease = lease.clone();
        let urgency = if urgent { Urgency::Step } else { Urgency::Normal };
        write!(self, urgency, "store a step", [lease, step], |connection| {
            step::step(connection, &lease, now, step)
        })
    }

    async fn renew(&self, lease: &TaskLease, until: DateTime<Utc>) -> Result<(), LedgerError> {
        let lease = lease.clone();
        write!(self, Urgency::Step, "renew a lease", [lease], |connection| {
            leases::renew(connection, &lease, until)
        })
    }

    async fn renew_case(&self, lease: &CaseLease, until: DateTime<Utc>) -> Result<(), LedgerError> {
        let lease = lease.clone();
        write!(self, Urgency::Step, "renew a lease", [lease], |connection| {
            leases::renew_case(connection, &lease, until)
        })
    }

    async fn holds(&self, task: &Task) -> Result<Holds, LedgerError> {
        read!(self, "tell who else holds a target", |connection| holds::holds(connection, task))
    }

    async fn dead_keys(&self, user: &UserRef) -> Result<BTreeSet<String>, LedgerError> {
        read!(self, "tell which keys are dead", |connection| holds::dead_keys(connection, user))
    }

    async fn agenda(&self, now: DateTime<Utc>) -> Result<Agenda, LedgerError> {
        read!(self, "tell what is due", |connection| agenda::agenda(connection, now))
    }

    async fn in_the_way(&self, now: DateTime<Utc>) -> Result<BTreeSet<TaskId>, LedgerError> {
        read!(self, "tell who is in the way", |connection| holds::in_the_way(connection, now))
    }

    async fn release_all(&self, token: i64) -> Result<(), LedgerError> {
        write!(self, Urgency::Step, "give leases back", [], |connection| {
            leases::free_token(connection, token)
        })
    }

    async fn outbox(
        &self,
        now: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<OutboxEntry>, LedgerError> {
        read!(self, "read the outbox", |connection| outbox::due(connection, now, limit))
    }

    async fn published(&self, ids: &[i64]) -> Result<(), LedgerError> {
        let ids = ids.to_vec();
        write!(self, Urgency::Normal, "take messages out of the outbox", [ids], |connection| {
            outbox::remove(connection, &ids)
        })
    }

    async fn defer(&self, id: i64, again_at: DateTime<Utc>, why: &str) -> Result<(), LedgerError> {
        let why = why.to_owned();
        write!(self, Urgency::Normal, "defer a message", [why], |connection| {
            outbox::defer(connection, id, again_at, &why)
        })
    }

    async fn spill(&self, id: i64, announcement: &Message) -> Result<(), LedgerError> {
        let announcement = announcement.clone();
        write!(self, Urgency::Normal, "spill a message", [announcement], |connection| {
            outbox::spill(connection, id, announcement)
        })
    }

    async fn store_identities(
        &self,
        account: &AccountId,
        generation: i64,
        identities: &[Identity],
    ) -> Result<(), LedgerError> {
        let (account, identities) = (account.clone(), identities.to_vec());
        let keys = self.tag_keys.clone();
        write!(
            self,
            Urgency::Normal,
            "store identities",
            [account, identities, keys],
            |connection| { inventory::store(connection, &account, generation, &identities, &keys) }
        )
    }

    async fn finish_inventory(
        &self,
        account: &AccountId,
        generation: i64,
        at: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        let account = account.clone();
        write!(self, Urgency::Normal, "finish an inventory", [account], |connection| {
            inventory::finish(connection, &account, generation, at)
        })
    }

    async fn inventories(&self) -> Result<BTreeMap<AccountId, DateTime<Utc>>, LedgerError> {
        read!(self, "read when accounts were listed", |connection| {
            inventory::finished(connection)
        })
    }

    async fn find_identities(&self, selector: &Selector) -> Result<Vec<Identity>, LedgerError> {
        read!(self, "look identities up", |connection| {
            inventory::find(connection, &self.tag_keys, selector)
        })
    }

    async fn identities_page(
        &self,
        selector: &Selector,
        after: i64,
        limit: usize,
    ) -> Result<IdentityPage, LedgerError> {
        read!(self, "read a page of the inventory", |connection| {
            inventory::page(connection, &self.tag_keys, selector, after, limit)
        })
    }

    async fn secrets_holding(&self, holds: &[Holding]) -> Result<Vec<Identity>, LedgerError> {
        read!(self, "look up who holds a credential", |connection| {
            secrets::holding(connection, holds)
        })
    }

    async fn learn_holdings(
        &self,
        arn: &str,
        holds: &BTreeSet<Holding>,
    ) -> Result<(), LedgerError> {
        let (arn, holds) = (arn.to_owned(), holds.clone());
        write!(self, Urgency::Normal, "store what a secret hands out", [arn, holds], |connection| {
            secrets::learn(connection, &arn, &holds)
        })
    }

    async fn secrets_after(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Identity>, LedgerError> {
        read!(self, "go through secrets", |connection| { secrets::after(connection, after, limit) })
    }

    async fn roles_trusting(&self, principals: &[String]) -> Result<Vec<Identity>, LedgerError> {
        read!(self, "look roles up", |connection| {
            inventory::roles_trusting(connection, principals)
        })
    }

    async fn note(
        &self,
        case: &CaseId,
        at: DateTime<Utc>,
        what: Happening,
    ) -> Result<(), LedgerError> {
        let id = case.clone();
        write!(self, Urgency::Normal, "note something", [id, what], |connection| async {
            let case = cases::load(connection, &id).await?.case;
            match what {
                Happening::Found { finding } => {
                    let zone = case.zone.as_ref();
                    journal::found(connection, &id, zone, at, finding).await
                }
                what => journal::about_case(connection, &id, at, what).await.map(drop),
            }
        })
    }
}

#[async_trait]
impl Queries for SqliteLedger {
    async fn cases(&self, filter: &CaseFilter) -> Result<Vec<CaseSummary>, LedgerError> {
        read!(self, "list cases", |connection| queries::cases(connection, filter))
    }

    async fn case(&self, id: &CaseId) -> Result<CaseDetail, LedgerError> {
        read!(self, "read a case", |connection| queries::case(connection, id))
    }

    async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskDetail>, LedgerError> {
        read!(self, "list tasks", |connection| queries::tasks(connection, filter))
    }

    async fn counts(&self) -> Result<Counts, LedgerError> {
        read!(self, "count", |connection| queries::counts(connection))
    }

    async fn exposures(&self) -> Result<Vec<Exposure>, LedgerError> {
        read!(self, "tell open exposures", |connection| queries::exposures(connection))
    }

    async fn retry(
        &self,
        task: Option<&TaskId>,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<usize, LedgerError> {
        let (task, by) = (task.cloned(), by.to_owned());
        write!(self, Urgency::Step, "retry", [task, by], |connection| {
            commands::retry(connection, task.as_ref(), &by, now)
        })
    }

    async fn release(
        &self,
        case: &CaseId,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        let (case, by) = (case.clone(), by.to_owned());
        write!(self, Urgency::Step, "release a case", [case, by], |connection| {
            commands::release(connection, &case, &by, now)
        })
    }
}
