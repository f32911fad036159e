//! Roles as they are now, for what is exposed: the inventory may be as old as its refresh, and whoever had the
//! credential may have made a role since, or had one opened to it.

use futures::future::try_join_all;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::task::Lane;
use tokio::sync::Mutex;

use crate::inventory::{Pages, Ticket};
use crate::shared::Shared;

/// Listings of the roles of all accounts: one at a time, each for all who asked before it began.
#[derive(Default)]
pub(crate) struct Roles {
    /// When the last one began. Held while one runs: only urgent work asks, whose calls wait for nobody's who
    /// could wait for it.
    last: Mutex<Ticket>,
}

impl Roles {
    /// Has every account's roles listed, by a listing that begins after this was asked. Accounts that refuse to be
    /// listed are left out, as the inventory's alarm says of them.
    ///
    /// # Errors
    /// What an account's listing failed with, in passing.
    pub(crate) async fn list(&self, shared: &Shared) -> Result<(), Failure> {
        let asked = shared.listings.ticket();
        let mut last = self.last.lock().await;
        if *last > asked {
            return Ok(());
        }
        let began = shared.listings.ticket();
        let accounts = shared.provider.accounts();
        let accounts = accounts.iter().filter(|account| !shared.listings.is_given_up(account));
        try_join_all(accounts.map(|account| of(shared, account, began))).await?;
        *last = began;
        Ok(())
    }
}

async fn of(shared: &Shared, account: &AccountId, began: Ticket) -> Result<(), Failure> {
    let mut pages = Pages::new(shared, account, shared.now());
    match shared.provider.roles(account, Lane::Compromise, &mut pages).await {
        Err(failure) if failure.class == FailureClass::Cannot => {
            tracing::warn!(%account, %failure, "roles cannot be listed");
            Ok(())
        }
        Err(failure) => {
            // So that an account which keeps failing is given up in time, and told.
            shared.listings.began_after(std::slice::from_ref(account), began, true);
            Err(failure)
        }
        Ok(()) => Ok(()),
    }
}
