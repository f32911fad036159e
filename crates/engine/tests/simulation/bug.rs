//! Bugs that can be planted, one at a time, around the engine's ports and its decider.

use chrono::{DateTime, TimeDelta, Utc};
use severance_engine::{Decider, Lifecycle};
use severance_lifecycle::action::{Action, Change, DenyScope};
use severance_lifecycle::credential::Target;
use severance_lifecycle::decide::{Decision, Reason, Situation};
use severance_lifecycle::observe::{DenyState, Observed, RoleStanding, View};
use severance_lifecycle::policy::{Desired, Policy};
use severance_lifecycle::record::Record;
use severance_lifecycle::rotation::OldVersion;
use severance_lifecycle::secret::{Issuer, is_of, is_ours};
use severance_lifecycle::secret_action::SecretAction;
use severance_lifecycle::task::BlockReason;

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
    /// A key is made again without a look at what the last attempt left.
    KeyMadeBlindly,
    /// The old credential ends as soon as the new one is handed out.
    GraceNotWaited,
    /// A routine rotation goes on from what took it over.
    VersionAfterTakeover,
    /// A new credential is handed out that was refused.
    NewNotAccepted,
    /// A rotation hears nothing of the end of the user whose key its secret holds.
    UserForgotten,
    /// An issuer is told of another value than the one that is stored.
    ValueNotStored,
    /// A secret is hidden before its issuer refuses what it holds.
    HiddenBeforeDead,
    /// Where there is no room for a key, somebody else's makes it.
    OthersKeyMakesRoom,
    /// A key that somebody else made and uses is taken for what an attempt of ours left.
    UseNotAsked,
    /// That another secret holds a key too is not seen.
    ElsewhereNotSeen,
}

pub const ALL: [Bug; 23] = [
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
    Bug::KeyMadeBlindly,
    Bug::GraceNotWaited,
    Bug::VersionAfterTakeover,
    Bug::NewNotAccepted,
    Bug::UserForgotten,
    Bug::ValueNotStored,
    Bug::HiddenBeforeDead,
    Bug::OthersKeyMakesRoom,
    Bug::UseNotAsked,
    Bug::ElsewhereNotSeen,
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
        if let (Some(Bug::UseNotAsked), View::Secret(view)) = (self.0, &mut observed.view) {
            let keys = view.keys.iter_mut().flat_map(|keys| &mut keys.keys);
            keys.for_each(|key| key.used = false);
        }
        if let (Some(Bug::ElsewhereNotSeen), View::Secret(view)) = (self.0, &mut observed.view) {
            let keys = view.keys.iter_mut().flat_map(|keys| &mut keys.keys);
            keys.for_each(|key| key.elsewhere = false);
        }
        observed
    }

    fn judges_by(&self, policy: &Policy) -> Policy {
        let mut policy = policy.clone();
        if self.0 == Some(Bug::DeletedBeforeQuarantine) && policy.delete_after.is_some() {
            policy.delete_after = Some(DateTime::<Utc>::MIN_UTC);
        }
        if self.0 == Some(Bug::GraceNotWaited) {
            policy.rotation.grace = TimeDelta::zero();
        }
        if self.0 == Some(Bug::NewNotAccepted) {
            policy.rotation.acceptances = 0;
        }
        if self.0 == Some(Bug::UserForgotten) {
            policy.holds.user = false;
        }
        policy
    }
}

impl Faulty {
    fn does_otherwise(&self, desired: Desired, seen: &Situation<'_>, said: Decision) -> Decision {
        let (Target::Secret { secret, issuer }, View::Secret(view)) =
            (seen.target, &seen.observed.view)
        else {
            return said;
        };
        let why = || Reason("a planted bug".to_owned());
        match (self.0, issuer, &said) {
            (Some(Bug::HiddenBeforeDead), ..)
                if desired == Desired::Revoked && issuer.is_told() && view.deleted_at.is_none() =>
            {
                let regions = view.replicas.iter().map(|it| it.region.clone()).collect();
                let what = if view.replicas.is_empty() {
                    SecretAction::ScheduleDeletion { recovery_days: 7 }
                } else {
                    SecretAction::RemoveReplicas { regions }
                };
                Decision::Act(Action::Secret { secret: secret.clone(), what }, why())
            }
            (
                Some(Bug::OthersKeyMakesRoom),
                Issuer::AccessKey { user },
                Decision::Blocked(BlockReason::NoRoomForKey { keys }),
            ) => {
                let theirs = keys.iter().find(|key| view.holders(key).next().is_none());
                let deactivates = theirs.map(|key_id| {
                    let (user, key_id) = (user.clone(), key_id.clone());
                    Decision::Act(Action::DeactivateKey { user, key_id }, why())
                });
                deactivates.unwrap_or(said)
            }
            _ => said,
        }
    }
}

/// What another task made current is taken for what leaves.
fn starts_anew(record: &mut Record, observed: &Observed, policy: &Policy) {
    let View::Secret(view) = &observed.view else { return };
    let Some(current) = view.current() else { return };
    if is_ours(&current.id) && !is_of(&current.id, &policy.task) {
        let (version, held) = (current.id.clone(), current.held.clone());
        record.rotation.old = Some(OldVersion { version, held });
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
        if self.0 == Some(Bug::VersionAfterTakeover) {
            starts_anew(record, &observed, policy);
        }
        Lifecycle.look(record, target, &observed, &self.judges_by(policy));
    }

    fn decide(&self, desired: Desired, situation: &Situation<'_>, now: DateTime<Utc>) -> Decision {
        let observed = self.sees(situation.observed);
        let policy = self.judges_by(situation.policy);
        let mut record = situation.record.clone();
        if self.0 == Some(Bug::KeyMadeBlindly) {
            record.changes.retain(|change| !matches!(change, Change::KeyMade { .. }));
        }
        let (observed, policy, record) = (&observed, &policy, &record);
        let seen = Situation { observed, policy, record, ..*situation };
        let said = Lifecycle.decide(desired, &seen, now);
        self.does_otherwise(desired, &seen, said)
    }

    fn plan(&self, desired: Desired, situation: &Situation<'_>) -> Vec<Action> {
        Lifecycle.plan(desired, situation)
    }
}
