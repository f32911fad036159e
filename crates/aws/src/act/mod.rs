//! Acting: each action in one attempt, applied twice the same as once.

pub(crate) mod credentials;
mod deny;
mod managed;
mod trust;

use severance_engine::ports::Applied;
use severance_lifecycle::action::Action;
use severance_lifecycle::credential::{RoleRef, UserRef};
use severance_lifecycle::failure::Failure;
use severance_lifecycle::ids::AccountId;

use crate::calls::Calls;
use crate::failure::gone;
use crate::{probe, secret};

/// The account that an action is in.
pub(crate) fn account(action: &Action) -> &AccountId {
    match action {
        Action::DeactivateKey { user, .. }
        | Action::ReactivateKey { user, .. }
        | Action::DeleteKey { user, .. }
        | Action::DeleteLoginProfile { user }
        | Action::Deactivate { user, .. }
        | Action::Reactivate { user, .. }
        | Action::Delete { user, .. }
        | Action::DeactivateMfa { user, .. }
        | Action::DenyUser { user, .. }
        | Action::AllowUser { user, .. }
        | Action::Probe { user, .. } => &user.account,
        Action::DenyRole { role, .. }
        | Action::AllowRole { role, .. }
        | Action::RemoveTrust { role, .. }
        | Action::RestoreTrust { role, .. } => &role.account,
        Action::Secret { secret, .. } => &secret.account,
    }
}

/// Carries out an action.
pub(crate) async fn act(calls: &Calls<'_>, action: &Action) -> Result<Applied, Failure> {
    let mut probed = None;
    match action {
        Action::DeactivateKey { user, key_id } => {
            credentials::switch_key(calls, user, key_id, false).await?;
        }
        Action::ReactivateKey { user, key_id } => {
            credentials::switch_key(calls, user, key_id, true).await?;
        }
        Action::DeleteKey { user, key_id } => credentials::delete_key(calls, user, key_id).await?,
        Action::DeleteLoginProfile { user } => {
            credentials::delete_login_profile(calls, user).await?;
        }
        Action::Deactivate { user, kind, id } => {
            credentials::switch(calls, user, *kind, id, false).await?;
        }
        Action::Reactivate { user, kind, id } => {
            credentials::switch(calls, user, *kind, id, true).await?;
        }
        Action::Delete { user, kind, id } => credentials::delete(calls, user, *kind, id).await?,
        Action::DeactivateMfa { user, serial } => {
            credentials::deactivate_mfa(calls, user, serial).await?;
        }
        Action::DenyUser { user, deny } => deny::put_on_user(calls, user, deny).await?,
        Action::DenyRole { role, deny } => deny::put_on_role(calls, role, deny).await?,
        Action::AllowUser { user, deny } => deny::take_off_user(calls, user, deny).await?,
        Action::AllowRole { role, deny } => deny::take_off_role(calls, role, deny).await?,
        Action::RemoveTrust { role, removed } => trust::remove(calls, role, removed).await?,
        Action::RestoreTrust { role, removed } => trust::restore(calls, role, removed).await?,
        Action::Probe { key_id, sample, .. } => {
            probed = Some(probe::probe(calls, key_id, *sample).await?);
        }
        Action::Secret { secret, what } => probed = secret::act(calls, secret, what).await?,
    }
    Ok(Applied {
        request_id: calls.request_id(),
        at: calls.at(),
        probe: probed,
        stragglers_until: None,
    })
}

/// The user that is meant, or a failure where it is gone or another has its name. Asked before every
/// write that names the user and nothing of its own: such a write would hit a user made again.
async fn same_user(calls: &Calls<'_>, user: &UserRef) -> Result<aws_sdk_iam::types::User, Failure> {
    match calls.user(&user.name).await? {
        Some(found) if found.user_id == user.id => Ok(found),
        Some(_) => Err(gone("iam:GetUser", "another user has this name now")),
        None => Err(gone("iam:GetUser", "no user has this name")),
    }
}

/// The role that is meant; see [`same_user`].
async fn same_role(calls: &Calls<'_>, role: &RoleRef) -> Result<aws_sdk_iam::types::Role, Failure> {
    match calls.role(&role.name).await? {
        Some(found) if found.role_id == role.id => Ok(found),
        Some(_) => Err(gone("iam:GetRole", "another role has this name now")),
        None => Err(gone("iam:GetRole", "no role has this name")),
    }
}
