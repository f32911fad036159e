//! Looking at one secret.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::SmCall;
use crate::aws::error::AwsError;
use crate::aws::state::Secret;
use crate::aws::state::secret::SecretValue;

pub(super) fn describe(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let secret = call.secret()?;
    let mut reply = entry(secret);
    let stages = reply.remove("SecretVersionsToStages");
    reply.insert("VersionIdsToStages".to_owned(), stages.unwrap_or(Value::Null));
    Ok(Value::Object(reply))
}

pub(super) fn value(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let (version, stage) = (call.input.text("VersionId")?, call.input.text("VersionStage")?);
    let now = call.at.now;
    let secret = call.secret()?;
    secret.accessed = Some(now);
    let stage_wanted = stage.unwrap_or("AWSCURRENT");
    let found = match version {
        Some(id) => secret.versions.get_key_value(id),
        None => secret.staged(stage_wanted),
    };
    let found = found
        .filter(|(_, it)| version.is_none() || stage.is_none_or(|stage| it.stages.contains(stage)));
    let (id, version) = found.ok_or_else(|| {
        let what = version.map_or_else(
            || format!("staging label: {stage_wanted}"),
            |id| format!("VersionId: {id}"),
        );
        let message = format!("Secrets Manager can't find the specified secret value for {what}");
        AwsError::new(400, "ResourceNotFoundException", message)
    })?;
    let mut reply = json!({
        "ARN": secret.arn,
        "Name": secret.name,
        "VersionId": id,
        "VersionStages": version.stages,
        "CreatedDate": seconds(version.created),
    });
    let (field, value) = match &version.value {
        SecretValue::Text(text) => ("SecretString", text),
        SecretValue::Binary(binary) => ("SecretBinary", binary),
    };
    reply[field] = Value::String(value.clone());
    Ok(reply)
}

/// A secret as `ListSecrets` shows it.
pub(super) fn entry(secret: &Secret) -> Map<String, Value> {
    let stages: Map<String, Value> = secret
        .versions
        .iter()
        .filter(|(_, version)| !version.stages.is_empty())
        .map(|(id, version)| (id.clone(), json!(version.stages)))
        .collect();
    let tags: Vec<Value> =
        secret.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    let mut entry = Map::new();
    entry.insert("ARN".to_owned(), json!(secret.arn));
    entry.insert("Name".to_owned(), json!(secret.name));
    entry.insert("CreatedDate".to_owned(), seconds(secret.created));
    entry.insert("LastChangedDate".to_owned(), seconds(secret.changed));
    entry.insert("Tags".to_owned(), Value::Array(tags));
    entry.insert("SecretVersionsToStages".to_owned(), Value::Object(stages));
    let optional = [("Description", &secret.description), ("KmsKeyId", &secret.kms_key)];
    for (field, value) in optional {
        if let Some(value) = value {
            entry.insert(field.to_owned(), json!(value));
        }
    }
    if let Some(accessed) = secret.accessed {
        entry.insert("LastAccessedDate".to_owned(), seconds(accessed));
    }
    entry
}

/// JSON 1.1 writes times as seconds since 1970.
fn seconds(time: DateTime<Utc>) -> Value {
    #[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit an f64 exactly")]
    let seconds = time.timestamp_millis() as f64 / 1_000.0;
    json!(seconds)
}
