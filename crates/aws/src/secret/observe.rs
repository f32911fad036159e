//! Looking at a secret: its versions, what they hold, and the keys of the user whose key it holds.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::types::{SecretVersionsListEntry, StatusType};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use severance_engine::ports::Look;
use severance_lifecycle::credential::UserRef;
use severance_lifecycle::failure::Failure;
use severance_lifecycle::observe::Presence;
use severance_lifecycle::secret::{Issuer, SecretRef, is_ours};
use severance_lifecycle::secret_view::{
    CURRENT, Held, ReplicaState, SecretView, UserKey, UserKeys, VersionState,
};

use super::{client, policy, value};
use crate::calls::Calls;
use crate::failure::present;
use crate::observe::{key, key_state, presence};
use crate::reads::time;
use crate::renamed;

/// Values of one secret that are read at once.
const AT_ONCE: usize = 4;

/// Looks at a secret.
///
/// # Errors
/// A [`Failure`]; a secret that is not there is something seen.
pub(crate) async fn look(
    calls: &Calls<'_>,
    look: &Look,
    secret: &SecretRef,
    issuer: &Issuer,
) -> Result<SecretView, Failure> {
    let (client, _) = client(calls, secret)?;
    let request = client.describe_secret().secret_id(&secret.arn).send();
    let described = present(calls.call("secretsmanager:DescribeSecret", request).await)?;
    let mut view = SecretView {
        secret: if described.is_some() { Presence::Same } else { Presence::Missing },
        deleted_at: None,
        owning_service: None,
        has_function: false,
        versions: Vec::new(),
        replicas: Vec::new(),
        denied: false,
        keys: None,
    };
    if let Some(described) = described {
        let readable = described.deleted_date.is_none();
        view.deleted_at = described.deleted_date.as_ref().map(time);
        view.owning_service.clone_from(&described.owning_service);
        view.has_function = described.rotation_enabled.unwrap_or(false);
        view.versions = versions(calls, secret, issuer, &described, readable).await?;
        view.replicas = replicas(calls, secret, &described).await?;
        // Nor can its policy be read while it is scheduled for deletion.
        view.denied = readable && policy::is_put(calls, secret, &look.case).await?;
    }
    if let Issuer::AccessKey { user } = issuer {
        view.keys = Some(user_keys(calls, look, secret, user, &view).await?);
    }
    Ok(view)
}

/// Versions with a label, and those that Severance stored.
async fn versions(
    calls: &Calls<'_>,
    secret: &SecretRef,
    issuer: &Issuer,
    described: &DescribeSecretOutput,
    readable: bool,
) -> Result<Vec<VersionState>, Failure> {
    let operation = "secretsmanager:ListSecretVersionIds";
    let (client, _) = client(calls, secret)?;
    let listed = calls
        .pages(operation, |token| async move {
            let request = client.list_secret_version_ids().secret_id(&secret.arn);
            let request = request.include_deprecated(true).set_next_token(token).send();
            let page = calls.call(operation, request).await?;
            Ok((page.versions.unwrap_or_default(), page.next_token))
        })
        .await?;
    // Labels by the description, which shows all of them at one moment.
    let labels = described.version_ids_to_stages.clone().unwrap_or_default();
    let matters = |entry: &SecretVersionsListEntry| {
        let id = entry.version_id.as_deref().unwrap_or_default();
        labels.contains_key(id) || is_ours(id)
    };
    let states = listed.into_iter().filter(matters).map(|entry| {
        let stages = entry.version_id.as_ref().and_then(|id| labels.get(id)).cloned();
        version(calls, secret, issuer, entry, stages.unwrap_or_default(), readable)
    });
    stream::iter(states.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await
}

async fn version(
    calls: &Calls<'_>,
    secret: &SecretRef,
    issuer: &Issuer,
    entry: SecretVersionsListEntry,
    stages: Vec<String>,
    readable: bool,
) -> Result<VersionState, Failure> {
    let id = entry.version_id.unwrap_or_default();
    let created = entry.created_date.as_ref().map(time).unwrap_or_default();
    let stages: BTreeSet<_> = stages.into_iter().collect();
    let listed = value::Listed { id: &id, created, readable };
    let held = match issuer {
        Issuer::AccessKey { .. } => value::held(calls, secret, &listed).await?,
        // Their own function, or nobody, knows what it is.
        Issuer::Managed | Issuer::Unknown | Issuer::Webhook { .. } => Held::Opaque,
        Issuer::Database { .. } => value::login(calls, secret, &listed).await?,
    };
    Ok(VersionState { id, stages, created, held })
}

/// A replica says that it is in step; what it hands out says whether it is.
async fn replicas(
    calls: &Calls<'_>,
    secret: &SecretRef,
    described: &DescribeSecretOutput,
) -> Result<Vec<ReplicaState>, Failure> {
    let current = described
        .version_ids_to_stages
        .iter()
        .flatten()
        .find(|(_, stages)| stages.iter().any(|stage| stage == CURRENT))
        .map(|(id, _)| id.clone());
    let mut replicas = Vec::new();
    for status in described.replication_status.iter().flatten() {
        let Some(region) = status.region.clone() else { continue };
        let says_so = status.status == Some(StatusType::InSync);
        let handed_out = replicated(calls, secret, &region).await?;
        let message = status.status_message.clone();
        let words = status.status.as_ref().map_or("unknown", StatusType::as_str);
        replicas.push(ReplicaState {
            region,
            // A region that is not configured cannot be asked: AWS's word stands.
            in_sync: says_so && handed_out.is_none_or(|there| Some(there) == current),
            status: message.unwrap_or_else(|| words.to_owned()),
        });
    }
    Ok(replicas)
}

/// The version that a replica hands out; `None` where its region is not configured.
async fn replicated(
    calls: &Calls<'_>,
    secret: &SecretRef,
    region: &str,
) -> Result<Option<String>, Failure> {
    let Some(number) = calls.account.regions.iter().position(|it| it == region) else {
        return Ok(None);
    };
    let arn = secret.arn.replacen(&format!(":{}:", secret.region), &format!(":{region}:"), 1);
    let request = calls.account.secretsmanager(number).describe_secret().secret_id(arn).send();
    let described = present(calls.call("secretsmanager:DescribeSecret", request).await)?;
    let stages = described.and_then(|it| it.version_ids_to_stages).unwrap_or_default();
    let is_current = |stages: &Vec<String>| stages.iter().any(|stage| stage == CURRENT);
    let current = stages.into_iter().find(|(_, stages)| is_current(stages));
    Ok(Some(current.map(|(id, _)| id).unwrap_or_default()))
}

/// The keys of the user, who may live in another account than the secret. One who is not there under the name
/// may have been renamed; of one who is gone for sure the old key is shown as gone too.
async fn user_keys(
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
    let old = match look.old_key.clone().or(current) {
        Some(key_id) => Some(key::look(theirs, look, &key_id, &user).await?),
        None => None,
    };
    // That look finds a user by another name, and that is known from then on.
    theirs.account.names.apply(&mut user);
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
    let listed = match user_is {
        Presence::Same => theirs.access_keys(&user.name).await?,
        Presence::Missing | Presence::Replaced => Vec::new(),
    };
    let mut keys = Vec::new();
    for key in listed {
        let Some(state) = key_state(theirs, key).await else { continue };
        let is_held = view.holders(&state.id).next().is_some();
        let elsewhere = calls.account.secrets.is_elsewhere(&state.id, &secret.arn)
            || theirs.account.secrets.is_elsewhere(&state.id, &secret.arn);
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
    let answer = present(calls.call("iam:GetAccessKeyLastUsed", request).await)?;
    let last = answer.and_then(|answer| answer.access_key_last_used);
    Ok(last.is_some_and(|last| last.last_used_date.is_some()))
}

/// What the versions of secrets hold, by ARN and version: a version never changes what it holds.
pub(crate) type HeldByVersion = BTreeMap<(String, String), Held>;
