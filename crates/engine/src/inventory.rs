//! The inventory: every account is listed when the worker starts and then on schedule, page by page,
//! away from the hot path.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::plan::Identity;

use crate::ports::{EngineEvent, InventorySink, LedgerError};
use crate::shared::Shared;

/// When each account was last listed, and which may not be listed at all: what an account that was never
/// listed holds is not known, so nothing can be said of the roles within reach.
#[derive(Default)]
pub(crate) struct Listings {
    listed: Mutex<BTreeMap<AccountId, DateTime<Utc>>>,
    refused: Mutex<BTreeSet<AccountId>>,
}

impl Listings {
    /// When the newest listing was complete.
    pub(crate) fn newest(&self) -> Option<DateTime<Utc>> {
        self.listed().values().max().copied()
    }

    /// Whether every account was listed, but for those that refuse to be: one of them is reported as
    /// such, and must not hold up everything else for ever.
    pub(crate) fn cover(&self, accounts: &[AccountId]) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = self.listed();
        accounts.iter().all(|account| listed.contains_key(account) || refused.contains(account))
    }

    fn listed(&self) -> MutexGuard<'_, BTreeMap<AccountId, DateTime<Utc>>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, account: &AccountId) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.insert(account.clone());
    }
}

/// Refreshes for ever; to be dropped when the worker drains.
pub(crate) async fn run(shared: Arc<Shared>) {
    learn(&shared).await;
    let mut failures = 0;
    loop {
        let mut failed = 0;
        for account in shared.provider.accounts() {
            if is_due(&shared, &account) && !refresh(&shared, &account).await {
                failed += 1;
            }
        }
        failures = if failed == 0 { 0 } else { failures + 1 };
        let every = shared.config.inventory_every;
        let pause = if failures == 0 {
            let oldest = shared.listings.listed().values().min().copied();
            oldest.map_or(every, |at| (at + every - shared.now()).clamp(every / 20, every))
        } else {
            // What could not be listed is asked for again before its turn.
            shared.delay(shared.config.retries.soon, failures)
        };
        shared.clock.sleep(pause).await;
    }
}

/// What earlier processes listed.
async fn learn(shared: &Shared) {
    match shared.ledger.inventories().await {
        Ok(known) => *shared.listings.listed() = known,
        Err(error) => shared.ledger_failed("read when the inventory was listed", &error),
    }
}

fn is_due(shared: &Shared, account: &AccountId) -> bool {
    let last = shared.listings.listed().get(account).copied();
    last.is_none_or(|at| at + shared.config.inventory_every <= shared.now())
}

async fn refresh(shared: &Shared, account: &AccountId) -> bool {
    let generation = shared.now().timestamp_millis();
    let mut pages = Pages { shared, account, generation, identities: 0 };
    let listed = shared.provider.inventory(account, &mut pages).await;
    let identities = pages.identities;
    if listed.as_ref().is_err_and(|failure| failure.class == FailureClass::Cannot) {
        shared.listings.refused(account);
    }
    let failure = match listed {
        Ok(()) => finish(shared, account, generation).await.err().map(|error| error.to_string()),
        Err(failure) => Some(failure.to_string()),
    };
    let failure = failure.as_deref();
    shared.observer.on(&EngineEvent::Inventory { account, identities, failure });
    failure.is_none()
}

async fn finish(shared: &Shared, account: &AccountId, generation: i64) -> Result<(), LedgerError> {
    let now = shared.now();
    shared.ledger.finish_inventory(account, generation, now).await?;
    shared.listings.listed().insert(account.clone(), now);
    Ok(())
}

struct Pages<'a> {
    shared: &'a Shared,
    account: &'a AccountId,
    generation: i64,
    identities: usize,
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
