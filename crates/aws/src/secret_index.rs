//! Which secret holds which access key: places, never values.
//!
//! Built from tags (and, for secrets that are tagged as holding a key without saying which, from the
//! key id in their JSON), refreshed with the inventory. A key that is not in it causes one refresh, and
//! an account is refreshed by misses at most once a minute, so that looks stay free of such calls.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, SecretListEntry};
use chrono::{DateTime, TimeDelta, Utc};
use severance_lifecycle::failure::Failure;

use crate::calls::Calls;
use crate::config::SecretFinding;
use crate::failure;
use crate::secret_value::{HeldKey, Secret, held_key};

/// How old an index is taken as it is when a key is not in it.
const FRESH: TimeDelta = TimeDelta::minutes(1);

pub(crate) struct SecretIndex {
    finding: SecretFinding,
    known: Mutex<Known>,
    /// Held while the index is refreshed: many misses make one refresh.
    refreshing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    places: HashMap<String, Place>,
    /// Key ids found in JSON, by secret, with the change that they were read at.
    read: HashMap<String, (i64, Option<String>)>,
    /// Keys that a refresh did not find.
    missing: HashSet<String>,
    refreshed: Option<DateTime<Utc>>,
}

/// Where a key's secret half is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The secret.
    pub(crate) arn: String,
    /// Which of the account's regions it is in.
    pub(crate) region: usize,
    /// When it last changed, in seconds: what was found unusable may be good after a change.
    changed: i64,
    /// What it holds cannot be read or is wrong.
    unusable: bool,
}

impl SecretIndex {
    pub(crate) fn new(finding: SecretFinding) -> Self {
        Self { finding, known: Mutex::default(), refreshing: tokio::sync::Mutex::default() }
    }

    /// Whether a secret that we may read is known to hold the key's secret half.
    pub(crate) async fn holds(&self, calls: &Calls<'_>, key_id: &str) -> bool {
        if !self.finding.enabled {
            return false;
        }
        if let Some(answer) = self.answer(calls, key_id) {
            return answer;
        }
        if let Err(failure) = self.refresh_if_old(calls).await {
            // Not recorded as a miss: the next look asks again.
            tracing::warn!(account = %calls.id(), %failure, "secrets cannot be searched");
            return false;
        }
        let mut known = self.known();
        let found = known.places.get(key_id).is_some_and(|place| !place.unusable);
        if !found {
            known.missing.insert(key_id.to_owned());
        }
        found
    }

    /// What is known without a call; `None` where a refresh might tell.
    fn answer(&self, calls: &Calls<'_>, key_id: &str) -> Option<bool> {
        let known = self.known();
        if let Some(place) = known.places.get(key_id) {
            return Some(!place.unusable);
        }
        let missed = known.missing.contains(key_id);
        let fresh = known.refreshed.is_some_and(|at| calls.now() - at < FRESH);
        (missed || fresh).then_some(false)
    }

    /// Where the key's secret half is.
    pub(crate) fn place(&self, key_id: &str) -> Option<Place> {
        self.known().places.get(key_id).filter(|place| !place.unusable).cloned()
    }

    /// The secret cannot be read, or what it holds is wrong: the key is not probeable by it until the
    /// secret changes.
    pub(crate) fn is_unusable(&self, key_id: &str) {
        if let Some(place) = self.known().places.get_mut(key_id) {
            place.unusable = true;
        }
    }

    async fn refresh_if_old(&self, calls: &Calls<'_>) -> Result<(), Failure> {
        let one = self.refreshing.lock().await;
        let fresh = self.known().refreshed.is_some_and(|at| calls.now() - at < FRESH);
        if fresh { Ok(()) } else { self.fill(calls, one).await }
    }

    /// Builds the index anew.
    pub(crate) async fn refresh(&self, calls: &Calls<'_>) -> Result<(), Failure> {
        if !self.finding.enabled {
            return Ok(());
        }
        let one = self.refreshing.lock().await;
        self.fill(calls, one).await
    }

    async fn fill(
        &self,
        calls: &Calls<'_>,
        _one: tokio::sync::MutexGuard<'_, ()>,
    ) -> Result<(), Failure> {
        let mut places = HashMap::new();
        let mut read = HashMap::new();
        let mut reads_left = calls.account.limits.secret_reads;
        for region in 0..calls.account.regions.len() {
            for secret in list(calls, region, &[tag_key(&self.finding.holds_tag)]).await? {
                let (Some(arn), changed) = (secret.arn.clone(), changed(&secret)) else { continue };
                if tag(&secret, &self.finding.holds_tag) != Some(&self.finding.holds_value) {
                    continue;
                }
                let key_id = self.key_in(calls, region, &arn, changed, &mut reads_left).await?;
                if let Some(key_id) = &key_id {
                    places.insert(key_id.clone(), Place::new(&arn, region, changed));
                }
                read.insert(arn, (changed, key_id));
            }
            for secret in list(calls, region, &[tag_key(&self.finding.key_id_tag)]).await? {
                let ids = tag(&secret, &self.finding.key_id_tag).unwrap_or_default();
                let Some(arn) = &secret.arn else { continue };
                for id in ids.split_whitespace() {
                    places.insert(id.to_owned(), Place::new(arn, region, changed(&secret)));
                }
            }
        }
        let mut known = self.known();
        for (id, place) in &mut places {
            let before = known.places.get(id);
            place.unusable = before
                .is_some_and(|b| b.unusable && b.arn == place.arn && b.changed == place.changed);
        }
        *known = Known { places, read, missing: HashSet::new(), refreshed: Some(calls.now()) };
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
        let before = self.known().read.get(arn).filter(|(at, _)| *at == changed).cloned();
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

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn new(arn: &str, region: usize, changed: i64) -> Self {
        Self { arn: arn.to_owned(), region, changed, unusable: false }
    }
}

/// Whether the secret cannot be read and asking again will not help.
pub(crate) fn is_final(failure: &Failure) -> bool {
    use severance_lifecycle::failure::FailureClass::{Cannot, Gone, Replan};
    matches!(failure.class, Cannot | Gone | Replan) && !failure::is_ours(failure)
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
