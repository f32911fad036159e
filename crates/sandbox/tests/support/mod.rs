//! What the sandbox's own tests share: a sandbox, and real SDK clients that talk to it.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's set-up that fails is a failed test"
)]

use aws_sdk_iam::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_iam::error::ProvideErrorMetadata;
use severance_sandbox::aws::{KeyPair, Sandbox, SandboxConfig, SandboxHandle};

pub(crate) const ACCOUNT: &str = "111111111111";
pub(crate) const OTHER: &str = "222222222222";

pub(crate) async fn sandbox() -> SandboxHandle {
    with(|_| {}).await
}

pub(crate) async fn with(change: impl FnOnce(&mut SandboxConfig)) -> SandboxHandle {
    let mut config = SandboxConfig {
        accounts: vec![ACCOUNT.to_owned(), OTHER.to_owned()],
        ..SandboxConfig::default()
    };
    change(&mut config);
    Sandbox::start(config).await.expect("the sandbox starts")
}

/// Real SDK clients that sign with one set of credentials and never retry.
pub(crate) struct Clients {
    pub(crate) iam: aws_sdk_iam::Client,
    pub(crate) sts: aws_sdk_sts::Client,
    pub(crate) secrets: aws_sdk_secretsmanager::Client,
}

pub(crate) fn clients(sandbox: &SandboxHandle, credentials: &Credentials) -> Clients {
    clients_in(sandbox, credentials, "us-east-1")
}

pub(crate) fn clients_in(
    sandbox: &SandboxHandle,
    credentials: &Credentials,
    region: &str,
) -> Clients {
    retrying(sandbox, credentials, region, RetryConfig::disabled())
}

/// The root user's clients, which learn the sandbox's time from its answers, as the SDK does
/// where it may try again.
pub(crate) fn on_its_clock(sandbox: &SandboxHandle, region: &str) -> Clients {
    let retry = RetryConfig::standard().with_max_attempts(2);
    let retry = retry.with_initial_backoff(std::time::Duration::from_millis(1));
    retrying(sandbox, &long_term(&sandbox.root_key(ACCOUNT).unwrap()), region, retry)
}

fn retrying(
    sandbox: &SandboxHandle,
    credentials: &Credentials,
    region: &str,
    retry: RetryConfig,
) -> Clients {
    let region = region.to_owned();
    let config = aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(sandbox.endpoint())
        .region(Region::new(region))
        .credentials_provider(aws_sdk_iam::config::SharedCredentialsProvider::new(
            credentials.clone(),
        ))
        .retry_config(retry)
        .build();
    Clients {
        iam: aws_sdk_iam::Client::new(&config),
        sts: aws_sdk_sts::Client::new(&config),
        secrets: aws_sdk_secretsmanager::Client::new(&config),
    }
}

pub(crate) fn long_term(key: &KeyPair) -> Credentials {
    Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "test")
}

pub(crate) fn root(sandbox: &SandboxHandle) -> Clients {
    clients(sandbox, &long_term(&sandbox.root_key(ACCOUNT).unwrap()))
}

pub(crate) fn session(id: &str, secret: &str, token: &str) -> Credentials {
    Credentials::new(id, secret, Some(token.to_owned()), None, "test")
}

/// The error's code and HTTP status.
pub(crate) fn refusal<T, E>(result: Result<T, aws_sdk_iam::error::SdkError<E>>) -> (String, u16)
where
    E: ProvideErrorMetadata + std::fmt::Debug,
{
    let Err(error) = result else { panic!("the call was accepted") };
    let status = error.raw_response().map_or(0, |it| it.status().as_u16());
    (error.code().unwrap_or("no code").to_owned(), status)
}

pub(crate) const ALLOW_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
pub(crate) const DENY_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;

/// Asserts a refusal's code and HTTP status.
#[track_caller]
pub(crate) fn is(found: &(String, u16), expected: (&str, u16)) {
    assert_eq!((found.0.as_str(), found.1), expected);
}

/// A user of `ACCOUNT` with one key and this inline policy, as SDK clients.
pub(crate) fn user_with(sandbox: &SandboxHandle, name: &str, policy: &str) -> (KeyPair, Clients) {
    let seed = sandbox.seed(ACCOUNT).unwrap();
    seed.user(name, &[]).unwrap();
    seed.user_policy(name, "p", policy).unwrap();
    let key = seed.access_key(name).unwrap();
    let clients = clients(sandbox, &long_term(&key));
    (key, clients)
}

/// The credentials that STS returned.
pub(crate) fn issued(credentials: Option<&aws_sdk_sts::types::Credentials>) -> Credentials {
    let it = credentials.unwrap();
    session(it.access_key_id(), it.secret_access_key(), it.session_token())
}
