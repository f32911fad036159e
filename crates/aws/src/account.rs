//! The accounts and the clients into them.

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use severance_lifecycle::ids::AccountId;

use crate::answer::KeepHeaders;
use crate::config::{AccountConfig, AwsConfig, Endpoints, Limits};
use crate::renamed::Names;
use crate::secret_index::SecretIndex;

/// One configured account. Its clients are made when they are first used: a client costs memory, and
/// an idle worker has many accounts.
pub(crate) struct Account {
    pub(crate) id: AccountId,
    pub(crate) partition: String,
    pub(crate) regions: Vec<String>,
    pub(crate) limits: Limits,
    /// Which secrets hold which access keys.
    pub(crate) secrets: SecretIndex,
    /// Users that were renamed.
    pub(crate) names: Names,
    /// Whether it was told that roles here cannot be read.
    pub(crate) unreadable: AtomicBool,
    /// Our role there.
    pub(crate) role_arn: Option<String>,
    /// Whether the credentials are known to be of this account.
    pub(crate) verified: AtomicBool,
    sdk: SdkConfig,
    endpoints: Endpoints,
    iam: OnceLock<aws_sdk_iam::Client>,
    sts: OnceLock<aws_sdk_sts::Client>,
    secretsmanager: Vec<OnceLock<aws_sdk_secretsmanager::Client>>,
}

impl Account {
    /// An account that is reached with its role, or with the base credentials.
    pub(crate) async fn new(config: &AwsConfig, account: &AccountConfig, base: &SdkConfig) -> Self {
        let regions = config.regions(account);
        let secretsmanager = regions.iter().map(|_| OnceLock::new()).collect();
        Self {
            id: AccountId::from(account.id.as_str()),
            partition: config.partition.clone(),
            limits: config.limits.clone(),
            secrets: SecretIndex::new(config.secrets.clone()),
            names: Names::default(),
            unreadable: AtomicBool::new(false),
            role_arn: account.role_arn.clone(),
            // A role's session is of the account in the role's ARN, which the configuration compares.
            verified: AtomicBool::new(account.role_arn.is_some()),
            sdk: in_account(config, account, base).await,
            endpoints: config.endpoints.clone(),
            iam: OnceLock::new(),
            sts: OnceLock::new(),
            secretsmanager,
            regions,
        }
    }

    pub(crate) fn iam(&self) -> &aws_sdk_iam::Client {
        self.iam.get_or_init(|| {
            let config = aws_sdk_iam::config::Builder::from(&self.sdk).interceptor(KeepHeaders);
            let config = match &self.endpoints.iam {
                Some(url) => config.endpoint_url(url),
                None => config,
            };
            aws_sdk_iam::Client::from_conf(config.build())
        })
    }

    /// The region of the calls that name none.
    pub(crate) fn home_region(&self) -> Option<&str> {
        self.sdk.region().map(AsRef::as_ref)
    }

    pub(crate) fn sts(&self) -> &aws_sdk_sts::Client {
        self.sts.get_or_init(|| {
            let config = self.sts_config();
            let config = match &self.endpoints.sts {
                Some(url) => config.endpoint_url(url),
                None => config,
            };
            aws_sdk_sts::Client::from_conf(config.build())
        })
    }

    /// STS in the region of that number (they go round), for a probe: over connections of its own.
    pub(crate) fn probe_config(&self, number: usize) -> (&str, aws_sdk_sts::config::Builder) {
        let region = &self.regions[number % self.regions.len()];
        let config = self
            .sts_config()
            .region(aws_sdk_sts::config::Region::new(region.clone()))
            .http_client(http_client());
        let url = self.endpoints.probes.get(region).or(self.endpoints.sts.as_ref());
        let config = match url {
            Some(url) => config.endpoint_url(url),
            None => config,
        };
        (region, config)
    }

    fn sts_config(&self) -> aws_sdk_sts::config::Builder {
        aws_sdk_sts::config::Builder::from(&self.sdk).interceptor(KeepHeaders)
    }

    /// Secrets Manager in one of the account's regions.
    pub(crate) fn secretsmanager(&self, region: usize) -> &aws_sdk_secretsmanager::Client {
        self.secretsmanager[region].get_or_init(|| {
            let config = aws_sdk_secretsmanager::config::Builder::from(&self.sdk)
                .region(aws_sdk_secretsmanager::config::Region::new(self.regions[region].clone()))
                .interceptor(KeepHeaders);
            let config = match &self.endpoints.secretsmanager {
                Some(url) => config.endpoint_url(url),
                None => config,
            };
            aws_sdk_secretsmanager::Client::from_conf(config.build())
        })
    }
}

/// What all accounts share: one pool of connections, bounds in time, and no retries. A retry inside
/// the SDK would be a call that nobody admitted, and with a lost reply it would do things twice; the
/// engine looks again instead.
pub(crate) async fn base(
    config: &AwsConfig,
    credentials: Option<SharedCredentialsProvider>,
) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(config.timeouts.connect)
        .operation_attempt_timeout(config.timeouts.attempt)
        .operation_timeout(config.timeouts.operation)
        .build();
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(config.region.clone()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .http_client(http_client());
    match credentials {
        Some(credentials) => loader.credentials_provider(credentials).load().await,
        None => loader.load().await,
    }
}

async fn in_account(config: &AwsConfig, account: &AccountConfig, base: &SdkConfig) -> SdkConfig {
    let own = base.to_builder().identity_cache(IdentityCache::lazy().build());
    let Some(role) = &account.role_arn else {
        return own.build();
    };
    let mut caller = base.to_builder();
    caller.set_endpoint_url(config.endpoints.sts.clone());
    let mut taking = AssumeRoleProvider::builder(role)
        .configure(&caller.build())
        .session_name(&config.session_name);
    if let Some(id) = &account.external_id {
        taking = taking.external_id(id);
    }
    own.credentials_provider(SharedCredentialsProvider::new(taking.build().await)).build()
}

/// An HTTP client with a pool of connections of its own.
fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .build_https()
}
