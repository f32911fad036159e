//! Failure classes: which code of AWS means what for what comes next.

use std::error::Error;

use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use severance_lifecycle::failure::{Failure, FailureClass};

use FailureClass::{Cannot, Full, Gone, Replan, RetryLater, RetrySoon, Throttled};

/// AWS: each service's API reference, "Common errors" and the errors of each operation.
const CLASSES: &[(FailureClass, &[&str])] = &[
    (
        Throttled,
        &[
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestThrottled",
            "RequestThrottledException",
            "RequestLimitExceeded",
            "TooManyRequestsException",
            "BandwidthLimitExceeded",
            "SlowDown",
            "PriorRequestNotComplete",
        ],
    ),
    (
        RetrySoon,
        &[
            "ServiceFailure",
            "ServiceFailureException",
            "InternalServiceError",
            "InternalServiceErrorException",
            "InternalFailure",
            "InternalError",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            "RequestTimeout",
            "RequestTimeoutException",
            // Our own credentials or clock, not the target's: a fresh session answers.
            "ExpiredToken",
            "ExpiredTokenException",
            "RequestExpired",
        ],
    ),
    (
        RetryLater,
        &[
            "EntityTemporarilyUnmodifiable",
            "EntityTemporarilyUnmodifiableException",
            "ConcurrentModification",
            "ConcurrentModificationException",
        ],
    ),
    (Gone, &["NoSuchEntity", "NoSuchEntityException", "ResourceNotFoundException"]),
    (Replan, &["DeleteConflict", "DeleteConflictException", "InvalidParameterException"]),
    (
        Full,
        // A quota and not a throttle, although lists of SDKs take the second for one.
        &["LimitExceeded", "LimitExceededException"],
    ),
    (
        Cannot,
        &[
            "AccessDenied",
            "AccessDeniedException",
            "UnauthorizedOperation",
            "UnmodifiableEntity",
            "UnmodifiableEntityException",
            "MalformedPolicyDocument",
            "MalformedPolicyDocumentException",
            "DecryptionFailure",
            "EncryptionFailure",
            "InvalidRequestException",
            "InvalidClientTokenId",
            "UnrecognizedClientException",
            "SignatureDoesNotMatch",
        ],
    ),
];

/// The class of a code; by the status where the code is not known: 5xx passes, 429 is a throttle, and
/// whatever else was refused will be refused again.
pub(crate) fn class(code: &str, status: Option<u16>) -> FailureClass {
    let known = CLASSES.iter().find(|(_, codes)| codes.contains(&code)).map(|(class, _)| *class);
    known.unwrap_or(match status {
        Some(429) => Throttled,
        Some(500..) | None => RetrySoon,
        Some(_) => Cannot,
    })
}

/// A failed SDK call as the engine knows it.
pub(crate) fn of<E>(operation: &str, error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(refused) => {
            let status = refused.raw().status().as_u16();
            let meta = refused.err().meta();
            let code = meta.code().map_or_else(|| format!("Http{status}"), str::to_owned);
            Failure {
                class: class(&code, Some(status)),
                operation: operation.to_owned(),
                message: meta.message().unwrap_or("no message").to_owned(),
                request_id: header(refused.raw(), "x-amzn-requestid"),
                code,
            }
        }
        SdkError::TimeoutError(_) => ours(operation, "Timeout", "no answer in time"),
        SdkError::ResponseError(broken) => {
            let status = broken.raw().status().as_u16();
            // An error page without a body that can be read, from something between us and AWS.
            let class = if status == 429 { Throttled } else { RetrySoon };
            let message = format!("an answer that cannot be read, with status {status}");
            Failure { class, ..ours(operation, "UnreadableAnswer", &message) }
        }
        SdkError::DispatchFailure(_) => undelivered(operation, error),
        _ => Failure { class: Cannot, ..ours(operation, "NotSent", &innermost(error)) },
    }
}

/// The call was not answered: the network, or our own credentials (taking the account's role).
fn undelivered<E>(operation: &str, error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(cause) = next {
        if let Some(refused) = cause.downcast_ref::<SdkError<AssumeRoleError, HttpResponse>>() {
            return of("sts:AssumeRole", refused);
        }
        next = cause.source();
    }
    let timed_out = matches!(error, SdkError::DispatchFailure(failure) if failure.is_timeout());
    let code = if timed_out { "Timeout" } else { "NotDelivered" };
    ours(operation, code, &innermost(error))
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// A failure that no answer of AWS tells of; it may have been applied.
pub(crate) fn ours(operation: &str, code: &str, message: &str) -> Failure {
    Failure {
        class: RetrySoon,
        operation: operation.to_owned(),
        code: code.to_owned(),
        message: message.to_owned(),
        request_id: None,
    }
}

/// The state is not what the action was planned on.
pub(crate) fn replan(operation: &str, message: &str) -> Failure {
    Failure { class: Replan, ..ours(operation, "Changed", message) }
}

/// What the action names is not there (or another has its name).
pub(crate) fn gone(operation: &str, message: &str) -> Failure {
    Failure { class: Gone, ..ours(operation, "NoSuchEntity", message) }
}

/// It cannot be done by us, and no answer of AWS was needed to know.
pub(crate) fn cannot(operation: &str, code: &str, message: &str) -> Failure {
    Failure { class: Cannot, ..ours(operation, code, message) }
}

/// The code of [`too_many_pages`].
pub(crate) const TOO_MANY_PAGES: &str = "TooManyPages";

/// A part of a listing is never taken for the whole.
pub(crate) fn too_many_pages(operation: &str, limit: usize) -> Failure {
    let message = format!("more than {limit} pages (aws.limits.pages)");
    cannot(operation, TOO_MANY_PAGES, &message)
}

/// Whether it is our own credentials that were refused: that tells nothing of what was asked for.
pub(crate) fn is_ours(failure: &Failure) -> bool {
    const CODES: [&str; 3] =
        ["InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"];
    failure.operation == "sts:AssumeRole" || CODES.contains(&failure.code.as_str())
}

/// Whether AWS refuses it to us, whenever we ask.
pub(crate) fn is_refused(failure: &Failure) -> bool {
    failure.class == Cannot && !is_ours(failure)
}

/// "Not there" as something seen instead of a failure.
pub(crate) fn present<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.class == Gone => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn header(answer: &HttpResponse, name: &str) -> Option<String> {
    answer.headers().get(name).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_the_class_that_what_follows_depends_on() {
        for (code, status, expected) in [
            ("Throttling", 400, Throttled),
            ("ThrottlingException", 400, Throttled),
            ("RequestLimitExceeded", 503, Throttled),
            ("ServiceFailure", 500, RetrySoon),
            ("InternalServiceError", 500, RetrySoon),
            ("ExpiredToken", 403, RetrySoon),
            ("EntityTemporarilyUnmodifiable", 409, RetryLater),
            ("ConcurrentModification", 409, RetryLater),
            ("NoSuchEntity", 404, Gone),
            ("ResourceNotFoundException", 400, Gone),
            ("DeleteConflict", 409, Replan),
            ("InvalidParameterException", 400, Replan),
            ("LimitExceeded", 409, Full),
            ("LimitExceededException", 400, Full),
            ("AccessDenied", 403, Cannot),
            ("AccessDeniedException", 400, Cannot),
            ("UnmodifiableEntity", 400, Cannot),
            ("MalformedPolicyDocument", 400, Cannot),
            ("DecryptionFailure", 400, Cannot),
        ] {
            assert_eq!(class(code, Some(status)), expected, "{code}");
        }
    }

    #[test]
    fn an_unknown_code_is_judged_by_its_status() {
        assert_eq!(class("Novel", Some(400)), Cannot);
        assert_eq!(class("Novel", Some(403)), Cannot);
        assert_eq!(class("Novel", Some(429)), Throttled);
        assert_eq!(class("Novel", Some(500)), RetrySoon);
        assert_eq!(class("Novel", Some(503)), RetrySoon);
        assert_eq!(class("Novel", None), RetrySoon);
    }

    #[test]
    fn no_code_stands_in_two_classes() {
        let mut seen = std::collections::BTreeSet::new();
        for code in CLASSES.iter().flat_map(|(_, codes)| codes.iter()) {
            assert!(seen.insert(code), "{code} stands twice");
        }
    }

    #[test]
    fn what_never_got_an_answer_is_retried_soon() {
        use aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityError as E;
        let lost = SdkError::<E, HttpResponse>::timeout_error("slow");
        assert_eq!(of("sts:GetCallerIdentity", &lost).code, "Timeout");
        assert_eq!(of("sts:GetCallerIdentity", &lost).class, RetrySoon);
        let broken = aws_smithy_runtime_api::client::result::ConnectorError::io("reset".into());
        let broken = SdkError::<E, HttpResponse>::dispatch_failure(broken);
        let failure = of("sts:GetCallerIdentity", &broken);
        assert_eq!((failure.class, failure.message.as_str()), (RetrySoon, "reset"));
    }
}
