//! The seam between driving and deciding: what is decided is the lifecycle's alone.

use chrono::{DateTime, Utc};
use severance_lifecycle::action::Action;
use severance_lifecycle::credential::Target;
use severance_lifecycle::decide::{self, Decision, Situation};
use severance_lifecycle::observe::Observed;
use severance_lifecycle::policy::{Desired, Policy};
use severance_lifecycle::record::Record;

/// Decides. One implementation exists; tests put faults around it.
pub trait Decider: Send + Sync + 'static {
    /// Takes a look into the record.
    fn look(&self, record: &mut Record, target: &Target, observed: &Observed, policy: &Policy);

    /// What to do next.
    fn decide(&self, desired: Desired, situation: &Situation<'_>, now: DateTime<Utc>) -> Decision;

    /// What would be done, for `observe`.
    fn plan(&self, desired: Desired, situation: &Situation<'_>) -> Vec<Action>;
}

/// [`severance_lifecycle::decide`]
#[derive(Clone, Copy, Debug, Default)]
pub struct Lifecycle;

impl Decider for Lifecycle {
    fn look(&self, record: &mut Record, target: &Target, observed: &Observed, policy: &Policy) {
        decide::look(record, target, observed, policy);
    }

    fn decide(&self, desired: Desired, situation: &Situation<'_>, now: DateTime<Utc>) -> Decision {
        decide::decide(desired, situation, now)
    }

    fn plan(&self, desired: Desired, situation: &Situation<'_>) -> Vec<Action> {
        decide::plan(desired, situation)
    }
}
