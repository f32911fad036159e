//! A whole user.

use aws_sdk_iam::types::User;
use severance_engine::ports::Look;
use severance_lifecycle::credential::UserRef;
use severance_lifecycle::failure::Failure;
use severance_lifecycle::observe::{Presence, Routes, UserView};

use super::{denies, key_state, presence, role};
use crate::calls::Calls;
use crate::reads::Holder;

/// Looks at a user: every kind of credential, all pages, and the routes.
pub(super) async fn look(
    calls: &Calls<'_>,
    look: &Look,
    user: &UserRef,
) -> Result<UserView, Failure> {
    let found = calls.user(&user.name).await?;
    let presence = presence(found.as_ref().map(|found| found.user_id.as_str()), &user.id);
    let Some(found) = found.filter(|_| presence == Presence::Same) else {
        return absent(calls, look, presence).await;
    };
    whole(calls, look, user, &found).await
}

/// The user is not there (any more); the roles that it could assume are.
async fn absent(calls: &Calls<'_>, look: &Look, presence: Presence) -> Result<UserView, Failure> {
    Ok(UserView {
        user: presence,
        keys: Vec::new(),
        login_profile: false,
        side: Vec::new(),
        mfa_devices: Vec::new(),
        denies: Vec::new(),
        routes: Routes::default(),
        roles: role::standings(calls, look).await?,
    })
}

async fn whole(
    calls: &Calls<'_>,
    look: &Look,
    user: &UserRef,
    found: &User,
) -> Result<UserView, Failure> {
    let name = user.name.as_str();
    let holder = Holder::User(name);
    let (keys, login, side, mfa_devices, inline, attached, groups, roles) = futures::try_join!(
        calls.access_keys(name),
        calls.login_profile(name),
        calls.side_credentials(name),
        calls.mfa_devices(name),
        calls.inline_policies(holder),
        calls.attached_policies(holder),
        calls.groups(name),
        role::standings(calls, look)
    )?;
    let boundary =
        found.permissions_boundary.as_ref().and_then(|b| b.permissions_boundary_arn.clone());
    let mut denies = denies::read(calls, look, holder, &user.id, &inline, &attached).await?;
    denies.extend(denies::boundary(calls, look, &user.id, boundary.as_deref()).await?);
    let mut states = Vec::with_capacity(keys.len());
    for key in keys {
        states.extend(key_state(calls, key).await);
    }
    Ok(UserView {
        user: Presence::Same,
        keys: states,
        login_profile: login.is_some(),
        side,
        mfa_devices,
        denies,
        routes: Routes { inline, attached, groups, boundary },
        roles,
    })
}
