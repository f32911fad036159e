//! Deleting with a recovery window or at once, and taking it back.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use super::describe::seconds;
use super::input::invalid;
use super::{SmCall, refusals};
use crate::aws::error::AwsError;
use crate::aws::state::Secret;
use crate::aws::state::agenda::{Job, Place, Task};

const USUAL_WINDOW: i64 = 30;

pub(super) fn delete(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let window = call.input.integer("RecoveryWindowInDays")?;
    let force = call.input.flag("ForceDeleteWithoutRecovery")?.unwrap_or(false);
    if force && window.is_some() {
        return Err(invalid(
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
        ));
    }
    let window = window.unwrap_or(USUAL_WINDOW);
    if !(7..=30).contains(&window) {
        return Err(invalid(
            "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
        ));
    }
    let place = match call.any() {
        Err(error) if force && error.code == "ResourceNotFoundException" => {
            call.unchanged();
            return absent(call);
        }
        place => place?,
    };
    check(call.secret(&place)?, force)?;
    if force {
        let removed = call
            .world
            .account_mut(&place.account)?
            .secrets
            .remove(&place.region, &place.name)
            .ok_or_else(refusals::missing)?;
        return Ok(answer(&removed, call.at.now));
    }
    schedule(call, &place, TimeDelta::days(window))
}

fn schedule(call: &mut SmCall<'_>, place: &Place, window: TimeDelta) -> Result<Value, AwsError> {
    let gone_at = call.at.now + window;
    let secret = call.secret_mut(place)?;
    secret.deleted = Some(gone_at);
    let reply = answer(secret, gone_at);
    let job = Job { place: place.clone(), arn: secret.arn.clone(), task: Task::Erase };
    call.world.agenda.add(gone_at, job);
    Ok(reply)
}

fn check(secret: &Secret, force: bool) -> Result<(), AwsError> {
    if let Some(service) = &secret.owning_service {
        return Err(refusals::managed_by(service));
    }
    if secret.replica_of.is_some() {
        return Err(refusals::replica());
    }
    if !secret.replicas.is_empty() {
        let regions: Vec<&str> = secret.replicas.keys().map(String::as_str).collect();
        return Err(invalid(format!(
            "You can't delete secret {} that still has replica regions [{}]",
            secret.name,
            regions.join(",")
        )));
    }
    if secret.deleted.is_some() && !force {
        return Err(refusals::out_of_state(
            "You can't perform this operation on the secret because it was already scheduled for \
             deletion.",
        ));
    }
    Ok(())
}

/// Forcing the deletion of a secret that is not there succeeds.
fn absent(call: &SmCall<'_>) -> Result<Value, AwsError> {
    let id = call.input.required("SecretId")?;
    let arn = &call.trace.resource;
    Ok(json!({ "ARN": arn, "Name": id, "DeletionDate": seconds(call.at.now) }))
}

fn answer(secret: &Secret, gone_at: chrono::DateTime<Utc>) -> Value {
    json!({ "ARN": secret.arn, "Name": secret.name, "DeletionDate": seconds(gone_at) })
}

pub(super) fn restore(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let place = call.any()?;
    let secret = call.secret_mut(&place)?;
    let restored = secret.deleted.take().is_some();
    let reply = json!({ "ARN": secret.arn, "Name": secret.name });
    if !restored {
        call.unchanged();
    }
    Ok(reply)
}
