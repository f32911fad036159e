//! Looking at a secret: its versions, what they hold, and the keys of the user whose key it holds.

use std::collections::BTreeSet;

use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::types::SecretVersionsListEntry;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use severance_engine::ports::Look;
use severance_lifecycle::failure::Failure;
use severance_lifecycle::observe::Presence;
use severance_lifecycle::secret::{Issuer, SecretRef, is_ours};
use severance_lifecycle::secret_view::{Held, SecretView, VersionState};

use super::{client, policy, replicas, unlisted, user_keys, value};
use crate::calls::Calls;
use crate::failure::{is_refused, present};
use crate::reads::time;

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
    let (client, region) = client(calls, secret)?;
    let request = client.describe_secret().secret_id(&secret.arn).send();
    let described = present(calls.call(("secretsmanager:DescribeSecret", region), request).await)?;
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
        view.versions = versions(calls, look, (secret, issuer), &described).await?;
        view.replicas = replicas::look(calls, secret, &described).await?;
        // Nor can its policy be read while it is scheduled for deletion.
        view.denied = readable && policy::stands(calls, secret, look).await?;
    }
    if let Issuer::AccessKey { user } = issuer {
        view.keys = Some(user_keys::look(calls, look, secret, user, &view).await?);
    }
    Ok(view)
}

/// Versions with a label, those that Severance stored, the one that leaves and, where that is asked for, all
/// others.
async fn versions(
    calls: &Calls<'_>,
    look: &Look,
    (secret, issuer): (&SecretRef, &Issuer),
    described: &DescribeSecretOutput,
) -> Result<Vec<VersionState>, Failure> {
    let operation = "secretsmanager:ListSecretVersionIds";
    let (client, region) = client(calls, secret)?;
    let listed = calls
        .pages(operation, |token| async move {
            let request = client.list_secret_version_ids().secret_id(&secret.arn);
            let request = request.include_deprecated(true).set_next_token(token).send();
            let page = calls.call((operation, region), request).await?;
            Ok((page.versions.unwrap_or_default(), page.next_token))
        })
        .await;
    // Keys live on when their version has lost its labels; a login has one password.
    let every = look.secret.every_version && matches!(issuer, Issuer::AccessKey { .. });
    let listed = match listed {
        // What is known of it must die all the same. A routine rotation is not begun on half of what there is.
        Err(failure) if every && is_refused(&failure) => {
            return unlisted::versions(calls, look, (secret, issuer), described, &failure).await;
        }
        listed => listed?,
    };
    // Labels by the description, which shows all of them at one moment.
    let labels = described.version_ids_to_stages.clone().unwrap_or_default();
    let matters = |entry: &SecretVersionsListEntry| {
        let id = entry.version_id.as_deref().unwrap_or_default();
        let leaves = look.secret.old_version.as_deref() == Some(id);
        every || leaves || labels.contains_key(id) || is_ours(id)
    };
    let readable = described.deleted_date.is_none();
    let states = listed.into_iter().filter(matters).map(|entry| {
        let stages = entry.version_id.as_ref().and_then(|id| labels.get(id)).cloned();
        version(calls, (secret, issuer), entry, stages.unwrap_or_default(), readable)
    });
    stream::iter(states.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await
}

pub(super) async fn version(
    calls: &Calls<'_>,
    (secret, issuer): (&SecretRef, &Issuer),
    entry: SecretVersionsListEntry,
    stages: Vec<String>,
    readable: bool,
) -> Result<VersionState, Failure> {
    let id = entry.version_id.unwrap_or_default();
    let created = entry.created_date.as_ref().map(time).unwrap_or_default();
    let stages: BTreeSet<_> = stages.into_iter().collect();
    let listed = value::Listed { id: &id, created, labelled: !stages.is_empty(), readable };
    let held = match issuer {
        Issuer::AccessKey { .. } => value::held(calls, secret, &listed).await?,
        // Their own function, or nobody, knows what it is.
        Issuer::Managed | Issuer::Unknown | Issuer::Webhook { .. } => Held::Opaque,
        Issuer::Database { .. } => value::login(calls, secret, &listed).await?,
    };
    Ok(VersionState { id, stages, created, held })
}
