//! An access key and its user.

use std::collections::BTreeMap;

use aws_sdk_iam::types::AccessKeyMetadata;
use severance_engine::ports::Look;
use severance_lifecycle::credential::UserRef;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::observe::{KeyView, Presence};

use super::{Seen, denies, intruders, key_state, presence, renamed_again, role};
use crate::calls::Calls;
use crate::reads::{Holder, key_status};
use crate::renamed;

/// Looks at a key.
///
/// While the key is Active the look is one call and says nothing of denies, roles and intruders (they
/// are empty): an Active key is deactivated whatever they are, and every call before that is time in
/// which it works. A key id belongs to one user for ever, so a key that is listed under the user's name
/// says by itself that the user is the same. A user that is not there under its name is looked for
/// under others.
pub(crate) async fn look(
    calls: &Calls<'_>,
    look: &Look,
    key_id: &str,
    user: &UserRef,
) -> Result<KeyView, Failure> {
    look_and_list(calls, look, key_id, user).await.map(|(view, _)| view)
}

/// As [`look`], with all of the user's keys as they were listed for it.
pub(crate) async fn look_and_list(
    calls: &Calls<'_>,
    look: &Look,
    key_id: &str,
    user: &UserRef,
) -> Result<(KeyView, Vec<AccessKeyMetadata>), Failure> {
    let presence = match by_name(calls, look, key_id, user).await? {
        Seen::There(seen) => return Ok(seen),
        Seen::NotThere(presence) => presence,
    };
    if let Some(current) = renamed::find(calls, Some(key_id), user).await? {
        return match by_name(calls, look, key_id, &current).await? {
            Seen::There(seen) => Ok(seen),
            Seen::NotThere(_) => Err(renamed_again()),
        };
    }
    let roles = role::standings(calls, look).await?;
    Ok((KeyView { roles, ..nothing(presence) }, Vec::new()))
}

async fn by_name(
    calls: &Calls<'_>,
    look: &Look,
    key_id: &str,
    user: &UserRef,
) -> Result<Seen<(KeyView, Vec<AccessKeyMetadata>)>, Failure> {
    let mut view = nothing(Presence::Missing);
    let keys = match calls.access_keys(&user.name).await {
        Ok(keys) => keys,
        Err(failure) if failure.class == FailureClass::Gone => {
            return Ok(Seen::NotThere(Presence::Missing));
        }
        Err(failure) => return Err(failure),
    };
    let listed = keys.clone();
    let (mine, others): (Vec<_>, Vec<_>) =
        keys.into_iter().partition(|key| key.access_key_id.as_deref() == Some(key_id));
    if let Some(key) = mine.into_iter().next() {
        view.user = Presence::Same;
        view.key = key_state(calls, key).await;
        if view.key.as_ref().is_some_and(|key| key.status.is_active()) {
            return Ok(Seen::There((view, listed)));
        }
    } else {
        let found = calls.user(&user.name).await?;
        view.user = presence(found.as_ref().map(|found| found.user_id.as_str()), &user.id);
    }
    if view.user != Presence::Same {
        return Ok(Seen::NotThere(view.user));
    }
    let holder = Holder::User(&user.name);
    let (roles, inline, attached, login) = futures::try_join!(
        role::standings(calls, look),
        calls.inline_policies(holder),
        calls.attached_policies(holder),
        calls.login_profile(&user.name)
    )?;
    view.roles = roles;
    view.denies = denies::read(calls, look, holder, &user.id, &inline, &attached).await?;
    let found = intruders::Found {
        keys: &others,
        login: login.as_ref(),
        inline: &inline,
        attached: &attached,
    };
    view.intruders = intruders::among(calls, look, user, found).await?;
    let status =
        |key: AccessKeyMetadata| Some((key.access_key_id?, key_status(key.status.as_ref())));
    view.others = others.into_iter().filter_map(status).collect();
    Ok(Seen::There((view, listed)))
}

fn nothing(user: Presence) -> KeyView {
    KeyView {
        user,
        key: None,
        denies: Vec::new(),
        roles: Vec::new(),
        intruders: Vec::new(),
        others: BTreeMap::new(),
    }
}
