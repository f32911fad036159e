//! Trying credentials, as whoever holds them would: the demo's own evidence.

use aws_credential_types::Credentials;
use aws_sdk_secretsmanager::config as secrets_config;
use aws_sdk_sts::config as sts_config;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::{BehaviorVersion, Region};
use aws_sdk_sts::error::{DisplayErrorContext, ProvideErrorMetadata};
use severance_sandbox::aws::{KeyPair, SandboxHandle};
use thiserror::Error;

use super::credentials::{Credential, Holder, Session, Way};
use super::receiver::{Receiver, token};
use super::secrets::Strategy;
use super::stage::Stage;
use super::vault::Vault;
use crate::error::{Failure, Outcome};
use crate::sandbox::REGIONS;

/// Codes that say no to the credential or to what it may do. Anything else (a throttle, a timeout)
/// says nothing.
const REFUSALS: [&str; 5] = [
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
];

/// Refused, with AWS's code or the sandbox's words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("refused: {0}")]
pub(super) struct Refused(pub(super) String);

/// What a try gave: the outer failure is one of the demo, which then proves nothing.
pub(super) type Tried<T = ()> = Outcome<Result<T, Refused>>;

/// Where credentials are tried.
pub(super) struct Bench<'a> {
    aws: &'a SandboxHandle,
    receiver: &'a Receiver,
    pub(super) vault: &'a Vault,
    sts: aws_sdk_sts::Client,
    secrets: aws_sdk_secretsmanager::Client,
}

impl<'a> Bench<'a> {
    pub(super) fn new(stage: &'a Stage) -> Self {
        let aws = &stage.sandbox.aws;
        let sts = sts_config::Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGIONS[0]))
            .endpoint_url(aws.endpoint())
            .retry_config(RetryConfig::disabled())
            .build();
        let secrets = secrets_config::Builder::new()
            .behavior_version(secrets_config::BehaviorVersion::latest())
            .region(secrets_config::Region::new(REGIONS[0]))
            .endpoint_url(aws.endpoint())
            .retry_config(secrets_config::retry::RetryConfig::disabled())
            .build();
        Self {
            aws,
            receiver: &stage.receiver,
            vault: &stage.vault,
            sts: aws_sdk_sts::Client::from_conf(sts),
            secrets: aws_sdk_secretsmanager::Client::from_conf(secrets),
        }
    }

    /// Tries whether a credential does the work that it is for. `GetCallerIdentity` alone would not
    /// tell: it needs no permission, so that it works under a policy that denies everything.
    pub(super) async fn works(&self, credential: &Credential) -> Tried {
        match &credential.way {
            Way::Key(key) => {
                let over = secrets_config::Builder::new().credentials_provider(long_term(key));
                self.list_secrets(over).await
            }
            _ => self.attempt(credential).await,
        }
    }

    /// Tries a credential: whether it authenticates (a key), or opens anything (all others).
    pub(super) async fn attempt(&self, credential: &Credential) -> Tried {
        match &credential.way {
            Way::Key(key) => self.authenticate(key).await,
            Way::Session(session) => self.use_session(session).await,
            // A role that can be taken but denies everything opens nothing.
            Way::Route { partner, role_arn } => match self.assume_role(partner, role_arn).await? {
                Ok(session) => self.use_session(&session).await,
                Err(refused) => Ok(Err(refused)),
            },
            Way::Side(attempt) => {
                let verdict = self.aws.try_credential(attempt);
                Ok(if verdict.accepted { Ok(()) } else { Err(Refused(verdict.reason)) })
            }
        }
    }

    /// Tries what a secret's value opens, and where it is to work whether it does its work.
    pub(super) async fn opens(&self, holder: &Holder, value: &str, to_work: bool) -> Tried {
        if holder.strategy == Strategy::Webhook {
            let token = token(value).unwrap_or_default();
            let accepted = self.receiver.accepts(&holder.arn, &token);
            return Ok(accepted.then_some(()).ok_or_else(|| Refused("by the endpoint".into())));
        }
        let Some(key) = key_in(value) else {
            return Ok(Err(Refused("it holds no access key".to_owned())));
        };
        if to_work {
            let over = secrets_config::Builder::new().credentials_provider(long_term(&key));
            return self.list_secrets(over).await;
        }
        self.authenticate(&key).await
    }

    async fn authenticate(&self, key: &KeyPair) -> Tried {
        let identity = self.sts.get_caller_identity().customize();
        let identity = identity.config_override(signed(key)).send().await;
        told(identity.map(|_| ()))
    }

    pub(super) async fn use_session(&self, session: &Session) -> Tried {
        let Session { access_key_id, secret_access_key, token } = session;
        let token = Some(token.clone());
        let credentials =
            Credentials::new(access_key_id, secret_access_key, token, None, "session");
        let over = secrets_config::Builder::new().credentials_provider(credentials);
        self.list_secrets(over).await
    }

    async fn list_secrets(&self, over: secrets_config::Builder) -> Tried {
        let listed = self.secrets.list_secrets().max_results(1).customize();
        told(listed.config_override(over).send().await.map(|_| ()))
    }

    /// A session of the key's user.
    pub(super) async fn session_token(&self, key: &KeyPair) -> Tried<Session> {
        let issued = self.sts.get_session_token().customize();
        let issued = issued.config_override(signed(key)).send().await;
        told(issued.map(|answer| answer.credentials))?.map(session).transpose_outer()
    }

    /// A session of a role, taken with a partner's key.
    pub(super) async fn assume_role(&self, partner: &KeyPair, role_arn: &str) -> Tried<Session> {
        let issued = self.sts.assume_role().role_arn(role_arn).role_session_name("demo");
        let issued = issued.customize().config_override(signed(partner)).send().await;
        told(issued.map(|answer| answer.credentials))?.map(session).transpose_outer()
    }
}

/// `Result<Outcome<T>, Refused>` as `Tried<T>`.
trait TransposeOuter<T> {
    fn transpose_outer(self) -> Tried<T>;
}

impl<T> TransposeOuter<T> for Result<Outcome<T>, Refused> {
    fn transpose_outer(self) -> Tried<T> {
        match self {
            Ok(outcome) => outcome.map(Ok),
            Err(refused) => Ok(Err(refused)),
        }
    }
}

fn signed(key: &KeyPair) -> sts_config::Builder {
    sts_config::Builder::new().credentials_provider(long_term(key))
}

fn long_term(key: &KeyPair) -> Credentials {
    Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "key")
}

/// The access key in a secret's value.
fn key_in(value: &str) -> Option<KeyPair> {
    let value: serde_json::Value = serde_json::from_str(value).ok()?;
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    let (access_key_id, secret_access_key) = (text("access_key_id")?, text("secret_access_key")?);
    Some(KeyPair { access_key_id, secret_access_key })
}

fn session(issued: Option<aws_sdk_sts::types::Credentials>) -> Outcome<Session> {
    let issued = issued.ok_or_else(|| Failure::new("STS answered without credentials"))?;
    Ok(Session {
        access_key_id: issued.access_key_id,
        secret_access_key: issued.secret_access_key,
        token: issued.session_token,
    })
}

fn told<T, E>(answer: Result<T, E>) -> Tried<T>
where
    E: ProvideErrorMetadata + std::error::Error,
{
    match answer {
        Ok(value) => Ok(Ok(value)),
        Err(error) => match error.code() {
            Some(code) if REFUSALS.contains(&code) => Ok(Err(Refused(code.to_owned()))),
            _ => Err(Failure::new(format!(
                "a try that tells nothing: {}",
                DisplayErrorContext(&error)
            ))),
        },
    }
}
