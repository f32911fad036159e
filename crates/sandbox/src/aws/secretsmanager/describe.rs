//! `DescribeSecret`, and a secret as listings show it.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::SmCall;
use super::replicate::replication_status;
use crate::aws::error::AwsError;
use crate::aws::rotation::Rules;
use crate::aws::state::Secret;

pub(super) fn describe(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let place = call.any()?;
    let secret = call.secret(&place)?;
    let mut reply = entry(secret);
    let labels = reply.remove("SecretVersionsToStages");
    reply.insert("VersionIdsToStages".to_owned(), labels.unwrap_or(Value::Null));
    if !secret.replicas.is_empty() {
        reply.insert("ReplicationStatus".to_owned(), replication_status(secret));
    }
    Ok(Value::Object(reply))
}

/// A secret as `ListSecrets` shows it.
pub(super) fn entry(secret: &Secret) -> Map<String, Value> {
    let (content, rotation) = (&secret.content, &secret.content.rotation);
    let tags: Vec<Value> =
        content.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    let mut entry = Map::new();
    let mut put = |field: &str, value: Option<Value>| {
        if let Some(value) = value {
            entry.insert(field.to_owned(), value);
        }
    };
    put("ARN", Some(json!(secret.arn)));
    put("Name", Some(json!(secret.name)));
    put("Description", content.description.as_ref().map(|it| json!(it)));
    put("KmsKeyId", content.kms_key.as_ref().map(|it| json!(it)));
    let configured = rotation.enabled || rotation.lambda_arn.is_some();
    put("RotationEnabled", configured.then_some(Value::Bool(rotation.enabled)));
    put("RotationLambdaARN", rotation.lambda_arn.as_ref().map(|it| json!(it)));
    put("RotationRules", rotation.rules.as_ref().map(rules));
    put("LastRotatedDate", rotation.last.map(seconds));
    put("NextRotationDate", rotation.next.map(seconds));
    put("LastChangedDate", Some(seconds(content.changed)));
    put("LastAccessedDate", secret.accessed.map(seconds));
    put("DeletedDate", secret.deleted.map(seconds));
    put("Tags", Some(Value::Array(tags)));
    put("SecretVersionsToStages", Some(labels(secret)));
    put("OwningService", secret.owning_service.as_ref().map(|it| json!(it)));
    put("CreatedDate", Some(seconds(secret.created)));
    put("PrimaryRegion", secret.primary_region().map(|it| json!(it)));
    entry
}

/// The versions that carry labels, with them.
fn labels(secret: &Secret) -> Value {
    let labels = secret.content.labels.latest();
    let versions = secret.content.versions.keys().map(|id| (id.clone(), labels.of(id)));
    let labelled = versions.filter(|(_, labels)| !labels.is_empty());
    Value::Object(labelled.map(|(id, labels)| (id, json!(labels))).collect())
}

fn rules(rules: &Rules) -> Value {
    let mut shown = Map::new();
    if let Some(days) = rules.days {
        shown.insert("AutomaticallyAfterDays".to_owned(), json!(days));
    }
    if let Some((text, _)) = &rules.schedule {
        shown.insert("ScheduleExpression".to_owned(), json!(text));
    }
    if let Some(duration) = &rules.duration {
        shown.insert("Duration".to_owned(), json!(duration));
    }
    Value::Object(shown)
}

/// JSON 1.1 writes times as seconds since 1970.
pub(super) fn seconds(time: DateTime<Utc>) -> Value {
    #[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit an f64 exactly")]
    let seconds = time.timestamp_millis() as f64 / 1_000.0;
    json!(seconds)
}
