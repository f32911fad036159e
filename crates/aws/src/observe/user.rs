//! A whole user.

use aws_sdk_iam::types::User;
use severance_engine::ports::Look;
use severance_lifecycle::credential::UserRef;
use severance_lifecycle::failure::Failure;
use severance_lifecycle::observe::{DenyState, Presence, Routes, UserView};

use super::{Seen, denies, key_state, presence, renamed_again, role};
use crate::calls::Calls;
use crate::reads::Holder;
use crate::renamed;

/// Looks at a user: every kind of credential, all pages, and the routes. One that is not there under its
/// name is looked for under others.
pub(super) async fn look(
    calls: &Calls<'_>,
    look: &Look,
    user: &UserRef,
) -> Result<UserView, Failure> {
    let presence = match by_name(calls, look, user).await? {
        Seen::There(view) => return Ok(view),
        Seen::NotThere(presence) => presence,
    };
    match renamed::find(calls, None, user).await? {
        None => absent(calls, look, presence).await,
        Some(current) => match by_name(calls, look, &current).await? {
            Seen::There(view) => Ok(view),
            Seen::NotThere(_) => Err(renamed_again()),
        },
    }
}

async fn by_name(
    calls: &Calls<'_>,
    look: &Look,
    user: &UserRef,
) -> Result<Seen<UserView>, Failure> {
    let found = calls.user(&user.name).await?;
    let presence = presence(found.as_ref().map(|found| found.user_id.as_str()), &user.id);
    match found.filter(|_| presence == Presence::Same) {
        Some(found) => whole(calls, look, user, &found).await.map(Seen::There),
        None => Ok(Seen::NotThere(presence)),
    }
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
    let read = futures::try_join!(
        calls.access_keys(name),
        calls.login_profile(name),
        calls.side_credentials(name),
        calls.mfa_devices(name),
        calls.inline_policies(holder),
        calls.attached_policies(holder),
        calls.groups(name)
    );
    let (keys, login, side, mfa_devices, inline, attached, groups) = read?;
    let boundary =
        found.permissions_boundary.as_ref().and_then(|b| b.permissions_boundary_arn.clone());
    let mut denies = denies::read(calls, look, holder, &user.id, &inline, &attached).await?;
    denies.extend(denies::boundary(calls, look, &user.id, boundary.as_deref()).await?);
    let mut states = Vec::with_capacity(keys.len());
    for key in keys {
        states.extend(key_state(calls, key).await);
    }
    let switched_on = states.iter().any(|key| key.status.is_active())
        || login.is_some()
        || side.iter().any(|side| side.active)
        || !denies.iter().any(DenyState::denies_everything);
    let roles = match role::standings(calls, look).await {
        // Roles come after the user's own credentials: what fails elsewhere does not hold those up.
        Err(_) if switched_on => Vec::new(),
        roles => roles?,
    };
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
