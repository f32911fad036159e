//! Taking a look into the record: rows of looks that found the same thing start and end here.

use chrono::{DateTime, Utc};

use super::{deny, proof, role, secret};
use crate::credential::Target;
use crate::observe::{
    DenyState, Intruder, KeyState, KeyView, Observed, Presence, RoleStanding, RoleView, UserView,
    View,
};
use crate::policy::{Policy, RoleSessions};
use crate::record::{Record, since};

/// Takes what was seen into the record. To be called with every look, before
/// [`decide`](super::decide).
pub fn look(record: &mut Record, target: &Target, observed: &Observed, policy: &Policy) {
    let now = observed.at;
    match (target, &observed.view) {
        (Target::AccessKey { key_id, .. }, View::AccessKey(view)) => {
            look_key(record, Some(key_id), view, policy, now);
        }
        (Target::User { .. }, View::User(view)) => look_user(record, view, policy, now),
        (Target::Role { .. }, View::Role(view)) => look_role(record, view, policy, now),
        (Target::Secret { .. }, View::Secret(view)) => {
            secret::look(record, target, observed, view, policy);
        }
        _ => {}
    }
}

pub(super) fn look_key(
    record: &mut Record,
    key_id: Option<&str>,
    view: &KeyView,
    policy: &Policy,
    now: DateTime<Utc>,
) {
    let missing = view.user != Presence::Same || view.key.is_none();
    let key = view.key.as_ref().filter(|_| !missing);
    let active = key.is_some_and(|key| key.status.is_active());
    // A key that is taken along mints sessions like the one that was named.
    let taken_active = policy.take_intruders
        && !missing
        && view.intruders.iter().any(|it| matches!(it, Intruder::AccessKey { .. }));
    since(&mut record.missing_since, missing, now);
    since(&mut record.disabled_since, !active && !taken_active, now);
    keep_proofs(record, key, policy, now);
    let dead = if missing {
        missing_key(record, key_id, view, policy, now)
    } else {
        let dead = view.key.iter().all(|key| record.proven.contains_key(&key.id));
        // The one that is taken along cannot be tried: its deactivation is given time to spread.
        let off = record.disabled_since.is_some_and(|at| now - at >= policy.proof.window);
        !active && !taken_active && dead && (off || !policy.take_intruders)
    };
    since(&mut record.dead_at, dead, now);
    let sealed = record.dead_at.is_some_and(|dead_at| {
        let from = dead_at + policy.cutoff_margin;
        // A key that is gone leaves its sessions behind; only a user that is gone takes them along, and one look
        // may be stale.
        let user_gone = view.user != Presence::Same && proof::gone(record, policy, now);
        let sessions = user_gone || view.denies.iter().any(|deny| deny.cuts_sessions_before(from));
        sessions && roles_cut(&view.roles, record, policy)
    });
    let by = view.denies.iter().filter_map(DenyState::cutoff).max().filter(|_| sealed);
    if record.sealed_by != by {
        record.sealed_since = None;
    }
    since(&mut record.sealed_since, sealed, now);
    record.sealed_by = by;
}

fn look_user(record: &mut Record, view: &UserView, policy: &Policy, now: DateTime<Utc>) {
    let missing = view.user != Presence::Same;
    let active = !missing && user_is_active(view);
    let denied = missing || view.denies.iter().any(crate::observe::DenyState::denies_everything);
    since(&mut record.missing_since, missing, now);
    since(&mut record.disabled_since, !active, now);
    since(&mut record.denied_since, denied, now);
    keep_proofs(record, view.keys.iter().filter(|_| !missing), policy, now);
    let dead = if missing {
        proof::gone(record, policy, now)
    } else {
        let spread = record.denied_since.is_some_and(|at| now - at >= policy.spread);
        let keys = view.keys.iter().all(|key| record.proven.contains_key(&key.id));
        !active && spread && keys
    };
    since(&mut record.dead_at, dead, now);
    let sealed = record.dead_at.is_some() && roles_cut(&view.roles, record, policy);
    since(&mut record.sealed_since, sealed, now);
}

/// Whether anything of the user is switched on.
pub(super) fn user_is_active(view: &UserView) -> bool {
    view.login_profile
        || view.keys.iter().any(|key| key.status.is_active())
        || view.side.iter().any(|side| side.active)
        || !view.mfa_devices.is_empty()
}

fn look_role(record: &mut Record, view: &RoleView, policy: &Policy, now: DateTime<Utc>) {
    let missing = view.role != Presence::Same;
    since(&mut record.missing_since, missing, now);
    let closed = view.denies.iter().any(crate::observe::DenyState::denies_everything);
    let clean = missing || closed || !role::partner_can_enter(view, policy);
    since(&mut record.trust_clean_since, clean, now);
    let dead = if missing {
        proof::gone(record, policy, now)
    } else {
        record.trust_clean_since.is_some_and(|at| now - at >= policy.spread)
    };
    since(&mut record.dead_at, dead, now);
    let sealed = record.dead_at.is_some_and(|dead_at| {
        let from = dead_at + policy.cutoff_margin;
        missing
            || role::sessions_may_end_by_themselves(view, policy)
            || view.denies.iter().any(|deny| deny.cuts_sessions_before(from))
    });
    since(&mut record.sealed_since, sealed, now);
}

/// What is proven of a key stays so until it is switched on again.
fn keep_proofs<'a>(
    record: &mut Record,
    keys: impl IntoIterator<Item = &'a KeyState>,
    policy: &Policy,
    now: DateTime<Utc>,
) {
    for key in keys {
        if proof::key_is_dead(key, record, policy, now) {
            let how = proof::how(&key.id, record, policy);
            record.proven.entry(key.id.clone()).or_insert(how);
        } else if key.status.is_active() {
            record.proven.remove(&key.id);
            if let Some(series) = record.probes.get_mut(&key.id) {
                series.refusals = 0;
                series.since = None;
                series.endpoints.clear();
            }
        }
    }
}

/// Whether a key that is not there is dead. One whose user is gone is not tried to the end.
fn missing_key(
    record: &mut Record,
    key_id: Option<&str>,
    view: &KeyView,
    policy: &Policy,
    now: DateTime<Utc>,
) -> bool {
    let gone = proof::gone(record, policy, now);
    let Some(key_id) = key_id else { return gone };
    let user_gone = gone && view.user != Presence::Same;
    let dead = user_gone || proof::missing_key_is_dead(key_id, record, policy, now);
    if dead {
        let how = proof::how(key_id, record, policy);
        record.proven.entry(key_id.to_owned()).or_insert(how);
    }
    dead
}

/// Whether every role that is to be cut is cut beyond the moment of death.
fn roles_cut(roles: &[RoleStanding], record: &Record, policy: &Policy) -> bool {
    let Some(dead_at) = record.dead_at else { return false };
    let from = deny::roles_from(dead_at, policy);
    roles
        .iter()
        .filter(|standing| is_cut(standing, policy))
        .all(|standing| standing.denies.iter().any(|deny| deny.cuts_sessions_before(from)))
}

/// Whether a role that the target could assume is to be cut, rather than waited for.
pub(super) fn is_cut(standing: &RoleStanding, policy: &Policy) -> bool {
    use crate::policy::ServiceRoles;
    standing.presence == Presence::Same
        && policy.assumable_roles == RoleSessions::Cut
        && !standing.role.service_linked
        && (!standing.role.service_assumed || policy.service_roles == ServiceRoles::Cut)
}
