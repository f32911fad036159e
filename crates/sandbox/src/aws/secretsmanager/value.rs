//! `GetSecretValue`.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::describe::seconds;
use super::{SmCall, refusals};
use crate::aws::error::AwsError;
use crate::aws::state::Moment;
use crate::aws::state::Secret;
use crate::aws::state::agenda::Place;
use crate::aws::state::secret::{Content, SecretValue};

pub(super) fn get(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let place = call.live()?;
    let (version, label) = (call.input.text("VersionId")?, call.input.text("VersionStage")?);
    read(call, &place, version, label)
}

/// The value of a version as readers see it: labels count once they have spread.
pub(super) fn read(
    call: &mut SmCall<'_>,
    place: &Place,
    version: Option<&str>,
    label: Option<&str>,
) -> Result<Value, AwsError> {
    let (at, abroad) = (call.at, call.caller.account != place.account);
    let secret = call.secret_mut(place)?;
    if abroad && has_default_key(&secret.content) {
        return Err(refusals::out_of_state(
            "You can't access a secret from a different AWS account if you encrypt the secret with \
             the default KMS service key.",
        ));
    }
    let id = version_wanted(&secret.content, &at, version, label)?;
    let reply = answer(secret, &at, &id)?;
    let today = day(at.now);
    secret.accessed = Some(today);
    if let Some(version) = secret.content.versions.get_mut(&id) {
        version.accessed = Some(today);
    }
    Ok(reply)
}

fn has_default_key(content: &Content) -> bool {
    content.kms_key.as_deref().is_none_or(|key| key.ends_with("alias/aws/secretsmanager"))
}

fn version_wanted(
    content: &Content,
    at: &Moment,
    version: Option<&str>,
    label: Option<&str>,
) -> Result<String, AwsError> {
    let labels = content.labels.holding(at);
    let Some(version) = version else {
        let label = label.unwrap_or("AWSCURRENT");
        let labelled = labels.version(label).map(str::to_owned);
        return labelled.ok_or_else(|| no_value(&format!("staging label: {label}")));
    };
    if !content.versions.contains_key(version) {
        return Err(no_value(&format!("VersionId: {version}")));
    }
    match label {
        Some(label) if labels.version(label) != Some(version) => Err(refusals::out_of_state(
            "You provided a VersionStage that is not associated to the provided VersionId.",
        )),
        _ => Ok(version.to_owned()),
    }
}

fn answer(secret: &Secret, at: &Moment, id: &str) -> Result<Value, AwsError> {
    let version = secret.content.versions.get(id);
    let version = version.ok_or_else(|| no_value(&format!("VersionId: {id}")))?;
    let value = version.value.as_ref().ok_or_else(|| no_value(&format!("VersionId: {id}")))?;
    let mut reply = json!({
        "ARN": secret.arn,
        "Name": secret.name,
        "VersionId": id,
        "VersionStages": secret.content.labels.holding(at).of(id),
        "CreatedDate": seconds(version.created),
    });
    let (field, value) = match value {
        SecretValue::Text(text) => ("SecretString", text),
        SecretValue::Binary(binary) => ("SecretBinary", binary),
    };
    reply[field] = Value::String(value.to_string());
    Ok(reply)
}

fn no_value(what: &str) -> AwsError {
    let message = format!("Secrets Manager can't find the specified secret value for {what}");
    AwsError::new(400, "ResourceNotFoundException", message)
}

/// AWS tells the day of the last reading, not the time.
fn day(now: DateTime<Utc>) -> DateTime<Utc> {
    now.date_naive().and_time(chrono::NaiveTime::MIN).and_utc()
}
