//! The engine as a whole.

use std::sync::{Arc, PoisonError, RwLock};

use severance_lifecycle::plan::Protected;
use severance_lifecycle::zone::Zones;
use tokio_util::sync::CancellationToken;

use crate::config::EngineConfig;
use crate::decider::{Decider, Lifecycle};
use crate::inventory::Listings;
use crate::planning::ahead::Ahead;
use crate::ports::{Clock, Entropy, Issuers, Ledger, Observer, Provider, Publisher, SecretStore};
use crate::roles::Roles;
use crate::scheduler::Scheduler;
use crate::shared::Shared;
use crate::urgency::Urgency;
use crate::{aging, inventory, publishing, roles};

/// What an engine is made of.
pub struct Parts {
    /// The durable queue and memory.
    pub ledger: Arc<dyn Ledger>,
    /// The provider; its calls pass the [`Gate`](crate::Gate) made with the same `urgency`.
    pub provider: Arc<dyn Provider>,
    /// Values of secrets, for issuers beyond the provider; `()` where there are none.
    pub store: Arc<dyn SecretStore>,
    /// Issuers beyond the provider; `()` where there are none.
    pub issuers: Arc<dyn Issuers>,
    /// Publishes outbound messages.
    pub publisher: Arc<dyn Publisher>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness for lease tokens and jitter.
    pub entropy: Arc<dyn Entropy>,
    /// Told of everything that happens.
    pub observer: Arc<dyn Observer>,
    /// Shared with the gate and with the [`AnnouncingInbox`](crate::AnnouncingInbox).
    pub urgency: Arc<Urgency>,
}

/// Drives tasks to their desired state.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

impl Engine {
    /// An engine that does nothing until [`run`](Self::run).
    pub fn new(config: EngineConfig, zones: Zones, parts: Parts) -> Self {
        Self::with_decider(config, zones, parts, Arc::new(Lifecycle))
    }

    /// An engine that decides by `decider`: the seam at which tests put faults around the lifecycle.
    pub fn with_decider(
        config: EngineConfig,
        zones: Zones,
        parts: Parts,
        decider: Arc<dyn Decider>,
    ) -> Self {
        let break_glass = config.break_glass.clone();
        let shared = Shared {
            config,
            ledger: parts.ledger,
            provider: parts.provider,
            store: parts.store,
            issuers: parts.issuers,
            publisher: parts.publisher,
            clock: parts.clock,
            entropy: parts.entropy,
            observer: parts.observer,
            urgency: parts.urgency,
            decider,
            zones: RwLock::new(Arc::new(zones)),
            listings: Listings::default(),
            roles: Roles::default(),
            ahead: Ahead::default(),
            protected: RwLock::new(Arc::new(Protected { break_glass, ..Protected::default() })),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Runs until `shutdown` is cancelled, then drains: nothing new is claimed, running steps end,
    /// leases are given back, the outbox is flushed, all within
    /// [`EngineConfig::drain`]. Answers whether the drain was whole: no call was left running and every
    /// lease was given back.
    pub async fn run(&self, shutdown: CancellationToken) -> bool {
        let shared = &self.shared;
        let pump = publishing::run(Arc::clone(shared));
        let inventory = inventory::run(Arc::clone(shared));
        let aging = aging::run(Arc::clone(shared));
        let roles = roles::run(Arc::clone(shared));
        let work = async {
            let known = tokio::select! {
                biased;
                () = shutdown.cancelled() => false,
                () = self.learn_own_identities() => true,
            };
            !known || Scheduler::new(Arc::clone(shared), shutdown.clone()).run().await
        };
        let whole = tokio::select! {
            biased;
            whole = work => whole,
            () = pump => false,
            () = inventory => false,
            () = aging => false,
            () = roles => false,
        };
        publishing::flush(shared, shared.config.drain / 5).await;
        whole
    }

    /// Whether the engine has learnt who we are, before which it touches nothing.
    pub fn knows_itself(&self) -> bool {
        !self.shared.protected().own.is_empty()
    }

    /// Replaces the zones' settings. Tasks in hand see them at their next decision; their deadline
    /// stays as planned. A zone that only observes from now on stops its tasks at their next claim; one
    /// that enforces from now on does not start what was planned to be observed.
    pub fn set_zones(&self, zones: Zones) {
        let mut current = self.shared.zones.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(zones);
    }

    /// Has the ledger asked for work at once: somebody else (a person, another worker) wrote to it.
    pub fn wake(&self) {
        self.shared.urgency.raise();
        self.shared.urgency.written();
    }

    /// Who we are must be known before anything is touched, or we might cut ourselves off. Urgent, since
    /// everything waits for it.
    async fn learn_own_identities(&self) {
        let shared = &self.shared;
        let mut failures = 0;
        let own = shared
            .urgency
            .enter()
            .scope(async {
                loop {
                    match shared.provider.own_identities().await {
                        Ok(own) => return own,
                        Err(failure) => {
                            failures += 1;
                            tracing::warn!(%failure, "cannot tell our own identity yet");
                            let delay = shared.delay(shared.config.retries.soon, failures);
                            shared.clock.sleep(delay).await;
                        }
                    }
                }
            })
            .await;
        let break_glass = shared.config.break_glass.clone();
        let protected = Protected { own: own.into_iter().collect(), break_glass };
        let mut current = shared.protected.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(protected);
    }
}
