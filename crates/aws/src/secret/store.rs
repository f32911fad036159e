//! The engine's store of values.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use severance_engine::ports::{Applied, SecretStore, SecretValue};
use severance_lifecycle::failure::Failure;
use severance_lifecycle::secret::SecretRef;
use severance_lifecycle::secret_view::PENDING;
use severance_lifecycle::task::Lane;

use super::client;
use crate::provider::AwsProvider;

/// Another value is stored under the token already (AWS: Secrets Manager API, `PutSecretValue`).
const STORED_ALREADY: &str = "ResourceExistsException";

#[async_trait]
impl SecretStore for AwsProvider {
    async fn read(
        &self,
        secret: &SecretRef,
        version: Option<&str>,
        lane: Lane,
    ) -> Result<Option<SecretValue>, Failure> {
        let calls = self.calls(&secret.account, lane)?;
        let (client, region) = client(&calls, secret)?;
        let request = client.get_secret_value().secret_id(&secret.arn);
        let request = request.set_version_id(version.map(str::to_owned)).send();
        let answer = calls.call(("secretsmanager:GetSecretValue", region), request).await?;
        Ok(answer.secret_string.map(SecretValue::new))
    }

    async fn store(
        &self,
        secret: &SecretRef,
        version: &str,
        value: &SecretValue,
        lane: Lane,
    ) -> Result<Applied, Failure> {
        let calls = self.calls(&secret.account, lane)?;
        let (client, region) = client(&calls, secret)?;
        let request = client.put_secret_value().secret_id(&secret.arn);
        let request = request.client_request_token(version).version_stages(PENDING);
        let request = request.secret_string(value.reveal()).send();
        match calls.call(("secretsmanager:PutSecretValue", region), request).await {
            Err(failure) if failure.code != STORED_ALREADY => return Err(failure),
            _ => {}
        }
        let (request_id, at) = (calls.request_id(), calls.at());
        Ok(Applied { request_id, at, probe: None, stragglers_until: None })
    }

    async fn now(&self, secret: &SecretRef, lane: Lane) -> Result<DateTime<Utc>, Failure> {
        let calls = self.calls(&secret.account, lane)?;
        let (client, region) = client(&calls, secret)?;
        let request = client.describe_secret().secret_id(&secret.arn).send();
        calls.call(("secretsmanager:DescribeSecret", region), request).await?;
        Ok(calls.at())
    }
}
