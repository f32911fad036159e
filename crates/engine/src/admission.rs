//! Admission: the one gate before every provider call. Urgency first, then the rates, then a slot; a call
//! starts only while all of them hold.
//!
//! The account's rate is what the configuration allows over all services. What the provider throttles it
//! limits by service and region: each has a rate of its own within the account's, and what one of them is
//! lowered by takes nothing from another.

mod rate;
mod slots;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::task::Lane;

use self::rate::RateGate;
use self::slots::Slots;
pub(crate) use self::slots::unreserved;
use crate::flight::Flight;
use crate::ports::{Admission, Api, Clock, Permit};
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

/// An account's rate, and the most for each API in it. IAM's limits are not published, so an API's rate is
/// lowered where it throttles and found again from below.
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
    rates: Mutex<HashMap<AccountId, AccountRates>>,
}

/// An account's rate, and those of the APIs in it that were called so far: a few for each region, so that
/// they are gone through faster than a key is made to look one up.
struct AccountRates {
    whole: Arc<RateGate>,
    apis: Vec<(String, Option<String>, Arc<RateGate>)>,
}

impl AccountRates {
    fn api(&mut self, api: Api<'_>, new: impl FnOnce() -> Arc<RateGate>) -> Arc<RateGate> {
        let is_it =
            |service: &str, region: Option<&str>| (service, region) == (api.service, api.region);
        let known = self.apis.iter().find(|(service, region, _)| is_it(service, region.as_deref()));
        if let Some((_, _, known)) = known {
            return Arc::clone(known);
        }
        let made = new();
        let region = api.region.map(str::to_owned);
        self.apis.push((api.service.to_owned(), region, Arc::clone(&made)));
        made
    }
}

impl Gate {
    /// A gate over `urgency`, timed by `clock`.
    pub fn new(config: AdmissionConfig, urgency: Arc<Urgency>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            slots: Slots::new(config.concurrency, config.reserved),
            steady: Steady::new(Arc::clone(&clock)),
            rates: Mutex::default(),
            config,
            clock,
            urgency,
        })
    }

    /// The rate at which an API of the account is called at most now, in calls a second.
    pub fn rate(&self, account: &AccountId, api: Api<'_>) -> f64 {
        let [api, whole] = self.both(account, api);
        api.rate().min(whole.rate())
    }

    fn whole(&self, account: &AccountId) -> Arc<RateGate> {
        self.rates_of(account, |rates, _| Arc::clone(&rates.whole))
    }

    /// An API's rate, and its account's.
    fn both(&self, account: &AccountId, api: Api<'_>) -> [Arc<RateGate>; 2] {
        self.rates_of(account, |rates, new| [rates.api(api, new), Arc::clone(&rates.whole)])
    }

    fn rates_of<T>(
        &self,
        account: &AccountId,
        take: impl FnOnce(&mut AccountRates, &dyn Fn() -> Arc<RateGate>) -> T,
    ) -> T {
        let new = || {
            let rate = self.config.rates.get(account).copied().unwrap_or(self.config.rate);
            Arc::new(RateGate::new(rate, self.config.reserved, self.steady.clone()))
        };
        let mut all = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get_mut(account) {
            return take(known, &new);
        }
        let made = AccountRates { whole: new(), apis: Vec::new() };
        take(all.entry(account.clone()).or_insert(made), &new)
    }

    /// `rates` in the order in which they are asked: the one that may be low first, so that a call that waits
    /// for it holds nothing of the account's.
    async fn admit_by(&self, rates: &[Arc<RateGate>], lane: Lane) -> Permit {
        // A call on behalf of urgent work is urgent, whatever lane it names.
        if lane == Lane::Compromise || Presence::current().is_some() {
            self.admit_urgent(rates).await
        } else {
            self.admit_later(rates, lane).await
        }
    }

    async fn admit_urgent(&self, rates: &[Arc<RateGate>]) -> Permit {
        let presence = Presence::current();
        {
            // Held back by the rate is not runnable: other accounts' calls need not wait for it.
            let _held_back = presence.as_ref().map(Presence::busy);
            for rate in rates {
                rate.take(Lane::Compromise, self.clock.as_ref()).await;
            }
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

    async fn admit_later(&self, rates: &[Arc<RateGate>], lane: Lane) -> Permit {
        self.quiet().await;
        for rate in rates {
            rate.take(lane, self.clock.as_ref()).await;
        }
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
        self.admit_by(&[self.whole(account)], lane).await
    }

    async fn admit_to(&self, account: &AccountId, api: Api<'_>, lane: Lane) -> Permit {
        self.admit_by(&self.both(account, api), lane).await
    }

    fn throttled(&self, account: &AccountId) {
        self.whole(account).throttled();
    }

    fn throttled_at(&self, account: &AccountId, api: Api<'_>) {
        let [api, _] = self.both(account, api);
        api.throttled();
    }
}
