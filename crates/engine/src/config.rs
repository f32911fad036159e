//! What can be configured of the engine.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use severance_lifecycle::plan::TagKeys;

use crate::backoff::Growth;

/// The engine's settings. Zones are given apart, since they can be reloaded.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineConfig {
    /// Tasks that are driven at once. More than calls in flight, so that a call is always ready while
    /// another task's step is being stored.
    pub tasks: usize,
    /// Cases that are planned at once.
    pub plans: usize,
    /// So many identities of a case are planned and stored at a time: bounds what a large case takes in
    /// memory, and how long its transactions hold up others.
    pub portion: usize,
    /// The share of both that only compromise work may use, 0 to 1.
    pub reserved: f64,
    /// How long a lease lasts; it is renewed while its holder works. Longer than three calls.
    pub lease: TimeDelta,
    /// More credentials than this hold a case until a person releases it.
    pub blast_radius: usize,
    /// Which tags bind an identity.
    pub tag_keys: TagKeys,
    /// ARNs of identities that are never touched, beside the worker's own.
    pub break_glass: BTreeSet<String>,
    /// Delays between tries.
    pub retries: Retries,
    /// How often a finished task is looked at again after the zone's first recheck, while its
    /// quarantine lasts.
    pub recheck_every: TimeDelta,
    /// How often the inventory is refreshed.
    pub inventory_every: TimeDelta,
    /// How often secrets are looked for that become too old.
    pub aging_every: TimeDelta,
    /// The ledger is asked for work at least this often, whoever else wrote to it.
    pub poll: TimeDelta,
    /// How long a drain waits for steps that are running.
    pub drain: TimeDelta,
}

/// Delays between tries, by what failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Throttles and passing faults.
    pub soon: Growth,
    /// Somebody else is changing the same thing.
    pub later: Growth,
    /// Blocked tasks and selectors that name nothing yet.
    pub blocked: Growth,
    /// Messages that could not be published.
    pub publish: Growth,
    /// The ledger's own failures.
    pub ledger: Growth,
}

impl Default for Retries {
    fn default() -> Self {
        const MINUTE: i64 = 60_000;
        Self {
            soon: Growth::millis(250, MINUTE),
            later: Growth::millis(MINUTE, 15 * MINUTE),
            blocked: Growth::millis(5 * MINUTE, 6 * 60 * MINUTE),
            publish: Growth::millis(500, MINUTE),
            ledger: Growth::millis(100, 5_000),
        }
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            tasks: 128,
            plans: 64,
            portion: 500,
            reserved: 0.25,
            lease: TimeDelta::seconds(90),
            blast_radius: 100,
            tag_keys: TagKeys::default(),
            break_glass: BTreeSet::new(),
            retries: Retries::default(),
            recheck_every: TimeDelta::days(1),
            inventory_every: TimeDelta::hours(1),
            aging_every: TimeDelta::minutes(15),
            poll: TimeDelta::seconds(5),
            drain: TimeDelta::seconds(25),
        }
    }
}
