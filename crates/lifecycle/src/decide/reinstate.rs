//! Undoing: what a case changed is put back, as far as quarantine still holds it, and nothing that
//! another case holds.

use chrono::{DateTime, Utc};

use super::{Decision, Situation, act, pick, proof, wait};
use crate::action::{Action, Change, DenyHandle};
use crate::credential::Target;
use crate::observe::{DenyState, KeyState, KeyView, Presence, RoleStanding, SideState, View};
use crate::policy::Holds;
use crate::record::Record;
use crate::secret_action::SecretAction;
use crate::secret_view::SecretView;
use crate::task::{BlockReason, Verification};
use crate::trust;

/// Puts back one change after the other; each is told by what is seen, so doing it twice does
/// nothing new.
pub(super) fn reinstate(
    situation: &Situation<'_>,
    target: &Target,
    view: &View,
    now: DateTime<Utc>,
) -> Decision {
    let Situation { record, policy, .. } = situation;
    if policy.holds.compromise {
        return Decision::Blocked(BlockReason::VetoedByCompromise);
    }
    if let Some(second_look) = proof::look_twice(record, policy, now) {
        return second_look;
    }
    // Keys come last: a look at one that is on may say nothing of denies, since nothing else asks for it.
    let is_key = |change: &&Change| matches!(change, Change::KeyDeactivated { .. });
    let (keys, others): (Vec<_>, Vec<_>) = record.changes.iter().partition(is_key);
    let next = others
        .into_iter()
        .chain(keys)
        .filter(|change| !is_held(policy.holds, change))
        .filter_map(|change| undo(target, view, change));
    let next = pick(record, next);
    match next {
        Some(action) => match record.refused.get(&action.site()) {
            Some(reason) => Decision::Blocked(reason.clone()),
            None => act(action, "the contract's end was withdrawn"),
        },
        None if let Some(since) = hidden_deny(record, view) => {
            Decision::Blocked(BlockReason::ScheduledForDeletion { since })
        }
        None if record.accepted_at.is_some_and(|at| now < at + policy.spread) => {
            let until = record.accepted_at.unwrap_or(now) + policy.spread;
            wait(until, "put back; waiting for it to hold everywhere")
        }
        None => Decision::Done(Verification::ControlPlane),
    }
}

/// Whether a deny of ours may stand in the policy of a secret that another case scheduled for deletion: until
/// that is undone it can neither be read nor taken off. Since when.
fn hidden_deny(record: &Record, view: &View) -> Option<DateTime<Utc>> {
    let View::Secret(secret) = view else { return None };
    let denied = |change: &Change| matches!(change, Change::SecretDenied { .. });
    secret.deleted_at.filter(|_| record.changes.iter().any(denied))
}

/// Whether another case that wants the same target revoked holds this change too. Denies and trust
/// belong to the case that made them by name; switched-off credentials are the same switch for all.
///
/// A secret's user that another case revokes is no reason to have the secret deleted: what it held stays dead.
pub(super) fn is_held(holds: Holds, change: &Change) -> bool {
    match change {
        Change::KeyDeactivated { .. }
        | Change::Deactivated { .. }
        | Change::LoginProfileDeleted { .. }
        | Change::MfaDeactivated { .. }
        | Change::TrustRemoved { .. }
        | Change::VersionRetired { .. }
        | Change::ReplicasRemoved { .. } => holds.other,
        Change::DeletionScheduled { .. } => holds.target,
        Change::UserDenied { .. }
        | Change::RoleDenied { .. }
        | Change::KeyMade { .. }
        | Change::SecretDenied { .. } => false,
    }
}

/// Whether a change can be put back, by what is seen; what is gone from the provider cannot.
pub(super) fn can_restore(view: &View, change: &Change) -> bool {
    match change {
        Change::KeyDeactivated { key_id, .. } => keys(view).iter().any(|key| key.id == *key_id),
        Change::Deactivated { kind, id, .. } => {
            sides(view).iter().any(|side| side.kind == *kind && side.id == *id)
        }
        // AWS keeps no password, no MFA device's seed and no removed replica; an issuer no old password.
        Change::LoginProfileDeleted { .. }
        | Change::MfaDeactivated { .. }
        | Change::VersionRetired { .. }
        | Change::ReplicasRemoved { .. } => false,
        // What was made stays: there is nothing to put back.
        Change::UserDenied { .. } | Change::RoleDenied { .. } | Change::KeyMade { .. } => true,
        Change::SecretDenied { .. } | Change::DeletionScheduled { .. } => {
            matches!(view, View::Secret(secret) if secret.secret == Presence::Same)
        }
        Change::TrustRemoved { .. } => {
            matches!(view, View::Role(role) if role.role == Presence::Same)
        }
    }
}

fn undo(target: &Target, view: &View, change: &Change) -> Option<Action> {
    match change.clone() {
        Change::KeyDeactivated { user, key_id } => keys(view)
            .iter()
            .any(|key| key.id == key_id && !key.status.is_active())
            .then_some(Action::ReactivateKey { user, key_id }),
        Change::Deactivated { user, kind, id } => sides(view)
            .iter()
            .any(|side| side.kind == kind && side.id == id && !side.active)
            .then_some(Action::Reactivate { user, kind, id }),
        Change::LoginProfileDeleted { .. } | Change::MfaDeactivated { .. } => None,
        Change::UserDenied { user, deny } => {
            has(user_denies(view), &deny).then_some(Action::AllowUser { user, deny })
        }
        Change::RoleDenied { role, deny } => {
            let denies = match (target, view) {
                (Target::Role { role: own }, View::Role(view)) if *own == role => &view.denies[..],
                _ => roles(view)
                    .iter()
                    .find(|standing| standing.role.role == role)
                    .map_or(&[][..], |standing| &standing.denies),
            };
            has(denies, &deny).then_some(Action::AllowRole { role, deny })
        }
        Change::TrustRemoved { role, removed } => match view {
            View::Role(view) if view.role == Presence::Same => (trust::with(&view.trust, &removed)
                != view.trust)
                .then_some(Action::RestoreTrust { role, removed }),
            _ => None,
        },
        Change::SecretDenied { secret, case } => matches!(view, View::Secret(view) if view.denied)
            .then_some(Action::Secret { secret, what: SecretAction::Allow { case } }),
        Change::DeletionScheduled { secret } => {
            matches!(view, View::Secret(view) if view.deleted_at.is_some())
                .then_some(Action::Secret { secret, what: SecretAction::Restore })
        }
        Change::KeyMade { .. } | Change::VersionRetired { .. } | Change::ReplicasRemoved { .. } => {
            None
        }
    }
}

fn has(denies: &[DenyState], handle: &DenyHandle) -> bool {
    denies.iter().any(|deny| deny.handle == *handle)
}

fn keys(view: &View) -> Vec<&KeyState> {
    match view {
        View::AccessKey(view) if view.user == Presence::Same => view.key.iter().collect(),
        View::User(view) if view.user == Presence::Same => view.keys.iter().collect(),
        // What ended with a secret was every key that a version of it held.
        View::Secret(view) => {
            let old = old_key(view).and_then(|old| old.key.as_ref());
            old.into_iter().chain(view.user_keys().iter().map(|key| &key.state)).collect()
        }
        _ => Vec::new(),
    }
}

fn old_key(view: &SecretView) -> Option<&KeyView> {
    let old = view.keys.as_ref()?.old.as_ref()?;
    (old.user == Presence::Same).then_some(old)
}

fn sides(view: &View) -> &[SideState] {
    match view {
        View::User(view) if view.user == Presence::Same => &view.side,
        _ => &[],
    }
}

fn user_denies(view: &View) -> &[DenyState] {
    match view {
        View::AccessKey(view) if view.user == Presence::Same => &view.denies,
        View::User(view) if view.user == Presence::Same => &view.denies,
        View::Secret(view) => old_key(view).map_or(&[][..], |old| &old.denies),
        _ => &[],
    }
}

fn roles(view: &View) -> &[RoleStanding] {
    match view {
        View::AccessKey(view) => &view.roles,
        View::User(view) => &view.roles,
        View::Secret(view) => old_key(view).map_or(&[][..], |old| &old.roles),
        View::Role(_) => &[],
    }
}
