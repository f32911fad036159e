//! The store of secrets' values.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::secret::SecretRef;
use severance_lifecycle::task::Lane;

use super::{Applied, SecretValue};

/// Reads and stores values. Each method is one attempt, admitted and bounded in time as the
/// [`Provider`](super::Provider)'s are.
#[async_trait]
pub trait SecretStore: Send + Sync + 'static {
    /// The value of a version, or of the current one where none is named; `None` where it is no text.
    ///
    /// # Errors
    /// A [`Failure`]; of class [`Gone`](FailureClass::Gone) where there is no such version.
    async fn read(
        &self,
        secret: &SecretRef,
        version: Option<&str>,
        lane: Lane,
    ) -> Result<Option<SecretValue>, Failure>;

    /// Stores a value as `AWSPENDING` under a version's id. Where one is stored under it already, that one
    /// stays, and this is no failure: the next look shows it.
    ///
    /// # Errors
    /// A [`Failure`].
    async fn store(
        &self,
        secret: &SecretRef,
        version: &str,
        value: &SecretValue,
        lane: Lane,
    ) -> Result<Applied, Failure>;

    /// The provider's clock where the secret is.
    ///
    /// # Errors
    /// A [`Failure`].
    async fn now(&self, secret: &SecretRef, lane: Lane) -> Result<DateTime<Utc>, Failure>;
}

/// For tests and tools that have none.
#[async_trait]
impl SecretStore for () {
    async fn read(
        &self,
        _: &SecretRef,
        _: Option<&str>,
        _: Lane,
    ) -> Result<Option<SecretValue>, Failure> {
        Err(none("secret-store"))
    }

    async fn store(
        &self,
        _: &SecretRef,
        _: &str,
        _: &SecretValue,
        _: Lane,
    ) -> Result<Applied, Failure> {
        Err(none("secret-store"))
    }

    async fn now(&self, _: &SecretRef, _: Lane) -> Result<DateTime<Utc>, Failure> {
        Err(none("secret-store"))
    }
}

/// Nothing is configured to do it.
pub(super) fn none(operation: &str) -> Failure {
    Failure {
        class: FailureClass::Cannot,
        operation: operation.to_owned(),
        code: "NotConfigured".to_owned(),
        message: "nothing is configured for it".to_owned(),
        request_id: None,
    }
}
