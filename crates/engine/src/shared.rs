//! What every part of the engine works with.

use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use severance_lifecycle::plan::Protected;
use severance_lifecycle::zone::Zones;

use crate::backoff::Growth;
use crate::config::EngineConfig;
use crate::decider::Decider;
use crate::inventory::Listings;
use crate::planning::ahead::Ahead;
use crate::ports::{
    Clock, EngineEvent, Entropy, Issuers, Ledger, LedgerError, Observer, Provider, Publisher,
    SecretStore,
};
use crate::roles::Roles;
use crate::urgency::Urgency;

/// The ports and settings.
pub(crate) struct Shared {
    pub(crate) config: EngineConfig,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) store: Arc<dyn SecretStore>,
    pub(crate) issuers: Arc<dyn Issuers>,
    pub(crate) publisher: Arc<dyn Publisher>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) urgency: Arc<Urgency>,
    pub(crate) decider: Arc<dyn Decider>,
    pub(crate) zones: RwLock<Arc<Zones>>,
    pub(crate) protected: RwLock<Arc<Protected>>,
    pub(crate) listings: Listings,
    pub(crate) roles: Roles,
    pub(crate) ahead: Ahead,
}

impl Shared {
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The zones as they are now; whoever holds the answer keeps working with it.
    pub(crate) fn zones(&self) -> Arc<Zones> {
        Arc::clone(&self.zones.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn protected(&self) -> Arc<Protected> {
        Arc::clone(&self.protected.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn delay(&self, growth: Growth, failures: u32) -> TimeDelta {
        growth.delay(failures, self.entropy.as_ref())
    }

    /// Tells that the ledger failed. A lost lease is told where it is lost.
    pub(crate) fn ledger_failed(&self, doing: &'static str, error: &LedgerError) {
        self.observer.on(&EngineEvent::LedgerFailed { doing, error });
    }
}
