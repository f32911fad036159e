//! The registry and its metrics.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::labels::{
    AccountLabels, CallLabels, DecisionLabels, DoingLabels, InventoryLabels, OperationLabels,
    PublishLabels, RevokeLabels, RotateLabels, ZoneLabels,
};
use crate::names;
use crate::snapshot::{Snapshot, SnapshotCollector};

/// Bounds of time to revoke: 1 s to five days, the age at which the published 91.6 % still work.
const REVOKE_SECONDS: [f64; 20] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0,
    14_400.0, 28_800.0, 86_400.0, 172_800.0, 259_200.0, 432_000.0,
];

/// Bounds of one provider call: from a local emulator to a call that hangs until its timeout.
const CALL_SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What runs.
#[derive(Clone, Copy, Debug)]
pub struct BuildInfo {
    /// The version of the binary.
    pub version: &'static str,
}

/// All metrics. Cheap to share; every method is safe to call from a hot path.
pub struct Metrics {
    registry: Registry,
    snapshot: Arc<SnapshotCollector>,
    pub(crate) revoke_seconds: Family<RevokeLabels, Histogram, fn() -> Histogram>,
    pub(crate) rotate_seconds: Family<RotateLabels, Histogram, fn() -> Histogram>,
    pub(crate) overlap_seconds: Family<RotateLabels, Histogram, fn() -> Histogram>,
    pub(crate) gap_seconds: Family<RotateLabels, Histogram, fn() -> Histogram>,
    pub(crate) decisions: Family<DecisionLabels, Counter>,
    pub(crate) calls: Family<CallLabels, Counter>,
    pub(crate) call_seconds: Family<OperationLabels, Histogram, fn() -> Histogram>,
    pub(crate) blocked: Family<ZoneLabels, Counter>,
    pub(crate) reopened: Family<ZoneLabels, Counter>,
    pub(crate) leases_lost: Counter,
    pub(crate) ledger_failures: Family<DoingLabels, Counter>,
    pub(crate) published: Family<PublishLabels, Counter>,
    pub(crate) inventory_refreshes: Family<InventoryLabels, Counter>,
    pub(crate) inventory_identities: Family<AccountLabels, Gauge>,
}

impl Metrics {
    /// Registers every metric once.
    pub fn new(build: BuildInfo) -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            snapshot: Arc::default(),
            revoke_seconds: Family::new_with_constructor(|| Histogram::new(REVOKE_SECONDS)),
            rotate_seconds: Family::new_with_constructor(|| Histogram::new(REVOKE_SECONDS)),
            overlap_seconds: Family::new_with_constructor(|| Histogram::new(REVOKE_SECONDS)),
            gap_seconds: Family::new_with_constructor(|| Histogram::new(REVOKE_SECONDS)),
            decisions: Family::default(),
            calls: Family::default(),
            call_seconds: Family::new_with_constructor(|| Histogram::new(CALL_SECONDS)),
            blocked: Family::default(),
            reopened: Family::default(),
            leases_lost: Counter::default(),
            ledger_failures: Family::default(),
            published: Family::default(),
            inventory_refreshes: Family::default(),
            inventory_identities: Family::default(),
        };
        metrics.register(build);
        metrics
    }

    fn register(&mut self, build: BuildInfo) {
        let r = &mut self.registry;
        r.register(
            names::TIME_TO_REVOKE,
            "Seconds from the notice to each stage, of verified tasks",
            self.revoke_seconds.clone(),
        );
        r.register(
            names::TIME_TO_ROTATE,
            "Seconds from the notice until the new credential is handed out everywhere",
            self.rotate_seconds.clone(),
        );
        r.register(
            names::ROTATION_OVERLAP,
            "Seconds in which old and new credential worked side by side",
            self.overlap_seconds.clone(),
        );
        r.register(
            names::ROTATION_GAP,
            "Seconds in which what was handed out was refused: one login has one password",
            self.gap_seconds.clone(),
        );
        r.register(names::DECISIONS, "Decisions by kind", self.decisions.clone());
        r.register(names::PROVIDER_CALLS, "Provider calls by code", self.calls.clone());
        r.register(
            names::PROVIDER_CALL_SECONDS,
            "Seconds that provider calls took",
            self.call_seconds.clone(),
        );
        r.register(names::BLOCKED, "Tasks that were blocked", self.blocked.clone());
        r.register(names::REOPENED, "Finished tasks found open again", self.reopened.clone());
        r.register(names::LEASES_LOST, "Leases lost", self.leases_lost.clone());
        r.register(
            names::LEDGER_FAILURES,
            "Ledger calls that failed",
            self.ledger_failures.clone(),
        );
        r.register(names::PUBLISHED, "Messages by topic and result", self.published.clone());
        r.register(
            names::INVENTORY_REFRESHES,
            "Inventory refreshes by result",
            self.inventory_refreshes.clone(),
        );
        r.register(
            names::INVENTORY_IDENTITIES,
            "Identities in the inventory at its last refresh",
            self.inventory_identities.clone(),
        );
        let labels = vec![("version", build.version)];
        r.register(names::BUILD, "The version that runs", Info::new(labels));
        r.register_collector(Box::new(Arc::clone(&self.snapshot)));
    }

    /// Writes everything out in `OpenMetrics` text, with what the ledger says now. `None`: the ledger
    /// could not be asked; its gauges are left out, which an alert can see and a stale value hides.
    pub fn render(&self, snapshot: Option<Snapshot>) -> String {
        self.snapshot.set(snapshot);
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
