//! Denies: which one is missing, and where it can be written.

use chrono::{DateTime, TimeDelta, Utc};

use super::look::is_cut;
use super::{Check, Decision, act, wait};
use crate::action::{Action, DenyHandle, DenyOrder, DenyPlace, DenyPurpose, DenyScope};
use crate::credential::{RoleRef, UserRef};
use crate::observe::{DenyState, Presence, RoleStanding};
use crate::policy::{Policy, RoleSessions};
use crate::record::{Place, Record};
use crate::task::BlockReason;

/// The action that puts a deny so that `scope` holds, at the first place that is neither full nor
/// refused; what to say where none is left.
fn order(
    denies: &[DenyState],
    scope: DenyScope,
    places: &[DenyPlace],
    make: impl Fn(DenyOrder) -> Action,
    record: &Record,
    policy: &Policy,
) -> Result<Action, BlockReason> {
    let purpose = match scope {
        DenyScope::Everything => DenyPurpose::Everything,
        DenyScope::SessionsBefore(_) => DenyPurpose::Sessions,
    };
    // Where it was put before, it fits again: the new text is as long as the old.
    let before = denies.iter().find(|d| d.handle.purpose == purpose).map(|d| d.handle.place);
    let mut refused = None;
    for place in before.into_iter().chain(places.iter().copied()) {
        let handle = DenyHandle { case: policy.case.clone(), purpose, place };
        let action = make(DenyOrder { handle, scope });
        let full = action
            .touches()
            .into_iter()
            .any(|identity| record.full.contains(&Place { identity, place }));
        match record.refused.get(&action.site()) {
            Some(reason) => refused = refused.or(Some(reason)),
            None if full => {}
            None => return Ok(action),
        }
    }
    Err(refused.cloned().unwrap_or(BlockReason::NoPlaceForDeny))
}

fn put(order: Result<Action, BlockReason>, reason: &str) -> Decision {
    match order {
        Ok(action) => act(action, reason),
        Err(reason) => Decision::Blocked(reason),
    }
}

const ANYWHERE: [DenyPlace; 3] = [DenyPlace::Inline, DenyPlace::Managed, DenyPlace::Boundary];
/// A boundary would cut the user's good keys as well, or widen what the old boundary held; a role's
/// may be its owner's own guard rail.
const NOT_AS_BOUNDARY: [DenyPlace; 2] = [DenyPlace::Inline, DenyPlace::Managed];

/// Denies a user's sessions issued before now, unless they are denied up to `from` already.
pub(super) fn user_sessions(
    user: &UserRef,
    denies: &[DenyState],
    from: DateTime<Utc>,
    record: &Record,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Check {
    if denies.iter().any(|deny| deny.cuts_sessions_before(from)) {
        return None;
    }
    let scope = DenyScope::SessionsBefore(now + policy.cutoff_margin);
    let make = |deny| Action::DenyUser { user: user.clone(), deny };
    let order = order(denies, scope, &NOT_AS_BOUNDARY, make, record, policy);
    Some(put(order, "sessions outlive the key"))
}

/// Denies everything to a user.
pub(super) fn user_everything(
    user: &UserRef,
    denies: &[DenyState],
    record: &Record,
    policy: &Policy,
) -> Check {
    if denies.iter().any(DenyState::denies_everything) {
        return None;
    }
    let make = |deny| Action::DenyUser { user: user.clone(), deny };
    let order = order(denies, DenyScope::Everything, &ANYWHERE, make, record, policy);
    Some(put(order, "closes sessions and every route"))
}

/// Denies a role's sessions issued before now, or everything.
pub(super) fn role(
    role: &RoleRef,
    denies: &[DenyState],
    scope: DenyScope,
    reason: &str,
    record: &Record,
    policy: &Policy,
) -> Decision {
    let make = |deny| Action::DenyRole { role: role.clone(), deny };
    put(order(denies, scope, &NOT_AS_BOUNDARY, make, record, policy), reason)
}

/// Up to when sessions of roles must be cut once what could assume them is dead. Until the last deny
/// on *that* holds everywhere, its sessions can still mint sessions of roles, and those of roles of
/// further roles: all denies are put at once, so one spread is enough for any chain.
pub(super) fn roles_from(dead_at: DateTime<Utc>, policy: &Policy) -> DateTime<Utc> {
    dead_at + policy.spread + policy.cutoff_margin
}

/// Cuts sessions of roles that the target could assume, up to `from`, where policy says so.
pub(super) fn assumable_roles(
    roles: &[RoleStanding],
    from: DateTime<Utc>,
    record: &Record,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Check {
    let open = roles
        .iter()
        .filter(|standing| is_cut(standing, policy))
        .filter(|standing| !standing.denies.iter().any(|deny| deny.cuts_sessions_before(from)));
    let cutoff = match record.dead_at {
        Some(_) => roles_from(now, policy),
        None => now + policy.cutoff_margin,
    };
    let scope = DenyScope::SessionsBefore(cutoff);
    let reason = "its sessions may be held by whoever held this";
    let mut said = None;
    for standing in open {
        match role(&standing.role.role, &standing.denies, scope, reason, record, policy) {
            Decision::Blocked(why) => said = said.or(Some(Decision::Blocked(why))),
            act => return Some(act),
        }
    }
    said
}

/// Waits until sessions that are not cut have ended: each is an open exposure until then.
pub(super) fn residual_sessions(
    roles: &[RoleStanding],
    dead_at: DateTime<Utc>,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Check {
    residuals(roles, dead_at, policy)
        .filter(|(_, until)| *until > now)
        .max_by_key(|(_, until)| *until)
        .map(|(standing, until)| {
            wait(until, format!("sessions of role {} may still live", standing.role.role.name))
        })
}

/// A session can mint another one through a chain just before it ends, which lives an hour at most (AWS:
/// IAM User Guide, "Role chaining").
const CHAINED: TimeDelta = TimeDelta::hours(1);

/// Roles whose sessions are left to end by themselves, and when the longest has.
pub(super) fn residuals<'a>(
    roles: &'a [RoleStanding],
    dead_at: DateTime<Utc>,
    policy: &'a Policy,
) -> impl Iterator<Item = (&'a RoleStanding, DateTime<Utc>)> {
    roles
        .iter()
        // A deleted role's sessions are refused with it.
        .filter(|standing| standing.presence == Presence::Same && !is_cut(standing, policy))
        .map(move |standing| (standing, dead_at + standing.role.max_session() + CHAINED))
}

/// Whether sessions of roles are cut by policy at all.
pub(super) fn cuts(policy: &Policy) -> bool {
    policy.assumable_roles == RoleSessions::Cut
}
