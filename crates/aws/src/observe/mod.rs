//! Looking: what is true now of a target.

mod denies;
mod intruders;
pub(crate) mod key;
mod role;
mod user;

use severance_engine::ports::Look;
use severance_lifecycle::credential::{Target, UserRef};
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::observe::{KeyState, Observed, Presence, View};

use crate::calls::Calls;
use crate::failure::{cannot, replan};
use crate::reads::{key_created, key_status};
use crate::secret;
use crate::secret_index::{Holds, is_held};

/// Looks at a target. The provider's clock is that of the look's latest answer; see [`Calls::at`].
///
/// What is not there is something seen. Where something goes while it is looked at, the look fails with
/// [`FailureClass::Replan`]: the next one sees it gone.
pub(crate) async fn observe(calls: &Calls<'_>, look: &Look) -> Result<Observed, Failure> {
    let view = view(calls, look).await.map_err(|failure| match failure.class {
        FailureClass::Gone => Failure { class: FailureClass::Replan, ..failure },
        _ => failure,
    })?;
    Ok(Observed { at: calls.at(), view })
}

async fn view(calls: &Calls<'_>, look: &Look) -> Result<View, Failure> {
    let current = |user: &UserRef| {
        let mut user = user.clone();
        calls.account.names.apply(&mut user);
        user
    };
    Ok(match &look.target {
        Target::AccessKey { key_id, user } => {
            View::AccessKey(key::look(calls, look, key_id, &current(user)).await?)
        }
        Target::User { user } => View::User(user::look(calls, look, &current(user)).await?),
        Target::Role { role } => View::Role(role::look(calls, look, role).await?),
        Target::Secret { secret, issuer } => {
            View::Secret(secret::look(calls, look, secret, issuer).await?)
        }
        Target::Unresolved { selector } => {
            let message = format!("nothing to look at: {selector}");
            return Err(cannot("observe", "Unresolved", &message));
        }
    })
}

/// A look at a user by its name.
enum Seen<V> {
    There(V),
    /// No user of that id has that name.
    NotThere(Presence),
}

/// It was found under another name a moment ago and is not there now.
fn renamed_again() -> Failure {
    replan("iam:GetUser", "the user was renamed while it was looked at")
}

/// Ids, not names: an identity made again under an old name is another.
pub(crate) fn presence(found: Option<&str>, meant: &str) -> Presence {
    match found {
        None => Presence::Missing,
        Some(id) if id == meant => Presence::Same,
        Some(_) => Presence::Replaced,
    }
}

/// A listed key as the domain knows it; `None` for an entry without an id.
pub(crate) async fn key_state(
    calls: &Calls<'_>,
    key: aws_sdk_iam::types::AccessKeyMetadata,
) -> Option<KeyState> {
    let status = key_status(key.status.as_ref());
    let created = key_created(&key);
    let id = key.access_key_id?;
    // An Active key is deactivated whether or not it can be probed: nothing is asked for its sake.
    // While that is open it counts as one that can: the proof waits, and nothing else does.
    let probeable = !status.is_active()
        && (is_held(calls, &id) || calls.account.secrets.holds(calls, &id).await != Holds::No);
    Some(KeyState { id, status, created, probeable })
}
