//! An access key and its user.

use severance_engine::ports::Look;
use severance_lifecycle::credential::UserRef;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::observe::{KeyView, Presence};

use super::{denies, intruders, key_state, presence, role};
use crate::calls::Calls;
use crate::reads::Holder;

/// Looks at a key.
///
/// While the key is Active the look is one call and says nothing of denies, roles and intruders (they
/// are empty): an Active key is deactivated whatever they are, and every call before that is time in
/// which it works. A key id belongs to one user for ever, so a key that is listed under the user's name
/// says by itself that the user is the same.
pub(super) async fn look(
    calls: &Calls<'_>,
    look: &Look,
    key_id: &str,
    user: &UserRef,
) -> Result<KeyView, Failure> {
    let mut view = KeyView {
        user: Presence::Missing,
        key: None,
        denies: Vec::new(),
        roles: Vec::new(),
        intruders: Vec::new(),
    };
    let keys = match calls.access_keys(&user.name).await {
        Ok(keys) => keys,
        Err(failure) if failure.class == FailureClass::Gone => {
            view.roles = role::standings(calls, look).await?;
            return Ok(view);
        }
        Err(failure) => return Err(failure),
    };
    let (mine, others): (Vec<_>, Vec<_>) =
        keys.into_iter().partition(|key| key.access_key_id.as_deref() == Some(key_id));
    if let Some(key) = mine.into_iter().next() {
        view.user = Presence::Same;
        view.key = key_state(calls, key).await;
        if view.key.as_ref().is_some_and(|key| key.status.is_active()) {
            return Ok(view);
        }
    } else {
        let found = calls.user(&user.name).await?;
        view.user = presence(found.as_ref().map(|found| found.user_id.as_str()), &user.id);
    }
    if view.user != Presence::Same {
        view.roles = role::standings(calls, look).await?;
        return Ok(view);
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
    Ok(view)
}
