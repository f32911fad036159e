//! Acting on a secret: each action in one attempt, applied twice the same as once.

use chrono::TimeDelta;
use severance_lifecycle::credential::UserRef;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::record::ProbeAnswer;
use severance_lifecycle::secret::SecretRef;
use severance_lifecycle::secret_action::SecretAction;
use severance_lifecycle::secret_view::{CURRENT, Held, PENDING};

use super::{client, policy, value};
use crate::act::credentials;
use crate::calls::Calls;
use crate::failure::{cannot, replan};
use crate::probe;
use crate::secret_index::is_final;
use crate::secret_value::Secret;

/// A value that was made is stored with so many tries: without it, the key is lost.
const PUTS: i64 = 5;

const PUT: &str = "secretsmanager:PutSecretValue";
const MOVE: &str = "secretsmanager:UpdateSecretVersionStage";

/// Carries out an action. Answers what a try told.
///
/// # Errors
/// A [`Failure`].
pub(crate) async fn act(
    calls: &Calls<'_>,
    secret: &SecretRef,
    what: &SecretAction,
) -> Result<Option<ProbeAnswer>, Failure> {
    match what {
        SecretAction::MakeKey { user, version, .. } => {
            make_key(calls, secret, user, version).await?;
        }
        SecretAction::Rotate { version } => rotate(calls, secret, version).await?,
        SecretAction::Try { version, sample } => {
            return try_version(calls, secret, version, *sample).await.map(Some);
        }
        SecretAction::Promote { version, from } => {
            move_label(calls, secret, CURRENT, Some(version), from.as_deref()).await?;
        }
        SecretAction::DropLabel { label, version } => {
            move_label(calls, secret, label, None, Some(version)).await?;
        }
        SecretAction::Deny { case, readers } => policy::deny(calls, secret, case, readers).await?,
        SecretAction::Allow { case } => policy::allow(calls, secret, case).await?,
        SecretAction::RemoveReplicas { regions } => {
            let (client, region) = client(calls, secret)?;
            let request = client.remove_regions_from_replication().secret_id(&secret.arn);
            let request =
                request.set_remove_replica_regions(Some(regions.iter().cloned().collect()));
            calls
                .call(("secretsmanager:RemoveRegionsFromReplication", region), request.send())
                .await?;
        }
        SecretAction::ScheduleDeletion { recovery_days } => {
            let (client, region) = client(calls, secret)?;
            let request = client.delete_secret().secret_id(&secret.arn);
            let request = request.recovery_window_in_days(i64::from(*recovery_days)).send();
            calls.call(("secretsmanager:DeleteSecret", region), request).await?;
        }
        SecretAction::Restore => {
            let (client, region) = client(calls, secret)?;
            let request = client.restore_secret().secret_id(&secret.arn).send();
            calls.call(("secretsmanager:RestoreSecret", region), request).await?;
        }
        SecretAction::Prepare { .. }
        | SecretAction::Set { .. }
        | SecretAction::Finish { .. }
        | SecretAction::Retire { .. }
        | SecretAction::EndSessions { .. } => {
            let message = format!("AWS does not issue what it holds: {what}");
            return Err(cannot("secret", "OtherIssuer", &message));
        }
    }
    Ok(None)
}

/// `CreateAccessKey` has no token: one attempt, and its answer is the only copy of the secret half. It is
/// stored at once; where that fails, the key is taken away again, and where that fails too, the next look
/// finds it.
async fn make_key(
    calls: &Calls<'_>,
    secret: &SecretRef,
    user: &UserRef,
    version: &str,
) -> Result<(), Failure> {
    let (client, region) = client(calls, secret)?;
    let request = client.get_secret_value().secret_id(&secret.arn).send();
    let answer = calls.call(("secretsmanager:GetSecretValue", region), request).await?;
    let Some(before) = answer.secret_string.map(Secret::new) else {
        return Err(cannot(PUT, "UnfitValue", "the current value is binary"));
    };
    // From here on it is not given up for more urgent work: the secret half would be lost.
    let together = calls.together("iam:CreateAccessKey").await;
    let made = make_and_store(&together, secret, user, version, &before).await;
    calls.absorb(&together);
    made
}

async fn make_and_store(
    calls: &Calls<'_>,
    secret: &SecretRef,
    user: &UserRef,
    version: &str,
    before: &Secret,
) -> Result<(), Failure> {
    let apart = calls.for_user(user)?;
    let theirs = apart.as_ref().unwrap_or(calls);
    let mut user = user.clone();
    theirs.account.names.apply(&mut user);
    let request = theirs.account.iam().create_access_key().user_name(&user.name).send();
    let made = theirs.call("iam:CreateAccessKey", request).await?.access_key;
    let Some(made) = made else {
        return Err(replan("iam:CreateAccessKey", "it answered without a key"));
    };
    let half = Secret::new(made.secret_access_key);
    let fields = calls.account.secrets.fields();
    let stored = match value::with_key(before, fields, &made.access_key_id, half.reveal()) {
        Ok(text) => store(calls, secret, version, &text).await,
        Err(failure) => Err(failure),
    };
    if let Err(failure) = stored {
        if let Err(left) = credentials::delete_key(theirs, &user, &made.access_key_id).await {
            tracing::warn!(key = made.access_key_id, failure = %left, "a key was made and not stored");
        }
        return Err(failure);
    }
    let held = Held::AccessKey { key_id: made.access_key_id };
    calls.account.secrets.remember((secret.arn.clone(), version.to_owned()), held);
    Ok(())
}

/// The same token with the same value is the same version, however often it is put.
async fn store(
    calls: &Calls<'_>,
    secret: &SecretRef,
    version: &str,
    text: &Secret,
) -> Result<(), Failure> {
    let (client, region) = client(calls, secret)?;
    let mut tries = 0;
    loop {
        tries += 1;
        let request = client.put_secret_value().secret_id(&secret.arn);
        let request = request.client_request_token(version).version_stages(PENDING);
        let request = request.secret_string(text.reveal()).send();
        match calls.call((PUT, region), request).await {
            Err(failure) if passes(&failure) && tries < PUTS => {
                calls.sleep(TimeDelta::milliseconds(200 * tries)).await;
            }
            answer => return answer.map(drop),
        }
    }
}

fn passes(failure: &Failure) -> bool {
    matches!(failure.class, FailureClass::Throttled | FailureClass::RetrySoon)
}

async fn rotate(calls: &Calls<'_>, secret: &SecretRef, version: &str) -> Result<(), Failure> {
    let (client, region) = client(calls, secret)?;
    let request = client.rotate_secret().secret_id(&secret.arn).client_request_token(version);
    calls.call(("secretsmanager:RotateSecret", region), request.send()).await.map(drop)
}

async fn try_version(
    calls: &Calls<'_>,
    secret: &SecretRef,
    version: &str,
    sample: u32,
) -> Result<ProbeAnswer, Failure> {
    let held = match value::key(calls, secret, version).await {
        // What waits for the answer counts the tries that tell nothing.
        Err(failure) if !is_final(&failure) => {
            let endpoint = format!("secretsmanager of {}", secret.arn);
            return Ok(ProbeAnswer::Inconclusive { endpoint, why: failure.code });
        }
        held => held?,
    };
    Ok(match held {
        Some(held) => {
            probe::attempt(calls, &held, usize::try_from(sample).unwrap_or_default()).await
        }
        None => ProbeAnswer::Unavailable { why: format!("{version} holds no access key") },
    })
}

/// Moves a label from the version that it is on: AWS refuses where it is on another by now.
async fn move_label(
    calls: &Calls<'_>,
    secret: &SecretRef,
    label: &str,
    to: Option<&str>,
    from: Option<&str>,
) -> Result<(), Failure> {
    let (client, region) = client(calls, secret)?;
    let request = client.update_secret_version_stage().secret_id(&secret.arn).version_stage(label);
    let request = request.set_move_to_version_id(to.map(str::to_owned));
    let request = request.set_remove_from_version_id(from.map(str::to_owned)).send();
    calls.call((MOVE, region), request).await.map(drop)
}
