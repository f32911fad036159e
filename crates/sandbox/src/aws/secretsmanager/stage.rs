//! `UpdateSecretVersionStage`: moves one label, as a compare-and-swap.

use serde_json::{Value, json};

use super::SmCall;
use super::input::invalid;
use super::write::{check_label, check_label_count};
use crate::aws::error::AwsError;
use crate::aws::state::Secret;

pub(super) fn update(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let place = call.writable()?;
    let label = call.input.required("VersionStage")?;
    check_label(label)?;
    let (to, from) = (call.input.text("MoveToVersionId")?, call.input.text("RemoveFromVersionId")?);
    let at = call.at;
    let secret = call.secret_mut(&place)?;
    check(secret, label, to, from)?;
    let changes = secret.content.labelled(label) != to;
    if changes {
        secret.content.changed = at.now;
        secret.content.relabel(&at, |labels| match to {
            Some(to) => labels.attach(label, to),
            None => labels.detach(label),
        });
    }
    let reply = json!({ "ARN": secret.arn, "Name": secret.name });
    if !changes {
        call.unchanged();
    }
    Ok(reply)
}

/// The label must be where the caller believes it to be.
fn check(
    secret: &Secret,
    label: &str,
    to: Option<&str>,
    from: Option<&str>,
) -> Result<(), AwsError> {
    for version in [to, from].into_iter().flatten() {
        if !secret.content.versions.contains_key(version) {
            let message =
                format!("Secrets Manager can't find the specified secret version: {version}");
            return Err(AwsError::new(400, "ResourceNotFoundException", message));
        }
    }
    let present = secret.content.labelled(label);
    match (present, to, from) {
        (_, None, None) => {
            Err(invalid("You must specify MoveToVersionId, RemoveFromVersionId or both."))
        }
        (_, None, Some(_)) if label == "AWSCURRENT" => Err(invalid(
            "You can only move staging label AWSCURRENT to a different secret version. It can't be \
             completely removed.",
        )),
        (Some(present), Some(to), None) if present != to => Err(invalid(format!(
            "The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently \
             attached to version {present}, so you must explicitly reference that version in \
             RemoveFromVersionId."
        ))),
        (present, _, Some(from)) if present != Some(from) => Err(invalid(format!(
            "If you specify RemoveFromVersionId, it must be set to the version that currently has \
             the staging label {label}."
        ))),
        (None, Some(_), None) => {
            check_label_count(secret.content.labels.latest(), &[label.to_owned()])
        }
        _ => Ok(()),
    }
}
