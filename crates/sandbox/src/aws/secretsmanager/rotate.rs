//! `RotateSecret` and `CancelRotateSecret`.
//!
//! A rotation is asynchronous: the call prepares an empty `AWSPENDING` version and answers; the
//! function runs afterwards (see [`crate::aws::rotation`]).

use serde_json::{Value, json};

use super::input::{Input, invalid};
use super::{SmCall, refusals};
use crate::aws::error::AwsError;
use crate::aws::ids;
use crate::aws::rotation::{self, RotationFunction, Rules};
use crate::aws::state::agenda::Place;

const LONGEST_LAMBDA_ARN: usize = 2_048;

pub(super) fn rotate(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let place = call.primary()?;
    let token = call.input.token()?;
    let rules = call.input.get("RotationRules").map(read_rules).transpose()?;
    let lambda_arn = lambda_arn(call, &place)?;
    let at_once = call.input.flag("RotateImmediately")?.unwrap_or(true);
    if let Some(token) = token.filter(|_| at_once)
        && call.secret(&place)?.content.versions.contains_key(token)
    {
        // The same call again: the version is under way, or made.
        call.unchanged();
        return answer(call, &place, token);
    }
    if at_once && call.secret(&place)?.content.pending().is_some() {
        let at = call.at;
        rotation::reattempt(call.world, &place, &at);
        return Err(refusals::out_of_state(
            "A previous rotation isn't complete. That rotation will be reattempted.",
        ));
    }
    let version = token.map_or_else(|| ids::uuid(&mut call.world.rng), str::to_owned);
    configure(call, &place, lambda_arn, rules)?;
    if at_once {
        let at = call.at;
        rotation::begin(call.world, &place, &version, &at);
    }
    answer(call, &place, &version)
}

fn configure(
    call: &mut SmCall<'_>,
    place: &Place,
    lambda_arn: Option<String>,
    rules: Option<Rules>,
) -> Result<(), AwsError> {
    let now = call.at.now;
    let rotation = &mut call.secret_mut(place)?.content.rotation;
    rotation.enabled = true;
    if lambda_arn.is_some() {
        rotation.lambda_arn = lambda_arn;
    }
    if rules.is_some() {
        rotation.rules = rules;
    }
    rotation::plan_next(call.world, place, now);
    Ok(())
}

/// `RotationLambdaARN`, where there is a function of that name to run; without one the secret must
/// have a function already.
fn lambda_arn(call: &SmCall<'_>, place: &Place) -> Result<Option<String>, AwsError> {
    let secret = call.secret(place)?;
    let Some(arn) = call.input.text("RotationLambdaARN")? else {
        return match RotationFunction::of(secret) {
            Some(_) => Ok(None),
            None => Err(refusals::out_of_state(
                "No Lambda rotation function ARN is associated with this secret.",
            )),
        };
    };
    if let Some(service) = &secret.owning_service {
        return Err(refusals::managed_by(service));
    }
    if arn.len() > LONGEST_LAMBDA_ARN {
        return Err(invalid("RotationLambdaARN is too long"));
    }
    if secret.function.is_none() && RotationFunction::of_arn(arn).is_none() {
        return Err(AwsError::new(
            400,
            "AccessDeniedException",
            "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function \
             policy grants access to the principal secretsmanager.amazonaws.com. (The sandbox has \
             the functions succeeding, slow, failing and stale-pending.)",
        ));
    }
    Ok(Some(arn.to_owned()))
}

fn read_rules(rules: &Value) -> Result<Rules, AwsError> {
    let rules = Input::new(rules);
    Rules::read(
        rules.integer("AutomaticallyAfterDays")?,
        rules.text("ScheduleExpression")?,
        rules.text("Duration")?,
    )
    .map_err(invalid)
}

fn answer(call: &SmCall<'_>, place: &Place, version: &str) -> Result<Value, AwsError> {
    let secret = call.secret(place)?;
    Ok(json!({ "ARN": secret.arn, "Name": secret.name, "VersionId": version }))
}

/// Turns rotation off and stops the one that runs; its labels stay where they are.
pub(super) fn cancel(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let place = call.primary()?;
    let secret = call.secret_mut(&place)?;
    if !secret.content.rotation.enabled && secret.content.rotation.lambda_arn.is_none() {
        return Err(refusals::out_of_state(
            "You tried to cancel the rotation of a secret that has none configured.",
        ));
    }
    secret.content.rotation.enabled = false;
    secret.content.rotation.next = None;
    secret.run = None;
    let mut reply = json!({ "ARN": secret.arn, "Name": secret.name });
    if let Some(version) = secret.content.pending() {
        reply["VersionId"] = json!(version);
    }
    Ok(reply)
}
