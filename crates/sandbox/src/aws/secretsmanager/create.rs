//! Making a secret.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::SmCall;
use super::input::{Input, invalid};
use crate::aws::error::AwsError;
use crate::aws::ids;
use crate::aws::state::secret::SecretValue;
use crate::aws::state::{Secret, SecretVersion, Tags};

/// AWS: Secrets Manager User Guide, "Secrets Manager quotas".
const LARGEST_VALUE: usize = 65_536;

pub(super) fn create(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let name = call.input.required("Name")?;
    check_name(name)?;
    let (region, account) = (call.caller.region.clone(), call.caller.account.clone());
    call.permit(&format!("arn:aws:secretsmanager:{region}:{account}:secret:{name}"))?;
    let value = value_of(call.input)?;
    let tags = call.input.tags()?;
    let token = call.input.text("ClientRequestToken")?;
    let place = (region.clone(), name.to_owned());
    if let Some(present) = call.world.account(&account)?.secrets.get(&place) {
        return repeated(present, token, value.as_ref());
    }
    let now = call.at.now;
    let mut secret = new_secret(&mut call.world.rng, &account, (&region, name), now, value, token);
    secret.tags = tags;
    secret.description = call.input.text("Description")?.map(str::to_owned);
    secret.kms_key = call.input.text("KmsKeyId")?.map(str::to_owned);
    let reply = answer(&secret);
    call.world.account_mut(&account)?.secrets.insert(place, secret);
    Ok(reply)
}

/// A secret whose first version, where it has a value, is `AWSCURRENT`.
pub(crate) fn new_secret(
    rng: &mut StdRng,
    account: &str,
    (region, name): (&str, &str),
    now: DateTime<Utc>,
    value: Option<SecretValue>,
    version: Option<&str>,
) -> Secret {
    let end = ids::suffix(rng, 6);
    let version = version.map_or_else(|| ids::uuid(rng), str::to_owned);
    let versions = value.map(|value| {
        let stages = BTreeSet::from(["AWSCURRENT".to_owned()]);
        (version, SecretVersion { value, created: now, stages })
    });
    Secret {
        arn: format!("arn:aws:secretsmanager:{region}:{account}:secret:{name}-{end}"),
        name: name.to_owned(),
        description: None,
        kms_key: None,
        created: now,
        changed: now,
        accessed: None,
        tags: Tags::new(),
        versions: versions.into_iter().collect::<BTreeMap<_, _>>(),
    }
}

/// A call made again with the same token and value is the same call.
fn repeated(
    present: &Secret,
    token: Option<&str>,
    value: Option<&SecretValue>,
) -> Result<Value, AwsError> {
    let version = token.and_then(|token| present.versions.get(token));
    if version.is_some_and(|version| Some(&version.value) == value) {
        return Ok(answer(present));
    }
    let message =
        format!("The operation failed because the secret {} already exists.", present.name);
    Err(AwsError::new(400, "ResourceExistsException", message))
}

fn answer(secret: &Secret) -> Value {
    let version = secret.staged("AWSCURRENT").map(|(id, _)| id);
    json!({ "ARN": secret.arn, "Name": secret.name, "VersionId": version })
}

fn value_of(input: Input<'_>) -> Result<Option<SecretValue>, AwsError> {
    let value = match (input.text("SecretString")?, input.text("SecretBinary")?) {
        (Some(_), Some(_)) => {
            return Err(invalid(
                "You can't specify both a binary secret value and a string secret value in the same secret.",
            ));
        }
        (Some(text), None) => (text.len(), SecretValue::Text(text.to_owned())),
        (None, Some(binary)) => (binary.len() / 4 * 3, SecretValue::Binary(binary.to_owned())),
        (None, None) => return Ok(None),
    };
    if value.0 > LARGEST_VALUE {
        return Err(invalid(format!("The secret value must have at most {LARGEST_VALUE} bytes")));
    }
    Ok(Some(value.1))
}

fn check_name(name: &str) -> Result<(), AwsError> {
    let allowed = |it: char| it.is_ascii_alphanumeric() || "/_+=.@-".contains(it);
    if name.is_empty() || name.len() > 512 || !name.chars().all(allowed) {
        return Err(AwsError::new(
            400,
            "ValidationException",
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the \
             following: -/_+=.@!",
        ));
    }
    Ok(())
}
