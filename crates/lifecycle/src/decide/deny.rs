//! Denies: which one is missing, and where it can be written.

use chrono::{DateTime, Utc};

use super::look::is_cut;
use super::{Check, Decision, act, wait};
use crate::action::{Action, DenyHandle, DenyOrder, DenyPlace, DenyPurpose, DenyScope};
use crate::credential::{RoleRef, UserRef};
use crate::observe::{DenyState, Presence, RoleStanding};
use crate::policy::{Policy, RoleSessions};
use crate::record::{Place, Record};
use crate::task::BlockReason;

/// The deny to put so that `scope` holds; `Err` where no place is left.
pub(super) fn order(
    identity: &str,
    denies: &[DenyState],
    scope: DenyScope,
    may_use_boundary: bool,
    record: &Record,
    policy: &Policy,
) -> Result<DenyOrder, BlockReason> {
    let purpose = match scope {
        DenyScope::Everything => DenyPurpose::Everything,
        DenyScope::SessionsBefore(_) => DenyPurpose::Sessions,
    };
    // Where it was put before, it fits again: the new text is as long as the old.
    let before = denies.iter().find(|d| d.handle.purpose == purpose).map(|d| d.handle.place);
    let places = [DenyPlace::Inline, DenyPlace::Managed, DenyPlace::Boundary];
    before
        .into_iter()
        .chain(places)
        .filter(|place| *place != DenyPlace::Boundary || may_use_boundary)
        .find(|place| {
            !record.full.contains(&Place { identity: identity.to_owned(), place: *place })
        })
        .map(|place| DenyOrder {
            handle: DenyHandle { case: policy.case.clone(), purpose, place },
            scope,
        })
        .ok_or(BlockReason::NoPlaceForDeny)
}

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
    let identity = format!("user/{}/{}", user.account, user.name);
    let scope = DenyScope::SessionsBefore(now + policy.cutoff_margin);
    Some(match order(&identity, denies, scope, false, record, policy) {
        Ok(deny) => act(Action::DenyUser { user: user.clone(), deny }, "sessions outlive the key"),
        Err(reason) => Decision::Blocked(reason),
    })
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
    let identity = format!("user/{}/{}", user.account, user.name);
    Some(match order(&identity, denies, DenyScope::Everything, true, record, policy) {
        Ok(deny) => {
            act(Action::DenyUser { user: user.clone(), deny }, "closes sessions and every route")
        }
        Err(reason) => Decision::Blocked(reason),
    })
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
    let identity = format!("role/{}/{}", role.account, role.name);
    match order(&identity, denies, scope, false, record, policy) {
        Ok(deny) => act(Action::DenyRole { role: role.clone(), deny }, reason),
        Err(reason) => Decision::Blocked(reason),
    }
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
        .find(|standing| !standing.denies.iter().any(|deny| deny.cuts_sessions_before(from)))?;
    let scope = DenyScope::SessionsBefore(now + policy.cutoff_margin);
    let reason = "its sessions may be held by whoever held this";
    Some(role(&open.role.role, &open.denies, scope, reason, record, policy))
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
        .map(move |standing| (standing, dead_at + standing.role.max_session()))
}

/// Whether sessions of roles are cut by policy at all.
pub(super) fn cuts(policy: &Policy) -> bool {
    policy.assumable_roles == RoleSessions::Cut
}
