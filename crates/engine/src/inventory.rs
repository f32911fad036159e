//! The inventory: every account is listed when the worker starts and then on schedule, page by page,
//! away from the hot path.

use std::sync::Arc;

use async_trait::async_trait;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::plan::Identity;

use crate::ports::{EngineEvent, InventorySink, LedgerError};
use crate::shared::Shared;

/// Refreshes for ever; to be dropped when the worker drains.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        let mut failures = 0;
        for account in shared.provider.accounts() {
            if !refresh(&shared, &account).await {
                failures = 1;
            }
        }
        let pause = if failures == 0 {
            shared.config.inventory_every
        } else {
            // What could not be listed is asked for again before its turn.
            shared.delay(shared.config.retries.blocked, failures).min(shared.config.inventory_every)
        };
        shared.clock.sleep(pause).await;
    }
}

async fn refresh(shared: &Shared, account: &AccountId) -> bool {
    let generation = shared.now().timestamp_millis();
    let mut pages = Pages { shared, account, generation, identities: 0 };
    let listed = shared.provider.inventory(account, &mut pages).await;
    let identities = pages.identities;
    let failure = match listed {
        Ok(()) => {
            let finished = shared.ledger.finish_inventory(account, generation, shared.now()).await;
            finished.err().map(|error| error.to_string())
        }
        Err(failure) => Some(failure.to_string()),
    };
    let failure = failure.as_deref();
    shared.observer.on(&EngineEvent::Inventory { account, identities, failure });
    failure.is_none()
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
