//! New values: `PutSecretValue` and `UpdateSecret`.

use serde_json::{Value, json};

use super::input::invalid;
use super::{SmCall, refusals};
use crate::aws::error::AwsError;
use crate::aws::ids;
use crate::aws::state::agenda::Place;
use crate::aws::state::secret::SecretValue;

/// On all versions of a secret together. AWS: "AWS Secrets Manager quotas".
const MOST_LABELS: usize = 20;
const LONGEST_LABEL: usize = 256;

pub(super) fn put(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let place = call.writable()?;
    let value = call.input.value()?;
    let value = value.ok_or_else(|| {
        invalid("You must provide either SecretString or SecretBinary, but not both.")
    })?;
    let labels = match call.input.get("VersionStages") {
        None => vec!["AWSCURRENT".to_owned()],
        Some(_) => read_labels(&call.input.texts("VersionStages")?)?,
    };
    let id = version_id(call)?;
    add_version(call, &place, &id, value, &labels)?;
    let secret = call.secret(&place)?;
    let labels = secret.content.labels.latest().of(&id);
    Ok(json!({ "ARN": secret.arn, "Name": secret.name, "VersionId": id, "VersionStages": labels }))
}

pub(super) fn update(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let place = call.writable()?;
    let (description, kms_key) = (call.input.description()?, call.input.kms_key()?);
    let value = call.input.value()?;
    let id = match value {
        None => None,
        Some(value) => {
            let id = version_id(call)?;
            add_version(call, &place, &id, value, &["AWSCURRENT".to_owned()])?;
            Some(id)
        }
    };
    let now = call.at.now;
    let repeated = id.is_some() && !call.trace.mutates;
    let content = &mut call.secret_mut(&place)?.content;
    let described = description.is_some_and(|it| content.description.as_deref() != Some(it));
    if let Some(description) = description {
        content.description = Some(description.to_owned());
    }
    let key = kms_key.map(|key| (!key.is_empty()).then(|| key.to_owned()));
    let rekeyed = key.as_ref().is_some_and(|key| *key != content.kms_key);
    if let Some(key) = key {
        let labels = content.labels.latest().clone();
        for version in ["AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"] {
            let version = labels.version(version).and_then(|id| content.versions.get_mut(id));
            if let Some(version) = version {
                version.kms_key.clone_from(&key);
            }
        }
        content.kms_key = key;
    }
    if described || rekeyed {
        content.changed = now;
        call.trace.mutates = true;
    } else if id.is_none() || repeated {
        call.unchanged();
    }
    let secret = call.secret(&place)?;
    let mut reply = json!({ "ARN": secret.arn, "Name": secret.name });
    if let Some(id) = id {
        reply["VersionId"] = json!(id);
    }
    Ok(reply)
}

fn version_id(call: &mut SmCall<'_>) -> Result<String, AwsError> {
    let token = call.input.token()?;
    Ok(token.map_or_else(|| ids::uuid(&mut call.world.rng), str::to_owned))
}

/// Stores a value under a version id. The same value under the same id changes nothing; a version
/// that a rotation has prepared is filled.
fn add_version(
    call: &mut SmCall<'_>,
    place: &Place,
    id: &str,
    value: SecretValue,
    labels: &[String],
) -> Result<(), AwsError> {
    let at = call.at;
    let secret = call.secret_mut(place)?;
    match secret.content.versions.get(id).map(|version| version.value.as_ref()) {
        Some(Some(present)) if *present == value => {
            call.unchanged();
            return Ok(());
        }
        Some(Some(_)) => {
            let message = format!(
                "You can't use ClientRequestToken {id} because that value is already in use for a \
                 version of secret {}.",
                secret.arn
            );
            return Err(AwsError::new(400, "ResourceExistsException", message));
        }
        Some(None) | None => {}
    }
    check_label_count(secret.content.labels.latest(), labels)?;
    secret.content.store(id, Some(value), labels, &at);
    Ok(())
}

fn read_labels(labels: &[&str]) -> Result<Vec<String>, AwsError> {
    if !(1..=MOST_LABELS).contains(&labels.len()) {
        return Err(invalid(format!("VersionStages must have 1 to {MOST_LABELS} labels")));
    }
    labels.iter().try_for_each(|label| check_label(label))?;
    Ok(labels.iter().map(|&label| label.to_owned()).collect())
}

pub(super) fn check_label(label: &str) -> Result<(), AwsError> {
    if label.is_empty() || label.chars().count() > LONGEST_LABEL {
        return Err(invalid(format!("A staging label must have 1 to {LONGEST_LABEL} characters")));
    }
    Ok(())
}

/// Refuses labels that would be too many together with those that are there.
pub(super) fn check_label_count(
    present: &crate::aws::state::labels::Labels,
    more: &[String],
) -> Result<(), AwsError> {
    let new = more.iter().filter(|label| present.version(label).is_none()).count();
    if present.len() + new > MOST_LABELS {
        return Err(refusals::limit(format!(
            "A secret can have at most {MOST_LABELS} staging labels on all of its versions"
        )));
    }
    Ok(())
}
