//! Admission: the one gate before every provider call. Urgency first, then the account's rate, then a
//! slot; a call starts only while all three hold.

mod account;
mod slots;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::task::Lane;

use self::account::AccountGate;
use self::slots::Slots;
pub(crate) use self::slots::unreserved;
use crate::flight::Flight;
use crate::ports::{Admission, Clock, Permit};
use crate::steady::Steady;
use crate::urgency::{Presence, Urgency};

/// How many calls, and how fast.
#[derive(Clone, Debug, PartialEq)]
pub struct AdmissionConfig {
    /// Calls in flight at once, over all accounts.
    pub concurrency: usize,
    /// The share of slots and of each account's rate that only compromise work may use, 0 to 1.
    pub reserved: f64,
    /// For accounts without a rate of their own.
    pub rate: Rate,
    /// By account.
    pub rates: BTreeMap<AccountId, Rate>,
}

/// An account's rate. IAM's limits are not published, so it is lowered where the account throttles
/// and found again from below.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// At most so many calls a second.
    pub per_second: u32,
    /// So many at once after a pause.
    pub burst: u32,
}

impl Default for AdmissionConfig {
    fn default() -> Self {
        Self {
            concurrency: 64,
            reserved: 0.25,
            // Not a guess at IAM's limit but a bound on ours: the limit itself is adapted to.
            rate: Rate { per_second: 2_000, burst: 100 },
            rates: BTreeMap::new(),
        }
    }
}

/// The gate that the provider adapter asks before every call.
pub struct Gate {
    config: AdmissionConfig,
    clock: Arc<dyn Clock>,
    steady: Steady,
    urgency: Arc<Urgency>,
    slots: Slots,
    accounts: Mutex<HashMap<AccountId, Arc<AccountGate>>>,
}

impl Gate {
    /// A gate over `urgency`, timed by `clock`.
    pub fn new(config: AdmissionConfig, urgency: Arc<Urgency>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            slots: Slots::new(config.concurrency, config.reserved),
            steady: Steady::new(Arc::clone(&clock)),
            accounts: Mutex::default(),
            config,
            clock,
            urgency,
        })
    }

    /// The rate at which the account is called at most now, in calls a second.
    pub fn rate(&self, account: &AccountId) -> f64 {
        self.account(account).rate()
    }

    fn account(&self, id: &AccountId) -> Arc<AccountGate> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = accounts.get(id) {
            return Arc::clone(known);
        }
        let rate = self.config.rates.get(id).copied().unwrap_or(self.config.rate);
        let made = Arc::new(AccountGate::new(rate, self.config.reserved, self.steady.clone()));
        accounts.insert(id.clone(), Arc::clone(&made));
        made
    }

    async fn admit_urgent(&self, account: &AccountGate) -> Permit {
        let presence = Presence::current();
        {
            // Held back by the rate is not runnable: other accounts' calls need not wait for it.
            let _held_back = presence.as_ref().map(Presence::busy);
            account.take(Lane::Compromise, self.clock.as_ref()).await;
        }
        let proves = presence.as_ref().is_some_and(|presence| presence.proves());
        let slot = if proves {
            self.slots.take_for_proof().await
        } else {
            self.slots.take_for_blow().await
        };
        let busy = presence.as_ref().map(Presence::busy);
        Permit::new(move || drop((slot, busy)))
    }

    async fn admit_later(&self, account: &AccountGate, lane: Lane) -> Permit {
        self.quiet().await;
        account.take(lane, self.clock.as_ref()).await;
        loop {
            self.quiet().await;
            let slot = self.slots.take_unreserved().await;
            // Urgent work may have come while this waited for its slot.
            if !self.urgency.is_runnable(self.clock.now()) {
                let flight = Flight::start();
                return Permit::new(move || drop((slot, flight)));
            }
        }
    }

    /// Waits until no compromise work is runnable.
    async fn quiet(&self) {
        loop {
            let changed = self.urgency.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.urgency.is_runnable(self.clock.now()) {
                return;
            }
            changed.await;
        }
    }
}

#[async_trait]
impl Admission for Gate {
    async fn admit(&self, account: &AccountId, lane: Lane) -> Permit {
        let account = self.account(account);
        // A call on behalf of urgent work is urgent, whatever lane it names.
        if lane == Lane::Compromise || Presence::current().is_some() {
            self.admit_urgent(&account).await
        } else {
            self.admit_later(&account, lane).await
        }
    }

    fn throttled(&self, account: &AccountId) {
        self.account(account).throttled();
    }
}
