//! Going through one region's secrets, and reading what one holds.

use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, SecretListEntry};
use chrono::{DateTime, Utc};
use severance_engine::ports::InventorySink;
use severance_lifecycle::failure::Failure;
use severance_lifecycle::plan::Identity;
use severance_lifecycle::secret::{Strategy, is_ours};
use severance_lifecycle::secret_view::{CURRENT, Held, PENDING, PREVIOUS};

use super::listed::Listed;
use super::{Contents, Found, Place, SecretIndex, is_final};
use crate::calls::Calls;
use crate::failure::{present, too_many_pages};
use crate::reads::time;
use crate::secret_value::{HeldKey, Secret, held_key, login_name};

const LIST: &str = "secretsmanager:ListSecrets";
const READ: &str = "secretsmanager:GetSecretValue";
const VERSIONS: &str = "secretsmanager:ListSecretVersionIds";

impl SecretIndex {
    /// Searches one region for secrets that hold access keys.
    pub(super) async fn search(
        &self,
        calls: &Calls<'_>,
        region: usize,
        reads_left: &mut usize,
        found: &mut Found,
    ) -> Result<(), Failure> {
        let finding = &self.finding;
        // Any of the keys suffices (AWS: Secrets Manager API, `Filter`).
        let filter = Filter::builder()
            .key(FilterNameStringType::TagKey)
            .values(&finding.holds_tag)
            .values(&finding.key_id_tag)
            .values(&finding.strategy_tag)
            .build();
        let secrets = calls
            .pages(LIST, |token| {
                let filter = filter.clone();
                async move {
                    let client = calls.account.secretsmanager(region);
                    let request = client.list_secrets().filters(filter).set_next_token(token);
                    let page = calls.call((LIST, region), request.send()).await?;
                    Ok((page.secret_list.unwrap_or_default(), page.next_token))
                }
            })
            .await?;
        for secret in secrets.into_iter().filter_map(|entry| Listed::of_entry(region, entry)) {
            // A login opens nothing that a search for keys asks for.
            if !secret.names_login_inside(finding) {
                self.take(calls, &secret, reads_left, found).await?;
            }
        }
        Ok(())
    }

    /// Lists one region's secrets into `sink`, page by page, those that are scheduled for deletion too.
    pub(super) async fn list_region(
        &self,
        calls: &Calls<'_>,
        region: usize,
        reads_left: &mut usize,
        found: &mut Found,
        sink: &mut dyn InventorySink,
    ) -> Result<(), Failure> {
        let client = calls.account.secretsmanager(region);
        let mut token = None;
        for _ in 0..calls.account.limits.pages {
            let request = client.list_secrets().include_planned_deletion(true);
            let page = calls.call((LIST, region), request.set_next_token(token).send()).await?;
            let mut identities = Vec::new();
            for entry in page.secret_list.unwrap_or_default() {
                identities.extend(self.listed(calls, region, entry, reads_left, found).await?);
            }
            sink.page(identities).await?;
            token = page.next_token;
            if token.is_none() {
                return Ok(());
            }
        }
        Err(too_many_pages(LIST, calls.account.limits.pages))
    }

    /// A replica is no secret of its own.
    async fn listed(
        &self,
        calls: &Calls<'_>,
        region: usize,
        entry: SecretListEntry,
        reads_left: &mut usize,
        found: &mut Found,
    ) -> Result<Option<Identity>, Failure> {
        let here = &calls.account.regions[region];
        let Some(secret) = Listed::of_entry(region, entry) else { return Ok(None) };
        if secret.replica_of(here).is_some() {
            return Ok(None);
        }
        let contents = self.take(calls, &secret, reads_left, found).await?;
        Ok(Some(secret.identity(calls.id(), here, &self.finding, contents)))
    }

    /// Looks one secret up by its name or ARN in a region; that of a replica finds its primary.
    pub(crate) async fn find(
        &self,
        calls: &Calls<'_>,
        region: usize,
        id: &str,
    ) -> Result<Option<Identity>, Failure> {
        let mut at = (region, id.to_owned());
        // A primary is no replica: two turns are enough.
        for _ in 0..2 {
            let (region, id) = &at;
            let here = &calls.account.regions[*region];
            let client = calls.account.secretsmanager(*region);
            let request = client.describe_secret().secret_id(id).send();
            let answer =
                present(calls.call(("secretsmanager:DescribeSecret", *region), request).await)?;
            let described = answer.and_then(|answer| Listed::of_description(*region, answer));
            let Some(secret) = described else { return Ok(None) };
            let Some(primary) = secret.replica_of(here) else {
                let mut found = Found::default();
                let contents = self.take(calls, &secret, &mut 2, &mut found).await?;
                return Ok(Some(secret.identity(calls.id(), here, &self.finding, contents)));
            };
            let number = calls.account.regions.iter().position(|it| it == primary);
            let Some(number) = number else { return Ok(None) };
            let arn = secret.arn.replacen(&format!(":{here}:"), &format!(":{primary}:"), 1);
            at = (number, arn);
        }
        Ok(None)
    }

    /// Takes in what a secret holds, as far as its tags tell or its value is declared to.
    async fn take(
        &self,
        calls: &Calls<'_>,
        secret: &Listed,
        reads_left: &mut usize,
        found: &mut Found,
    ) -> Result<Contents, Failure> {
        let place = || Place::new(&secret.arn, secret.region, secret.state());
        for id in secret.keys_in_tag(&self.finding) {
            found.places.add(&id, place());
        }
        let inside = secret.names_key_inside(&self.finding);
        if !(inside || secret.names_login_inside(&self.finding)) || !secret.is_readable() {
            let stored = self.stored(calls, secret).await?;
            return Ok(Contents { stored, ..Contents::default() });
        }
        let contents = self.contents(calls, secret, reads_left).await?;
        if let Some(key_id) = &contents.key_id {
            found.places.add(key_id, place());
        }
        found.read.insert(secret.arn.clone(), (secret.state(), contents.clone()));
        Ok(contents)
    }

    /// What a secret's value says: from memory while the secret has not changed.
    async fn contents(
        &self,
        calls: &Calls<'_>,
        secret: &Listed,
        reads_left: &mut usize,
    ) -> Result<Contents, Failure> {
        let arn = &secret.arn;
        let before = self.known().found.read.get(arn).cloned();
        if let Some((_, contents)) = before.filter(|(at, _)| *at == secret.state()) {
            return Ok(contents);
        }
        if *reads_left == 0 {
            tracing::warn!(account = %calls.id(), secret = arn, "not read: aws.limits.secret_reads");
            return Ok(Contents::default());
        }
        *reads_left -= 1;
        if secret.names_key_inside(&self.finding) {
            // So that a key that was made and is not current yet is known to be ours, and one that has its grace
            // to be handed out.
            let waiting = secret.waiting().map(|id| (id, PENDING));
            let before = secret.labelled(PREVIOUS).map(|id| (id, PREVIOUS));
            for (id, label) in waiting.into_iter().chain(before) {
                if self.held(&(arn.clone(), id.to_owned())).is_none() {
                    let value = self.value(calls, secret.region, arn, Some(label)).await;
                    tolerant(calls, secret, value)?;
                }
            }
        }
        let value = self.value(calls, secret.region, arn, None).await;
        let Some(value) = tolerant(calls, secret, value)? else {
            return Ok(Contents::default());
        };
        let text = value.text.as_ref();
        let login = text
            .filter(|_| secret.names_login_inside(&self.finding))
            .and_then(|text| login_name(text, secret.is_alternating(&self.finding)));
        Ok(Contents { key_id: value.key.map(|held| held.id), login, stored: value.stored })
    }

    /// When the current version was stored, of a secret whose value is not read and whose rotations AWS does
    /// not date: those that Severance did.
    async fn stored(
        &self,
        calls: &Calls<'_>,
        secret: &Listed,
    ) -> Result<Option<DateTime<Utc>>, Failure> {
        let is_told = matches!(
            secret.strategy(&self.finding),
            Strategy::Webhook { .. } | Strategy::Database { .. }
        );
        let Some(current) = secret.labelled(CURRENT).filter(|id| is_told && is_ours(id)) else {
            return Ok(None);
        };
        let arn = secret.arn.as_str();
        let client = calls.account.secretsmanager(secret.region);
        let listed = calls
            .pages(VERSIONS, |token| async move {
                let request = client.list_secret_version_ids().secret_id(arn).set_next_token(token);
                let page = calls.call((VERSIONS, secret.region), request.send()).await?;
                Ok((page.versions.unwrap_or_default(), page.next_token))
            })
            .await;
        let listed = tolerant(calls, secret, listed)?.unwrap_or_default();
        let version = listed.into_iter().find(|it| it.version_id.as_deref() == Some(current));
        Ok(version.and_then(|version| version.created_date.as_ref().map(time)))
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
        Ok(self.value(calls, region, arn, stage).await?.key)
    }

    async fn value(
        &self,
        calls: &Calls<'_>,
        region: usize,
        arn: &str,
        stage: Option<&str>,
    ) -> Result<Value, Failure> {
        let request = calls.account.secretsmanager(region).get_secret_value().secret_id(arn);
        let request = request.set_version_stage(stage.map(str::to_owned)).send();
        let answer = calls.call((READ, region), request).await?;
        let text = answer.secret_string.map(Secret::new);
        let key = text.as_ref().and_then(|json| held_key(json, &self.finding.fields));
        if let (Some(key), Some(version)) = (&key, answer.version_id) {
            let held = Held::AccessKey { key_id: key.id.clone() };
            self.remember((arn.to_owned(), version), held);
        }
        Ok(Value { text, key, stored: answer.created_date.as_ref().map(time) })
    }
}

/// What cannot be read, and will not be by asking again, holds nothing that is known.
fn tolerant<T>(
    calls: &Calls<'_>,
    secret: &Listed,
    answer: Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(failure) if is_final(&failure) => {
            tracing::warn!(account = %calls.id(), secret = secret.arn, %failure, "not readable");
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// A version's value, wiped when it is dropped.
struct Value {
    text: Option<Secret>,
    key: Option<HeldKey>,
    stored: Option<DateTime<Utc>>,
}
