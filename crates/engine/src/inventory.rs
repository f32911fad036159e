//! The inventory: every account is listed when the worker starts and then on schedule, page by page,
//! away from the hot path.

mod listings;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::future::join_all;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::plan::Identity;

pub(crate) use self::listings::{Listings, Pressing, Ticket};
use crate::ports::{EngineEvent, InventorySink, LedgerError};
use crate::shared::Shared;
use crate::urgency::Presence;

/// Refreshes for ever; to be dropped when the worker drains. No account waits for another.
pub(crate) async fn run(shared: Arc<Shared>) {
    learn(&shared).await;
    let accounts = shared.provider.accounts();
    join_all(accounts.iter().map(|account| keep(&shared, account))).await;
}

async fn keep(shared: &Shared, account: &AccountId) {
    let every = shared.config.inventory_every;
    let mut failures = 0;
    loop {
        let mut wanted = std::pin::pin!(shared.listings.wanted());
        wanted.as_mut().enable();
        if let Some(pressing) = shared.listings.due(account, every, shared.now()) {
            if listed(shared, account, pressing).await {
                failures = 0;
            } else {
                // What could not be listed is asked for again before its turn.
                failures += 1;
                let pause = shared.delay(shared.config.retries.soon, failures);
                shared.clock.sleep(pause).await;
                shared.listings.paused(account, pause);
            }
            continue;
        }
        let last = shared.listings.last(account);
        let left = last.map_or(every, |at| at + every - shared.now());
        tokio::select! {
            biased;
            () = wanted => {}
            () = shared.clock.sleep(left.clamp(every / 20, every)) => {}
        }
    }
}

/// Lists an account; at once where work waits for it, else when nothing urgent is to be done.
async fn listed(shared: &Shared, account: &AccountId, pressing: Pressing) -> bool {
    let refresh = async {
        Presence::set_proving(pressing == Pressing::Proof);
        refresh(shared, account).await
    };
    match pressing {
        Pressing::Not => refresh.await,
        Pressing::Proof | Pressing::Blow => shared.urgency.enter().scope(refresh).await,
    }
}

/// What earlier processes listed.
async fn learn(shared: &Shared) {
    match shared.ledger.inventories().await {
        Ok(known) => {
            for (account, at) in known {
                shared.listings.learn(account, at);
            }
        }
        Err(error) => shared.ledger_failed("read when the inventory was listed", &error),
    }
}

async fn refresh(shared: &Shared, account: &AccountId) -> bool {
    let began = (shared.listings.ticket(), shared.now());
    let mut pages = Pages::new(shared, account, began.1);
    let listed = shared.provider.inventory(account, &mut pages).await;
    let identities = pages.identities;
    let refuses = listed.as_ref().is_err_and(|failure| failure.class == FailureClass::Cannot);
    let failure = match listed {
        Ok(()) => finish(shared, account, began).await.err().map(|error| error.to_string()),
        Err(failure) => Some(failure.to_string()),
    };
    let failure = failure.as_deref();
    shared.observer.on(&EngineEvent::Inventory { account, identities, failure });
    if failure.is_some() && shared.listings.failed(account, refuses) {
        give_up(shared, account).await;
    }
    failure.is_none()
}

/// Tells a person, once, that an account is not waited for any more.
async fn give_up(shared: &Shared, account: &AccountId) {
    let finding = Finding::AccountNotListed { account: account.0.clone() };
    match shared.ledger.alarm(&finding, shared.now()).await {
        Ok(()) => {
            shared.listings.told(account);
            shared.urgency.written();
        }
        Err(error) => shared.ledger_failed("tell of an account that cannot be listed", &error),
    }
}

async fn finish(
    shared: &Shared,
    account: &AccountId,
    began: (Ticket, DateTime<Utc>),
) -> Result<(), LedgerError> {
    let now = shared.now();
    shared.ledger.finish_inventory(account, began.1.timestamp_millis(), now).await?;
    shared.listings.listed(account, began, now);
    Ok(())
}

/// Stores what is listed, page by page.
pub(crate) struct Pages<'a> {
    shared: &'a Shared,
    account: &'a AccountId,
    generation: i64,
    identities: usize,
}

impl<'a> Pages<'a> {
    /// Of a listing that began then.
    pub(crate) fn new(shared: &'a Shared, account: &'a AccountId, began: DateTime<Utc>) -> Self {
        Self { shared, account, generation: began.timestamp_millis(), identities: 0 }
    }
}

#[async_trait]
impl InventorySink for Pages<'_> {
    async fn page(&mut self, identities: Vec<Identity>) -> Result<(), Failure> {
        self.identities += identities.len();
        let stored =
            self.shared.ledger.store_identities(self.account, self.generation, &identities).await;
        stored.map_err(|error| as_failure(&error))
    }
}

fn as_failure(error: &LedgerError) -> Failure {
    Failure {
        class: FailureClass::RetrySoon,
        operation: "ledger:StoreIdentities".to_owned(),
        code: "LedgerFailed".to_owned(),
        message: error.to_string(),
        request_id: None,
    }
}
