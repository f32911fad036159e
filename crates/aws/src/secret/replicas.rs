//! Looking at a secret's replicas.

use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::types::StatusType;
use severance_lifecycle::failure::Failure;
use severance_lifecycle::secret::SecretRef;
use severance_lifecycle::secret_view::{CURRENT, ReplicaState};

use crate::calls::Calls;
use crate::failure::present;

/// A replica says that it is in step; what it hands out says whether it is.
pub(super) async fn look(
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
        let message = status.status_message.clone();
        let words = status.status.as_ref().map_or("unknown", StatusType::as_str);
        let words = message.unwrap_or_else(|| words.to_owned());
        // A region that cannot be reached keeps nothing else of the secret from being seen.
        let (in_sync, status) = match replicated(calls, secret, &region).await {
            Ok(Some(there)) => (says_so && Some(there) == current, words),
            // A region that is not configured cannot be asked: AWS's word stands.
            Ok(None) => (says_so, words),
            Err(failure) => (false, format!("it cannot be looked at: {}", failure.code)),
        };
        replicas.push(ReplicaState { region, in_sync, status });
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
    let described = present(calls.call(("secretsmanager:DescribeSecret", number), request).await)?;
    let stages = described.and_then(|it| it.version_ids_to_stages).unwrap_or_default();
    let is_current = |stages: &Vec<String>| stages.iter().any(|stage| stage == CURRENT);
    let current = stages.into_iter().find(|(_, stages)| is_current(stages));
    Ok(Some(current.map(|(id, _)| id).unwrap_or_default()))
}
