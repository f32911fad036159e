//! Searching one region's secrets, and reading the key in one.

use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, SecretListEntry};
use severance_lifecycle::failure::Failure;

use super::{Found, Place, SecretIndex, is_final};
use crate::calls::Calls;
use crate::secret_value::{HeldKey, Secret, held_key};

impl SecretIndex {
    /// Searches one region.
    pub(super) async fn search(
        &self,
        calls: &Calls<'_>,
        region: usize,
        reads_left: &mut usize,
        found: &mut Found,
    ) -> Result<(), Failure> {
        for secret in list(calls, region, &[tag_key(&self.finding.holds_tag)]).await? {
            let (Some(arn), changed) = (secret.arn.clone(), changed(&secret)) else { continue };
            if tag(&secret, &self.finding.holds_tag) != Some(&self.finding.holds_value) {
                continue;
            }
            let key_id = self.key_in(calls, region, &arn, changed, reads_left).await?;
            if let Some(key_id) = &key_id {
                found.places.insert(key_id.clone(), Place::new(&arn, region, changed));
            }
            found.read.insert(arn, (changed, key_id));
        }
        for secret in list(calls, region, &[tag_key(&self.finding.key_id_tag)]).await? {
            let ids = tag(&secret, &self.finding.key_id_tag).unwrap_or_default();
            let Some(arn) = &secret.arn else { continue };
            for id in ids.split_whitespace() {
                found.places.insert(id.to_owned(), Place::new(arn, region, changed(&secret)));
            }
        }
        Ok(())
    }

    /// The id of the key that a secret's JSON holds: from memory while the secret has not changed.
    async fn key_in(
        &self,
        calls: &Calls<'_>,
        region: usize,
        arn: &str,
        changed: i64,
        reads_left: &mut usize,
    ) -> Result<Option<String>, Failure> {
        let before = self.known().found.read.get(arn).filter(|(at, _)| *at == changed).cloned();
        if let Some((_, key_id)) = before {
            return Ok(key_id);
        }
        if *reads_left == 0 {
            tracing::warn!(account = %calls.id(), secret = arn, "not read: aws.limits.secret_reads");
            return Ok(None);
        }
        *reads_left -= 1;
        let held = self.read(calls, region, arn, None).await;
        match held {
            Ok(held) => Ok(held.map(|held| held.id)),
            Err(failure) if is_final(&failure) => {
                tracing::warn!(account = %calls.id(), secret = arn, %failure, "not readable");
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Reads the access key in a secret, in its current or its previous version. The value lives as
    /// long as what is returned and is wiped then. (The SDK's own buffer of the answer is not ours to
    /// wipe; it is freed when this returns.)
    pub(crate) async fn read(
        &self,
        calls: &Calls<'_>,
        region: usize,
        arn: &str,
        stage: Option<&str>,
    ) -> Result<Option<HeldKey>, Failure> {
        let request = calls.account.secretsmanager(region).get_secret_value().secret_id(arn);
        let request = request.set_version_stage(stage.map(str::to_owned)).send();
        let answer = calls.call("secretsmanager:GetSecretValue", request).await?;
        let json = answer.secret_string.map(Secret::new);
        Ok(json.and_then(|json| held_key(&json, &self.finding.fields)))
    }
}

async fn list(
    calls: &Calls<'_>,
    region: usize,
    filters: &[Filter],
) -> Result<Vec<SecretListEntry>, Failure> {
    let client = calls.account.secretsmanager(region);
    let operation = "secretsmanager:ListSecrets";
    calls
        .pages(operation, |token| async move {
            let request = client.list_secrets().set_filters(Some(filters.to_vec()));
            let page = calls.call(operation, request.set_next_token(token).send()).await?;
            Ok((page.secret_list.unwrap_or_default(), page.next_token))
        })
        .await
}

fn tag_key(name: &str) -> Filter {
    Filter::builder().key(FilterNameStringType::TagKey).values(name).build()
}

/// The value of a tag. Secrets Manager's filters match beginnings, so the whole key is compared here.
fn tag<'a>(secret: &'a SecretListEntry, key: &str) -> Option<&'a str> {
    let tags = secret.tags.as_deref().unwrap_or_default();
    tags.iter().find(|tag| tag.key.as_deref() == Some(key))?.value.as_deref()
}

fn changed(secret: &SecretListEntry) -> i64 {
    secret.last_changed_date.as_ref().map_or(0, aws_smithy_types::DateTime::secs)
}
