//! A role, as a target or as one that a user could assume.

use std::sync::atomic::Ordering;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use severance_engine::ports::Look;
use severance_lifecycle::credential::RoleRef;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::observe::{AssumableRole, DenyState, Presence, RoleStanding, RoleView};

use super::{denies, presence};
use crate::calls::Calls;
use crate::document;
use crate::identity::{is_service_linked, max_session};
use crate::reads::Holder;

/// Looks at a role. Its trust policy is `Null` where the role is not the one that is meant.
pub(super) async fn look(
    calls: &Calls<'_>,
    look: &Look,
    role: &RoleRef,
) -> Result<RoleView, Failure> {
    let found = calls.role(&role.name).await?;
    let presence = presence(found.as_ref().map(|found| found.role_id.as_str()), &role.id);
    let Some(found) = found.filter(|_| presence == Presence::Same) else {
        return Ok(RoleView {
            role: presence,
            service_linked: false,
            trust: Value::Null,
            max_session_seconds: 0,
            denies: Vec::new(),
        });
    };
    let trust = found.assume_role_policy_document.as_deref().and_then(document::read);
    Ok(RoleView {
        role: presence,
        service_linked: is_service_linked(&found.path),
        trust: trust.unwrap_or_default(),
        max_session_seconds: max_session(found.max_session_duration),
        denies: own_denies(calls, look, role).await?,
    })
}

/// The roles that a user could assume, each with what this case put on it. A role of an account that is
/// not configured, or that refuses us, stays listed, as present and without denies.
pub(super) async fn standings(
    calls: &Calls<'_>,
    look: &Look,
) -> Result<Vec<RoleStanding>, Failure> {
    stream::iter(look.assumable.iter().cloned())
        .map(|role| standing(calls, look, role))
        .buffered(calls.account.limits.concurrency)
        .try_collect()
        .await
}

async fn standing(
    calls: &Calls<'_>,
    look: &Look,
    role: AssumableRole,
) -> Result<RoleStanding, Failure> {
    let sibling;
    let there = if role.role.account == *calls.id() {
        calls
    } else if let Some(other) = calls.sibling(&role.role.account) {
        sibling = other;
        &sibling
    } else {
        return Ok(RoleStanding { role, presence: Presence::Same, denies: Vec::new() });
    };
    let read = read(there, look, &role).await;
    if role.role.account != *calls.id() {
        match &read {
            // What we are refused there must not keep the credential here alive: the role stays listed,
            // and cutting it off is what fails, by itself.
            Err(failure) if failure.class == FailureClass::Cannot => {
                if !there.account.unreadable.swap(true, Ordering::Relaxed) {
                    let account = there.id();
                    tracing::warn!(%account, role = role.role.name, %failure, "roles cannot be read");
                }
                return Ok(RoleStanding { role, presence: Presence::Same, denies: Vec::new() });
            }
            Err(_) => {}
            Ok(_) => there.account.unreadable.store(false, Ordering::Relaxed),
        }
    }
    let (presence, denies) = read?;
    Ok(RoleStanding { role, presence, denies })
}

async fn read(
    there: &Calls<'_>,
    look: &Look,
    role: &AssumableRole,
) -> Result<(Presence, Vec<DenyState>), Failure> {
    let found = there.role(&role.role.name).await?;
    let presence = presence(found.as_ref().map(|found| found.role_id.as_str()), &role.role.id);
    let denies = match presence {
        Presence::Same if !role.service_linked => own_denies(there, look, &role.role).await?,
        _ => Vec::new(),
    };
    Ok((presence, denies))
}

async fn own_denies(
    calls: &Calls<'_>,
    look: &Look,
    role: &RoleRef,
) -> Result<Vec<DenyState>, Failure> {
    let holder = Holder::Role(&role.name);
    let (inline, attached) =
        futures::try_join!(calls.inline_policies(holder), calls.attached_policies(holder))?;
    denies::read(calls, look, holder, &role.id, &inline, &attached).await
}
