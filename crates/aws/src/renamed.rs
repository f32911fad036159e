//! Users under a name that is not the one that a task was planned with.
//!
//! A user can be renamed at any time (AWS: IAM API reference, `UpdateUser`); its unique id and its keys
//! stay. Whoever wants a key to survive renames its user, so "no such user" is said by id alone.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_sdk_iam::types::{EntityType, User, UserDetail};
use severance_lifecycle::credential::UserRef;
use severance_lifecycle::failure::{Failure, FailureClass};

use crate::calls::Calls;
use crate::failure::present;
use crate::reads::all_pages;

/// The present names of an account's users that were renamed, by unique id. Lost with the process: the
/// first look that misses a user learns its name again.
#[derive(Default)]
pub(crate) struct Names(Mutex<HashMap<String, String>>);

impl Names {
    /// Gives a user the name that it was last seen under.
    pub(crate) fn apply(&self, user: &mut UserRef) {
        if let Some(name) = self.names().get(&user.id) {
            user.name.clone_from(name);
        }
    }

    fn learn(&self, user: &UserRef) {
        self.names().insert(user.id.clone(), user.name.clone());
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds a user that is not there under its name: by one of its keys, where one is meant, and else by
/// its unique id among all users. `None` where no user has that id.
///
/// # Errors
/// Also where we may not ask: a user that nobody could look for is not said to be gone.
pub(crate) async fn find(
    calls: &Calls<'_>,
    key_id: Option<&str>,
    user: &UserRef,
) -> Result<Option<UserRef>, Failure> {
    let mut name = None;
    if let Some(key_id) = key_id {
        name = by_key(calls, key_id, user).await?;
    }
    if name.is_none() {
        name = by_id(calls, &user.id).await?;
    }
    let Some(name) = name else { return Ok(None) };
    let current = UserRef { name, ..user.clone() };
    tracing::warn!(account = %calls.id(), id = user.id, was = user.name, now = current.name, "renamed");
    calls.account.names.learn(&current);
    Ok(Some(current))
}

/// The name of the key's user, where that is the user that is meant.
async fn by_key(
    calls: &Calls<'_>,
    key_id: &str,
    user: &UserRef,
) -> Result<Option<String>, Failure> {
    let request = calls.account.iam().get_access_key_last_used().access_key_id(key_id).send();
    let name = match present(calls.call("iam:GetAccessKeyLastUsed", request).await) {
        Ok(answer) => answer.and_then(|answer| answer.user_name),
        // IAM also answers so for a key that does not exist.
        Err(failure) if failure.class == FailureClass::Cannot => None,
        Err(failure) => return Err(failure),
    };
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(None) };
    let found = calls.user(&name).await?.filter(|found| found.user_id == user.id);
    Ok(found.map(|found| found.user_name))
}

async fn by_id(calls: &Calls<'_>, id: &str) -> Result<Option<String>, Failure> {
    match users(calls).await {
        Ok(users) => Ok(users.into_iter().find(|it| it.user_id == id).map(|it| it.user_name)),
        Err(failure) if failure.class == FailureClass::Cannot => {
            let users = details(calls).await?;
            let found = users.into_iter().find(|it| it.user_id.as_deref() == Some(id));
            Ok(found.and_then(|it| it.user_name))
        }
        Err(failure) => Err(failure),
    }
}

async fn users(calls: &Calls<'_>) -> Result<Vec<User>, Failure> {
    let iam = calls.account.iam();
    all_pages!(calls, "iam:ListUsers", iam.list_users().max_items(1_000), |page| page.users)
}

async fn details(calls: &Calls<'_>) -> Result<Vec<UserDetail>, Failure> {
    let iam = calls.account.iam();
    all_pages!(
        calls,
        "iam:GetAccountAuthorizationDetails",
        iam.get_account_authorization_details().filter(EntityType::User),
        |page| page.user_detail_list.unwrap_or_default()
    )
}
