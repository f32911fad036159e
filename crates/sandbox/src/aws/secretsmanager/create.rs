//! Making a secret.

use chrono::TimeDelta;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::input::invalid;
use super::replicate::{replicas_wanted, replication_status};
use super::{SmCall, refusals, tag};
use crate::aws::error::AwsError;
use crate::aws::ids;
use crate::aws::state::agenda::Place;
use crate::aws::state::secret::SecretValue;
use crate::aws::state::{Moment, Secret};

pub(super) fn create(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let name = call.input.required("Name")?;
    check_name(name)?;
    let (region, account) = (call.caller.region.clone(), call.caller.account.clone());
    call.permit_on(&format!("arn:aws:secretsmanager:{region}:{account}:secret:{name}"))?;
    let (value, token) = (call.input.value()?, call.input.token()?);
    let tags = call.input.tags()?;
    tag::check(&tags)?;
    let (description, kms_key) = (call.input.description()?, call.input.kms_key()?);
    let wanted = replicas_wanted(call, &region)?;
    let place = Place { account, region, name: name.to_owned() };
    if let Some(present) = call.world.secret(&place) {
        let reply = repeated(present, token, value.as_ref());
        call.unchanged();
        return reply;
    }
    let arn = arn_for(&mut call.world.rng, &place);
    let mut secret = Secret::new(arn, (&place.region, name), call.at.now);
    secret.content.tags = tags;
    secret.content.description = description.map(str::to_owned);
    secret.content.kms_key = kms_key.filter(|key| !key.is_empty()).map(str::to_owned);
    if let Some(value) = value {
        let id = token.map_or_else(|| ids::uuid(&mut call.world.rng), str::to_owned);
        // A new secret can be read at once.
        let at = Moment { delay: TimeDelta::zero(), ..call.at };
        secret.content.store(&id, Some(value), &["AWSCURRENT".to_owned()], &at);
    }
    call.world.account_mut(&place.account)?.secrets.insert(secret);
    call.replicate(&place, wanted)?;
    call.touched = Some(place.clone());
    Ok(answer(call.secret(&place)?))
}

/// A new ARN for a secret of this name: AWS ends it with six letters and digits of its own.
pub(crate) fn arn_for(rng: &mut StdRng, place: &Place) -> String {
    let Place { account, region, name } = place;
    let end = ids::suffix(rng, 6);
    format!("arn:aws:secretsmanager:{region}:{account}:secret:{name}-{end}")
}

/// A call made again with the same token and value is the same call.
fn repeated(
    present: &Secret,
    token: Option<&str>,
    value: Option<&SecretValue>,
) -> Result<Value, AwsError> {
    if present.deleted.is_some() {
        return Err(refusals::out_of_state(
            "You can't create this secret because a secret with this name is already scheduled \
             for deletion.",
        ));
    }
    let version = token.and_then(|token| present.content.versions.get(token));
    if version.is_some_and(|version| version.value.as_ref() == value) {
        return Ok(answer(present));
    }
    let message =
        format!("The operation failed because the secret {} already exists.", present.name);
    Err(AwsError::new(400, "ResourceExistsException", message))
}

fn answer(secret: &Secret) -> Value {
    let version = secret.content.labelled("AWSCURRENT");
    let mut reply = json!({ "ARN": secret.arn, "Name": secret.name });
    if let Some(version) = version {
        reply["VersionId"] = json!(version);
    }
    if !secret.replicas.is_empty() {
        reply["ReplicationStatus"] = replication_status(secret);
    }
    reply
}

fn check_name(name: &str) -> Result<(), AwsError> {
    let allowed = |it: char| it.is_ascii_alphanumeric() || "/_+=.@-!".contains(it);
    if name.len() > 512 {
        return Err(invalid("Name must have at most 512 characters"));
    }
    if !name.chars().all(allowed) {
        return Err(AwsError::new(
            400,
            "ValidationException",
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the \
             following: -/_+=.@!",
        ));
    }
    Ok(())
}
