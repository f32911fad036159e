//! A secret as a listing or a description shows it, and what becomes of it: an identity of the inventory.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::types::{SecretListEntry, Tag};
use chrono::{DateTime, Utc};
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::plan::{Identity, IdentityDetail, SecretDetail};
use severance_lifecycle::secret::{Holding, Strategy, is_ours};
use severance_lifecycle::secret_view::{CURRENT, PENDING};

use super::Contents;
use crate::config::SecretFinding;
use crate::reads::time;

/// A secret as a listing or a description shows it.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(super) arn: String,
    pub(super) name: String,
    /// Which of the account's regions it was seen in.
    pub(super) region: usize,
    /// The region of the primary, where it has replicas or is one.
    primary: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    /// Versions with their labels.
    versions: HashMap<String, Vec<String>>,
    /// When it last changed.
    changed: DateTime<Utc>,
    created: DateTime<Utc>,
    last_rotated: Option<DateTime<Utc>>,
    deleted_at: Option<DateTime<Utc>>,
    owning_service: Option<String>,
}

/// A state of a secret. What is told in whole seconds misses a change within one: a value that is stored is
/// another version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    changed: DateTime<Utc>,
    current: Option<String>,
}

impl Listed {
    pub(super) fn of_entry(region: usize, entry: SecretListEntry) -> Option<Self> {
        Some(Self {
            arn: entry.arn?,
            name: entry.name?,
            region,
            primary: entry.primary_region,
            tags: tags(entry.tags),
            versions: entry.secret_versions_to_stages.unwrap_or_default(),
            changed: entry.last_changed_date.as_ref().map(time).unwrap_or_default(),
            created: entry.created_date.as_ref().map(time).unwrap_or_default(),
            last_rotated: entry.last_rotated_date.as_ref().map(time),
            deleted_at: entry.deleted_date.as_ref().map(time),
            owning_service: entry.owning_service,
        })
    }

    pub(super) fn of_description(region: usize, answer: DescribeSecretOutput) -> Option<Self> {
        Some(Self {
            arn: answer.arn?,
            name: answer.name?,
            region,
            primary: answer.primary_region,
            tags: tags(answer.tags),
            versions: answer.version_ids_to_stages.unwrap_or_default(),
            changed: answer.last_changed_date.as_ref().map(time).unwrap_or_default(),
            created: answer.created_date.as_ref().map(time).unwrap_or_default(),
            last_rotated: answer.last_rotated_date.as_ref().map(time),
            deleted_at: answer.deleted_date.as_ref().map(time),
            owning_service: answer.owning_service,
        })
    }

    /// What tells this state of the secret from the next one.
    pub(super) fn state(&self) -> State {
        State { changed: self.changed, current: self.labelled(CURRENT).map(str::to_owned) }
    }

    /// The region of its primary, where it is a replica in this one.
    pub(super) fn replica_of(&self, here: &str) -> Option<&str> {
        self.primary.as_deref().filter(|primary| *primary != here)
    }

    pub(super) fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }

    pub(super) fn is_readable(&self) -> bool {
        self.deleted_at.is_none()
    }

    /// The version that carries a label.
    pub(super) fn labelled(&self, label: &str) -> Option<&str> {
        let has = |stages: &Vec<String>| stages.iter().any(|stage| stage == label);
        self.versions.iter().find(|(_, stages)| has(stages)).map(|(id, _)| id.as_str())
    }

    /// A version that Severance stored and that waits to be made current.
    pub(super) fn waiting(&self) -> Option<&str> {
        let current = self.labelled(CURRENT);
        self.labelled(PENDING).filter(|id| is_ours(id) && Some(*id) != current)
    }

    /// Ids of access keys in its tag, those that an earlier version held too.
    pub(super) fn keys_in_tag(&self, finding: &SecretFinding) -> Vec<String> {
        let ids = self.tag(&finding.key_id_tag).unwrap_or_default();
        ids.split_whitespace().map(str::to_owned).collect()
    }

    /// Ids of access keys that it hands out, as its tag has them. Once Severance has stored the current
    /// version, the tag is older than that.
    fn tagged_keys(&self, finding: &SecretFinding) -> Vec<String> {
        let is_older = self.labelled(CURRENT).is_some_and(is_ours);
        if is_older { Vec::new() } else { self.keys_in_tag(finding) }
    }

    /// Whether its value is to be read for the id of the key: it is declared to hold one, and no tag says
    /// which.
    pub(super) fn names_key_inside(&self, finding: &SecretFinding) -> bool {
        let declared = self.tag(&finding.holds_tag) == Some(&finding.holds_value)
            || self.strategy(finding) == Strategy::IamAccessKey
            || self.tag(&finding.key_id_tag).is_some();
        declared && self.tagged_keys(finding).is_empty()
    }

    /// Whether its value is to be read for the name of the login.
    pub(super) fn names_login_inside(&self, finding: &SecretFinding) -> bool {
        matches!(self.strategy(finding), Strategy::Database { .. })
            && self.tag(&finding.login_tag).is_none()
    }

    pub(super) fn is_alternating(&self, finding: &SecretFinding) -> bool {
        self.strategy(finding) == Strategy::Database { alternating: true }
    }

    pub(super) fn strategy(&self, finding: &SecretFinding) -> Strategy {
        finding.strategy_keys().read(&self.tags)
    }

    /// As the inventory keeps it.
    pub(super) fn identity(
        self,
        account: &AccountId,
        region: &str,
        finding: &SecretFinding,
        contents: Contents,
    ) -> Identity {
        let strategy = self.strategy(finding);
        let keys = self.tagged_keys(finding).into_iter().chain(contents.key_id);
        let tagged = self.tag(&finding.login_tag).map(str::to_owned);
        let login = tagged.or(contents.login).map(|login| Holding::Login { login });
        let holds = keys.map(|key_id| Holding::AccessKey { key_id }).chain(login).collect();
        Identity {
            account: account.clone(),
            unique_id: self.arn.clone(),
            arn: self.arn,
            name: self.name,
            created: self.created,
            tags: self.tags,
            detail: IdentityDetail::Secret(SecretDetail {
                region: region.to_owned(),
                strategy,
                holds,
                // AWS dates the rotations of its functions alone.
                last_rotated: self.last_rotated.max(contents.stored),
                deleted_at: self.deleted_at,
                owning_service: self.owning_service,
            }),
        }
    }
}

fn tags(tags: Option<Vec<Tag>>) -> BTreeMap<String, String> {
    let pairs = tags.unwrap_or_default().into_iter();
    pairs.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect()
}
