//! The real SDK, as an operator or the bearer of a key uses it.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::error::{ProvideErrorMetadata as _, SdkError};

/// An access key with its secret half.
#[derive(Clone)]
pub struct Key {
    /// The id.
    pub id: String,
    /// The secret half.
    pub secret: String,
    /// The session token, for a session's key.
    pub token: Option<String>,
}

impl Key {
    /// A long-term key.
    pub fn new(id: &str, secret: &str) -> Self {
        Self { id: id.to_owned(), secret: secret.to_owned(), token: None }
    }
}

/// What came of trying a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// It works.
    Accepted,
    /// Refused, with AWS's code.
    Refused(String),
}

/// The SDK's configuration for a bearer of `key`.
pub async fn config(endpoint: &str, key: &Key) -> SdkConfig {
    let credentials =
        Credentials::new(&key.id, &key.secret, key.token.clone(), None, "severance-tests");
    let timeouts = TimeoutConfig::builder()
        .operation_timeout(Duration::from_secs(30))
        .operation_attempt_timeout(Duration::from_secs(10));
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .timeout_config(timeouts.build())
        .retry_config(RetryConfig::standard().with_max_attempts(4))
        .load()
        .await
}

/// An IAM client for a bearer of `key`.
pub async fn iam(endpoint: &str, key: &Key) -> aws_sdk_iam::Client {
    aws_sdk_iam::Client::new(&config(endpoint, key).await)
}

/// An STS client for a bearer of `key`.
pub async fn sts(endpoint: &str, key: &Key) -> aws_sdk_sts::Client {
    aws_sdk_sts::Client::new(&config(endpoint, key).await)
}

/// Tries many keys with `sts:GetCallerIdentity`, in the order given.
///
/// # Panics
/// When AWS neither accepts nor refuses one.
pub async fn try_keys(endpoint: &str, keys: &[Key]) -> Vec<Tried> {
    use futures::StreamExt as _;
    let Some(first) = keys.first() else { return Vec::new() };
    let shared = config(endpoint, first).await;
    let tries = keys.iter().map(|key| {
        let credentials =
            Credentials::new(&key.id, &key.secret, key.token.clone(), None, "severance-tests");
        let config = aws_sdk_sts::config::Builder::from(&shared).credentials_provider(credentials);
        let client = aws_sdk_sts::Client::from_conf(config.build());
        async move { tried(client.get_caller_identity().send().await) }
    });
    futures::stream::iter(tries).buffered(16).collect().await
}

/// Tries one key.
pub async fn try_key(endpoint: &str, key: &Key) -> Tried {
    try_keys(endpoint, std::slice::from_ref(key)).await.remove(0)
}

fn tried<T, E>(answer: Result<T, SdkError<E>>) -> Tried
where
    E: std::error::Error + aws_sdk_sts::error::ProvideErrorMetadata + 'static,
{
    match answer {
        Ok(_) => Tried::Accepted,
        Err(error @ SdkError::ServiceError(_)) => {
            Tried::Refused(error.code().unwrap_or("no code").to_owned())
        }
        Err(error) => panic!("neither accepted nor refused: {error:?}"),
    }
}
