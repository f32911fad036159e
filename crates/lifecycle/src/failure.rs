//! Failure classes: what a refused or lost provider call means for what comes next.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What to do about a failure. The provider adapter maps codes to classes; the engine acts on the
/// class alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
    /// The provider asks for fewer calls. Retried soon, and the account's rate is lowered.
    Throttled,
    /// A passing fault: 5xx, a timeout, a broken connection. Whether the call was applied is
    /// unknown, so the task looks again first.
    RetrySoon,
    /// Somebody else is changing the same thing (`EntityTemporarilyUnmodifiable`,
    /// `ConcurrentModification`). Retried in minutes.
    RetryLater,
    /// What the call names does not exist. Counts as done only after a second look.
    Gone,
    /// The state is not what the plan assumed (`DeleteConflict`, a policy edited meanwhile). Look
    /// again at once.
    Replan,
    /// The thing is full (`LimitExceeded`, a quota and not a throttle). Another place may fit.
    Full,
    /// It cannot be done by us: `AccessDenied`, `UnmodifiableEntity`, `MalformedPolicyDocument`.
    /// Blocked, escalated, retried slowly.
    Cannot,
}

/// A failed provider call. Holds ids and codes, never a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What to do about it.
    pub class: FailureClass,
    /// The provider's operation, for example `iam:UpdateAccessKey`.
    pub operation: String,
    /// The provider's code (`AccessDenied`), or ours for what never reached it (`Timeout`).
    pub code: String,
    /// The provider's words.
    pub message: String,
    /// The provider's request id, where it answered.
    pub request_id: Option<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.operation, self.code, self.message)?;
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
