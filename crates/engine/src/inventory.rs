//! The inventory: every account is listed when the worker starts and then on schedule, page by page,
//! away from the hot path.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::plan::Identity;
use tokio::sync::Notify;

use crate::ports::{EngineEvent, InventorySink, LedgerError};
use crate::shared::Shared;

/// An account whose listing fails so long, as the pauses between its tries add up (a clock that is set
/// shortens no pause), counts as one that refuses to be listed: a person is told, and
/// contract ends and verifications of every other account go on.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);

/// A moment in the order of listings, whatever the clock says: what began after it was drawn has seen
/// everything that was there at that moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// When each account was last listed, and which may not be listed at all: what an account that was never
/// listed holds is not known, so nothing can be said of the roles within reach.
#[derive(Default)]
pub(crate) struct Listings {
    state: Mutex<State>,
    wanted: Notify,
}

#[derive(Default)]
struct State {
    drawn: u64,
    accounts: BTreeMap<AccountId, Standing>,
}

#[derive(Default)]
struct Standing {
    /// When the last listing was complete.
    listed: Option<DateTime<Utc>>,
    /// When that one began; unknown of one that an earlier process made.
    began: Option<(Ticket, DateTime<Utc>)>,
    /// A listing is waited for that begins after this, and whether urgent work waits for it.
    wanted: Option<(Ticket, bool)>,
    /// How long was paused between tries that all failed.
    paused: TimeDelta,
    /// It refuses, or failed for too long: nothing waits for it any more.
    given_up: bool,
    /// That was told.
    told: bool,
}

impl Listings {
    /// When the newest listing was complete.
    pub(crate) fn newest(&self) -> Option<DateTime<Utc>> {
        self.state().accounts.values().filter_map(|account| account.listed).max()
    }

    /// Whether every account was listed, but for those that refuse to be: one of them is reported as
    /// such, and must not hold up everything else for ever.
    pub(crate) fn cover(&self, accounts: &[AccountId]) -> bool {
        let state = self.state();
        let known = |id| state.accounts.get(id).is_some_and(|a| a.listed.is_some() || a.given_up);
        accounts.iter().all(known)
    }

    /// Whether what an account holds is known, by the last listing.
    pub(crate) fn is_listed(&self, account: &AccountId) -> bool {
        self.state().accounts.get(account).is_some_and(|account| account.listed.is_some())
    }

    /// Draws a ticket.
    pub(crate) fn ticket(&self) -> Ticket {
        self.state().draw()
    }

    /// Whether every account was listed by a listing that began after the ticket was drawn (but for
    /// those that cannot be). Such a listing is asked for where it was not.
    pub(crate) fn began_after(&self, accounts: &[AccountId], than: Ticket, urgent: bool) -> bool {
        let mut state = self.state();
        let mut all = true;
        for id in accounts {
            let account = state.accounts.entry(id.clone()).or_default();
            if account.given_up || account.began.is_some_and(|(began, _)| began > than) {
                continue;
            }
            all = false;
            let (ticket, urgently) = account.wanted.unwrap_or_default();
            account.wanted = Some((ticket.max(than), urgently || urgent));
        }
        drop(state);
        if !all {
            self.wanted.notify_waiters();
        }
        all
    }

    /// Whether nothing waits for the account any more.
    pub(crate) fn is_given_up(&self, account: &AccountId) -> bool {
        self.state().accounts.get(account).is_some_and(|account| account.given_up)
    }

    /// Whether the account's last listing began after this moment.
    pub(crate) fn is_newer(&self, account: &AccountId, than: DateTime<Utc>) -> bool {
        let state = self.state();
        let began = state.accounts.get(account).and_then(|account| account.began);
        began.is_some_and(|(_, at)| at > than)
    }

    /// Whether the account is to be listed now, and whether work waits for that.
    fn due(&self, account: &AccountId, every: TimeDelta, now: DateTime<Utc>) -> Option<bool> {
        let mut state = self.state();
        let account = state.accounts.entry(account.clone()).or_default();
        match (account.listed, account.wanted) {
            (None, _) => Some(true),
            (_, Some((_, urgent))) => Some(urgent),
            (Some(at), None) => (at + every <= now).then_some(false),
        }
    }

    fn listed(&self, account: &AccountId, began: (Ticket, DateTime<Utc>), now: DateTime<Utc>) {
        let mut state = self.state();
        let account = state.accounts.entry(account.clone()).or_default();
        let wanted = account.wanted.filter(|(ticket, _)| *ticket > began.0);
        *account =
            Standing { listed: Some(now), began: Some(began), wanted, ..Standing::default() };
    }

    /// Takes in a failure. Answers whether it is to be told that the account is given up.
    fn failed(&self, account: &AccountId, refuses: bool) -> bool {
        let mut state = self.state();
        let account = state.accounts.entry(account.clone()).or_default();
        account.given_up |= refuses || account.paused >= PATIENCE;
        if account.given_up {
            account.wanted = None;
        }
        account.given_up && !account.told
    }

    /// Counts a pause between two tries.
    fn paused(&self, account: &AccountId, pause: TimeDelta) {
        self.state().accounts.entry(account.clone()).or_default().paused += pause;
    }

    fn told(&self, account: &AccountId) {
        self.state().accounts.entry(account.clone()).or_default().told = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn draw(&mut self) -> Ticket {
        self.drawn += 1;
        Ticket(self.drawn)
    }
}

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
        let mut wanted = std::pin::pin!(shared.listings.wanted.notified());
        wanted.as_mut().enable();
        if let Some(urgent) = shared.listings.due(account, every, shared.now()) {
            if listed(shared, account, urgent).await {
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
        let last = shared.listings.state().accounts.get(account).and_then(|it| it.listed);
        let left = last.map_or(every, |at| at + every - shared.now());
        tokio::select! {
            biased;
            () = wanted => {}
            () = shared.clock.sleep(left.clamp(every / 20, every)) => {}
        }
    }
}

/// Lists an account; at once where work waits for it, else when nothing urgent is to be done.
async fn listed(shared: &Shared, account: &AccountId, urgent: bool) -> bool {
    if urgent {
        shared.urgency.enter().scope(refresh(shared, account)).await
    } else {
        refresh(shared, account).await
    }
}

/// What earlier processes listed.
async fn learn(shared: &Shared) {
    match shared.ledger.inventories().await {
        Ok(known) => {
            let mut state = shared.listings.state();
            for (account, at) in known {
                state.accounts.entry(account).or_default().listed = Some(at);
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
