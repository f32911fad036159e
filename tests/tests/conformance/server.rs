//! A server under test, and what the behaviours need of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use severance_sandbox::aws::{Sandbox, SandboxConfig, SandboxHandle};

use crate::Check;

/// Where to send calls, and an identity there that may do everything.
#[derive(Clone)]
pub(crate) struct Server {
    endpoint: String,
    administrator: Credentials,
    names: Arc<AtomicUsize>,
}

/// SDK clients that sign with one set of credentials and never retry.
#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) iam: aws_sdk_iam::Client,
    pub(crate) sts: aws_sdk_sts::Client,
    pub(crate) secrets: aws_sdk_secretsmanager::Client,
}

/// A user that was made for a behaviour.
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) key_id: String,
    pub(crate) secret: String,
    pub(crate) clients: Clients,
}

const REGION: &str = "us-east-1";

impl Server {
    /// A sandbox of its own; it runs as long as the handle is kept.
    pub(crate) async fn sandbox() -> (Self, SandboxHandle) {
        let config = SandboxConfig { page_size: 1_000, ..SandboxConfig::default() };
        let account = config.accounts[0].clone();
        let handle = Sandbox::start(config).await.expect("the sandbox starts");
        let key = handle.seed(&account).and_then(|it| it.administrator("administrator"));
        let key = key.expect("an administrator is seeded");
        let administrator = credentials(&key.access_key_id, &key.secret_access_key, None);
        (Self::at(handle.endpoint(), administrator), handle)
    }

    /// The server that the environment names.
    pub(crate) fn other() -> Option<Self> {
        let endpoint = std::env::var("SEVERANCE_CONFORMANCE_ENDPOINT").ok()?;
        let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| "test".to_owned());
        let id = variable("SEVERANCE_CONFORMANCE_ACCESS_KEY_ID");
        let secret = variable("SEVERANCE_CONFORMANCE_SECRET_ACCESS_KEY");
        Some(Self::at(endpoint, credentials(&id, &secret, None)))
    }

    fn at(endpoint: String, administrator: Credentials) -> Self {
        Self { endpoint, administrator, names: Arc::default() }
    }

    /// A name that no other behaviour uses.
    pub(crate) fn name(&self, stem: &str) -> String {
        format!("{stem}-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn admin(&self) -> Clients {
        self.clients(self.administrator.clone())
    }

    pub(crate) fn admin_in(&self, region: &str) -> Clients {
        self.clients_in(self.administrator.clone(), region)
    }

    pub(crate) fn clients(&self, credentials: Credentials) -> Clients {
        self.clients_in(credentials, REGION)
    }

    pub(crate) fn clients_in(&self, credentials: Credentials, region: &str) -> Clients {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&self.endpoint)
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(aws_config::retry::RetryConfig::disabled())
            .build();
        Clients {
            iam: aws_sdk_iam::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
            secrets: aws_sdk_secretsmanager::Client::new(&config),
        }
    }

    /// A new user without policies or keys; returns its name.
    pub(crate) async fn user(&self) -> Result<String, String> {
        let name = self.name("user");
        ok(self.admin().iam.create_user().user_name(&name).send().await)?;
        Ok(name)
    }

    /// A new user with one access key and, where given, one inline policy.
    pub(crate) async fn person(&self, policy: Option<&str>) -> Result<Person, String> {
        let name = self.user().await?;
        let iam = self.admin().iam;
        if let Some(policy) = policy {
            let put = iam.put_user_policy().user_name(&name).policy_name("first");
            ok(put.policy_document(policy).send().await)?;
        }
        let made = ok(iam.create_access_key().user_name(&name).send().await)?;
        let key = made.access_key().ok_or("no access key in the answer")?;
        let (id, secret) = (key.access_key_id(), key.secret_access_key());
        Ok(Person {
            name,
            key_id: id.to_owned(),
            secret: secret.to_owned(),
            clients: self.clients(credentials(id, secret, None)),
        })
    }

    /// A managed policy; returns its ARN.
    pub(crate) async fn policy(&self, document: &str) -> Result<String, String> {
        let create = self.admin().iam.create_policy().policy_name(self.name("policy"));
        let made = ok(create.policy_document(document).send().await)?;
        let arn = made.policy().and_then(|it| it.arn()).ok_or("no ARN in the answer")?;
        Ok(arn.to_owned())
    }

    /// A role with this trust policy, and leave to do everything; returns its name and ARN.
    pub(crate) async fn role(&self, trust: &str) -> Result<(String, String), String> {
        let name = self.name("role");
        let iam = self.admin().iam;
        let create = iam.create_role().role_name(&name);
        let made = ok(create.assume_role_policy_document(trust).send().await)?;
        let arn = made.role().ok_or("no role in the answer")?.arn().to_owned();
        let put = iam.put_role_policy().role_name(&name).policy_name("first");
        ok(put.policy_document(ALLOW_ALL).send().await)?;
        Ok((name, arn))
    }

    /// The account that the administrator is in.
    pub(crate) async fn account(&self) -> Result<String, String> {
        let who = ok(self.admin().sts.get_caller_identity().send().await)?;
        who.account().map(str::to_owned).ok_or_else(|| "no account in the answer".to_owned())
    }

    /// Takes a role.
    pub(crate) async fn assume(&self, by: &Clients, arn: &str) -> Result<Clients, String> {
        let taken = by.sts.assume_role().role_arn(arn).role_session_name("session");
        let taken = ok(taken.send().await)?;
        self.session(taken.credentials())
    }

    /// Clients that use issued credentials.
    pub(crate) fn session(
        &self,
        issued: Option<&aws_sdk_sts::types::Credentials>,
    ) -> Result<Clients, String> {
        let it = issued.ok_or("no credentials in the answer")?;
        let token = Some(it.session_token().to_owned());
        Ok(self.clients(credentials(it.access_key_id(), it.secret_access_key(), token)))
    }
}

pub(crate) fn credentials(id: &str, secret: &str, token: Option<String>) -> Credentials {
    Credentials::new(id, secret, token, None, "conformance")
}

pub(crate) const ALLOW_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
pub(crate) const DENY_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
/// Denies every session that was issued before the year 2100.
pub(crate) const DENY_SESSIONS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny",
    "Action":"*","Resource":"*",
    "Condition":{"DateLessThan":{"aws:TokenIssueTime":"2100-01-01T00:00:00Z"}}}]}"#;

/// A trust policy that lets `principal` (JSON) take the role.
pub(crate) fn trust(principal: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRole"}}]}}"#
    )
}

/// The answer, or the error's code and status in words.
pub(crate) fn ok<T, E: ProvideErrorMetadata>(result: Result<T, SdkError<E>>) -> Result<T, String> {
    result.map_err(|error| {
        let (code, status) = told(&error);
        format!("{code} ({status}) where success was expected")
    })
}

/// Expects a refusal with this code and HTTP status.
pub(crate) fn refused<T, E: ProvideErrorMetadata>(
    result: Result<T, SdkError<E>>,
    code: &str,
    status: u16,
) -> Check {
    match result {
        Ok(_) => Err(format!("success where {code} ({status}) was expected")),
        Err(error) if told(&error) == (code.to_owned(), status) => Ok(()),
        Err(error) => {
            let (found, found_status) = told(&error);
            Err(format!("{found} ({found_status}) where {code} ({status}) was expected"))
        }
    }
}

/// Expects that something is as it should be.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(found: T, expected: T) -> Check {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{found:?} where {expected:?} was expected"))
    }
}

/// Expects an id of AWS's shape: a prefix and upper-case letters and digits.
pub(crate) fn shaped(id: &str, prefix: &str, length: usize) -> Check {
    let well = id.starts_with(prefix)
        && id.len() == length
        && id.bytes().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit());
    if well { Ok(()) } else { Err(format!("{id} is not {prefix} and {length} characters in all")) }
}

fn told<E: ProvideErrorMetadata>(error: &SdkError<E>) -> (String, u16) {
    let status = error.raw_response().map_or(0, |it| it.status().as_u16());
    (error.code().unwrap_or("no code").to_owned(), status)
}
