//! Refusals that several operations share, in AWS's words.

use super::input::invalid;
use crate::aws::error::AwsError;

pub(super) fn missing() -> AwsError {
    let message = "Secrets Manager can't find the specified secret.";
    AwsError::new(400, "ResourceNotFoundException", message)
}

/// What is asked does not fit the state that the secret is in.
pub(super) fn out_of_state(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidRequestException", message)
}

pub(super) fn scheduled_for_deletion() -> AwsError {
    out_of_state(
        "You can't perform this operation on the secret because it was marked for deletion.",
    )
}

pub(super) fn replica() -> AwsError {
    invalid(
        "Operation not permitted on a replica secret. Call must be made in primary secret's region.",
    )
}

pub(super) fn managed_by(service: &str) -> AwsError {
    out_of_state(format!(
        "The secret is managed by another service, and you must use that service to update it: \
         {service}."
    ))
}

pub(super) fn limit(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "LimitExceededException", message)
}
