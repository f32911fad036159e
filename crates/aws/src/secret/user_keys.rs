//! Looking at the keys of the user whose key a secret holds.

use severance_engine::ports::Look;
use severance_lifecycle::credential::UserRef;
use severance_lifecycle::failure::Failure;
use severance_lifecycle::observe::Presence;
use severance_lifecycle::secret::SecretRef;
use severance_lifecycle::secret_view::{SecretView, UserKey, UserKeys, VersionState};

use crate::calls::Calls;
use crate::failure::{is_refused, present};
use crate::observe::{key, key_state, presence};
use crate::renamed;

/// The keys of the user, who may live in another account than the secret. One who is not there under the name
/// may have been renamed; of one who is gone for sure the old key is shown as gone too.
pub(super) async fn look(
    calls: &Calls<'_>,
    look: &Look,
    secret: &SecretRef,
    user: &UserRef,
    view: &SecretView,
) -> Result<UserKeys, Failure> {
    let apart = calls.for_user(user)?;
    let theirs = apart.as_ref().unwrap_or(calls);
    let mut user = user.clone();
    theirs.account.names.apply(&mut user);
    let current = view.current().and_then(VersionState::key_id).map(str::to_owned);
    let (old, listed) = match look.old_key.clone().or(current) {
        Some(key_id) => {
            let (old, listed) = key::look_and_list(theirs, look, &key_id, &user).await?;
            (Some(old), Some(listed))
        }
        None => (None, None),
    };
    let mut user_is = match &old {
        Some(old) => old.user,
        None => by_name(theirs, &user).await?,
    };
    if user_is != Presence::Same
        && old.is_none()
        && let Some(current) = renamed::find(theirs, None, &user).await?
    {
        (user, user_is) = (current, Presence::Same);
    }
    let listed = match (user_is, listed) {
        (Presence::Same, Some(listed)) => listed,
        (Presence::Same, None) => theirs.access_keys(&user.name).await?,
        (Presence::Missing | Presence::Replaced, _) => Vec::new(),
    };
    // Whatever else holds a key that is exposed, it is switched off: nothing is asked for its sake.
    if !look.secret.every_version {
        for there in [Some(calls), apart.as_ref()].into_iter().flatten() {
            there.account.secrets.ready(there).await;
        }
    }
    let mut keys = Vec::new();
    for key in listed {
        let Some(state) = key_state(theirs, key).await else { continue };
        let is_held = view.holders(&state.id).next().is_some();
        let elsewhere = calls.is_elsewhere(&state.id, &secret.arn);
        keys.push(UserKey {
            // Only of a key that no secret holds does it matter.
            used: is_held || elsewhere || was_used(theirs, &state.id).await?,
            state,
            elsewhere,
        });
    }
    if let Some(apart) = &apart {
        calls.absorb(apart);
    }
    Ok(UserKeys { user: user_is, keys, old })
}

async fn by_name(calls: &Calls<'_>, user: &UserRef) -> Result<Presence, Failure> {
    let found = calls.user(&user.name).await?;
    Ok(presence(found.as_ref().map(|found| found.user_id.as_str()), &user.id))
}

async fn was_used(calls: &Calls<'_>, key_id: &str) -> Result<bool, Failure> {
    let request = calls.account.iam().get_access_key_last_used().access_key_id(key_id).send();
    let answer = match calls.call("iam:GetAccessKeyLastUsed", request).await {
        // Where we may not ask it may have been: nobody may say that the key is one that a lost reply left.
        Err(failure) if is_refused(&failure) => {
            tracing::warn!(account = %calls.id(), key_id, %failure, "counts as used");
            return Ok(true);
        }
        answer => present(answer)?,
    };
    let last = answer.and_then(|answer| answer.access_key_last_used);
    Ok(last.is_some_and(|last| last.last_used_date.is_some()))
}
