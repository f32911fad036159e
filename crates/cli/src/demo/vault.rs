//! Secrets Manager, as a secret's owner reads it: not with the worker's rights.

use std::collections::BTreeMap;

use aws_credential_types::Credentials;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Builder, Region};
use severance_sandbox::aws::{SandboxHandle, SeedError};

use super::scenario::OURS;
use crate::error::{Doing, Failure, Outcome};
use crate::sandbox::REGIONS;

/// Reads the demo's secrets, which are in the first region.
#[derive(Clone)]
pub(super) struct Vault {
    /// By account.
    owners: BTreeMap<&'static str, Client>,
}

/// One version of a secret.
#[derive(Clone)]
pub(super) struct Version {
    pub(super) id: String,
    pub(super) labels: Vec<String>,
}

impl Version {
    pub(super) fn has(&self, label: &str) -> bool {
        self.labels.iter().any(|it| it == label)
    }
}

impl Vault {
    /// Makes an owner in each account of ours.
    pub(super) fn open(aws: &SandboxHandle) -> Result<Self, SeedError> {
        let owner = |account: &'static str| {
            let key = aws.seed(account)?.administrator("secrets-owner")?;
            let (id, half) = (key.access_key_id, key.secret_access_key);
            let config = Builder::new()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new(REGIONS[0]))
                .endpoint_url(aws.endpoint())
                .credentials_provider(Credentials::new(id, half, None, None, "owner"))
                .retry_config(RetryConfig::disabled());
            Ok((account, Client::from_conf(config.build())))
        };
        Ok(Self { owners: OURS.into_iter().map(owner).collect::<Result<_, SeedError>>()? })
    }

    /// All versions of a secret.
    pub(super) async fn versions(&self, arn: &str) -> Outcome<Vec<Version>> {
        let listed = self.owner(arn)?.list_secret_version_ids().secret_id(arn);
        let listed = listed.include_deprecated(true).max_results(100).send().await;
        let listed = listed.doing(format!("the versions of {arn} cannot be listed"))?;
        let version = |it: aws_sdk_secretsmanager::types::SecretVersionsListEntry| Version {
            id: it.version_id.unwrap_or_default(),
            labels: it.version_stages.unwrap_or_default(),
        };
        Ok(listed.versions.unwrap_or_default().into_iter().map(version).collect())
    }

    /// The text of a version; `None` where it has none.
    pub(super) async fn version(&self, arn: &str, id: &str) -> Outcome<Option<String>> {
        let read = self.owner(arn)?.get_secret_value().secret_id(arn).version_id(id).send().await;
        match read {
            Ok(read) => Ok(read.secret_string),
            Err(error) => {
                let missing = error
                    .as_service_error()
                    .is_some_and(aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError::is_resource_not_found_exception);
                if missing {
                    return Ok(None);
                }
                Err(error).doing(format!("a version of {arn} cannot be read"))
            }
        }
    }

    fn owner(&self, arn: &str) -> Outcome<&Client> {
        let account = arn.split(':').nth(4).unwrap_or_default();
        let owner = self.owners.get(account);
        owner.ok_or_else(|| Failure::new(format!("{arn} is in no account of the demo's")))
    }
}
