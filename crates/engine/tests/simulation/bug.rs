//! Bugs that can be planted, one at a time, around the engine's ports and its decider.

use chrono::{DateTime, TimeDelta, Utc};
use severance_engine::{Decider, Lifecycle};
use severance_lifecycle::action::{Action, DenyScope};
use severance_lifecycle::credential::Target;
use severance_lifecycle::decide::{Decision, Situation};
use severance_lifecycle::observe::{DenyState, Observed, RoleStanding, View};
use severance_lifecycle::policy::{Desired, Policy};
use severance_lifecycle::record::Record;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Offsets are stored before the ledger has the events.
    OffsetStoredEarly,
    /// Sessions minted while the deactivation spread are not cut.
    SecondCutoffSkipped,
    /// The ledger takes steps of whoever lost the lease.
    LostLeaseIgnored,
    /// What is about to be changed is not written down first.
    IntentNotRecorded,
    /// Quarantine is not waited for.
    DeletedBeforeQuarantine,
    /// A name is looked up by how it begins.
    WrongUserTouched,
    /// An accepted probe does not start the row again.
    ProbeRowNotReset,
    /// A blocked task is given up.
    BlockedDropped,
    /// A known event opens its case again.
    DuplicateNotDropped,
    /// What is missing at one look counts as gone.
    MissingAtOneLook,
    /// Lower lanes do not wait.
    LowerLaneFirst,
    /// Each plan of a case is counted alone.
    GrowthNotCounted,
    /// A portion of a plan runs before the rest of it is known.
    PortionRuns,
}

pub const ALL: [Bug; 13] = [
    Bug::OffsetStoredEarly,
    Bug::SecondCutoffSkipped,
    Bug::LostLeaseIgnored,
    Bug::IntentNotRecorded,
    Bug::DeletedBeforeQuarantine,
    Bug::WrongUserTouched,
    Bug::ProbeRowNotReset,
    Bug::BlockedDropped,
    Bug::DuplicateNotDropped,
    Bug::MissingAtOneLook,
    Bug::LowerLaneFirst,
    Bug::GrowthNotCounted,
    Bug::PortionRuns,
];

/// The lifecycle with a bug in it.
pub struct Faulty(pub Option<Bug>);

impl Faulty {
    fn sees(&self, observed: &Observed) -> Observed {
        let mut observed = observed.clone();
        if self.0 == Some(Bug::SecondCutoffSkipped) {
            match &mut observed.view {
                View::AccessKey(view) => far(&mut view.denies, &mut view.roles),
                View::User(view) => far(&mut view.denies, &mut view.roles),
                View::Role(view) => far(&mut view.denies, &mut []),
                View::Secret(_) => {}
            }
        }
        observed
    }

    fn judges_by(&self, policy: &Policy) -> Policy {
        let mut policy = policy.clone();
        if self.0 == Some(Bug::DeletedBeforeQuarantine) && policy.delete_after.is_some() {
            policy.delete_after = Some(DateTime::<Utc>::MIN_UTC);
        }
        policy
    }
}

/// Any cutoff looks as if it lay far ahead.
fn far(denies: &mut [DenyState], roles: &mut [RoleStanding]) {
    let all = denies.iter_mut().chain(roles.iter_mut().flat_map(|role| &mut role.denies));
    for deny in all {
        if let Some(DenyScope::SessionsBefore(cutoff)) = &mut deny.scope {
            *cutoff += TimeDelta::days(365);
        }
    }
}

impl Decider for Faulty {
    fn look(&self, record: &mut Record, target: &Target, observed: &Observed, policy: &Policy) {
        let observed = self.sees(observed);
        if self.0 == Some(Bug::MissingAtOneLook) {
            record.missing_since = Some(observed.at - TimeDelta::hours(1));
        }
        Lifecycle.look(record, target, &observed, &self.judges_by(policy));
    }

    fn decide(&self, desired: Desired, situation: &Situation<'_>, now: DateTime<Utc>) -> Decision {
        let observed = self.sees(situation.observed);
        let policy = self.judges_by(situation.policy);
        let seen = Situation { observed: &observed, policy: &policy, ..*situation };
        Lifecycle.decide(desired, &seen, now)
    }

    fn plan(&self, desired: Desired, situation: &Situation<'_>) -> Vec<Action> {
        Lifecycle.plan(desired, situation)
    }
}
