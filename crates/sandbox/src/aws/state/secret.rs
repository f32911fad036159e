//! Secrets Manager's secrets: what one is, in one region.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::labels::Labels;
use super::role::Trust;
use super::rotation::{Rotation, Run};
use super::{Moment, Spread, Tags};
use crate::aws::rotation::RotationFunction;

/// Versions without labels are dropped above this many, and never within a day of their making.
/// AWS: Secrets Manager User Guide, "What's in a Secrets Manager secret?", "Version".
const VERSIONS_KEPT: usize = 100;

/// A secret in one region: a primary, or a replica of one.
#[derive(Debug)]
pub(crate) struct Secret {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) created: DateTime<Utc>,
    /// The day on which its value was last read here.
    pub(crate) accessed: Option<DateTime<Utc>>,
    /// The service that manages it, and alone may write its value.
    pub(crate) owning_service: Option<String>,
    /// When it will be gone, where it was deleted with a recovery window.
    pub(crate) deleted: Option<DateTime<Utc>>,
    /// The primary's region, where this is a replica.
    pub(crate) replica_of: Option<String>,
    /// By region.
    pub(crate) replicas: BTreeMap<String, Replica>,
    /// What its rotation function does, where the sandbox's controls say so.
    pub(crate) function: Option<RotationFunction>,
    /// The rotation that is under way.
    pub(crate) run: Option<Run>,
    pub(crate) content: Content,
}

/// What a primary passes on to its replicas.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) description: Option<String>,
    pub(crate) kms_key: Option<String>,
    pub(crate) changed: DateTime<Utc>,
    pub(crate) tags: Tags,
    /// By version id.
    pub(crate) versions: BTreeMap<String, SecretVersion>,
    pub(crate) labels: Spread<Arc<Labels>>,
    pub(crate) policy: Spread<Option<Arc<Trust>>>,
    pub(crate) rotation: Rotation,
}

#[derive(Debug, Clone)]
pub(crate) struct SecretVersion {
    /// `None` until a rotation that has been started stores it.
    pub(crate) value: Option<SecretValue>,
    pub(crate) created: DateTime<Utc>,
    pub(crate) accessed: Option<DateTime<Utc>>,
    pub(crate) kms_key: Option<String>,
}

/// A secret's value, as it came.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum SecretValue {
    Text(Arc<str>),
    /// Base64, as the protocol carries it.
    Binary(Arc<str>),
}

impl std::fmt::Debug for SecretValue {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("SecretValue(…)")
    }
}

/// How a replica stands, as its primary shows it.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    pub(crate) kms_key: Option<String>,
    pub(crate) status: ReplicaStatus,
    /// Changes that are on their way to it.
    pub(crate) under_way: usize,
    /// The number of the newest change that has arrived.
    pub(crate) arrived: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReplicaStatus {
    InProgress,
    InSync,
    Failed(String),
}

impl Secret {
    /// A secret without versions.
    pub(crate) fn new(arn: String, (region, name): (&str, &str), now: DateTime<Utc>) -> Self {
        Self {
            arn,
            name: name.to_owned(),
            region: region.to_owned(),
            created: now,
            accessed: None,
            owning_service: None,
            deleted: None,
            replica_of: None,
            replicas: BTreeMap::new(),
            function: None,
            run: None,
            content: Content {
                description: None,
                kms_key: None,
                changed: now,
                tags: Tags::new(),
                versions: BTreeMap::new(),
                labels: Spread::settled(Arc::default()),
                policy: Spread::settled(None),
                rotation: Rotation::default(),
            },
        }
    }

    /// The region of the primary, where there is more than one region to tell apart.
    pub(crate) fn primary_region(&self) -> Option<&str> {
        let own = (!self.replicas.is_empty()).then_some(self.region.as_str());
        self.replica_of.as_deref().or(own)
    }
}

impl Content {
    /// The version that carries `label`, as the control plane shows it.
    pub(crate) fn labelled(&self, label: &str) -> Option<&str> {
        self.labels.latest().version(label)
    }

    /// Moves labels about; the move holds for readers once it has spread.
    pub(crate) fn relabel(&mut self, at: &Moment, change: impl FnOnce(&mut Labels)) {
        let before = self.labels.latest();
        let mut labels = before.as_ref().clone();
        change(&mut labels);
        if labels != **before {
            self.labels.set(Arc::new(labels), at);
        }
        self.collect(at.now);
    }

    /// Stores a version under its id; its labels are moved to it.
    pub(crate) fn store(
        &mut self,
        id: &str,
        value: Option<SecretValue>,
        labels: &[String],
        at: &Moment,
    ) {
        let kms_key = self.kms_key.clone();
        let version = SecretVersion { value, created: at.now, accessed: None, kms_key };
        self.versions.insert(id.to_owned(), version);
        self.changed = at.now;
        self.relabel(at, |all| labels.iter().for_each(|label| all.attach(label, id)));
    }

    /// The version of a rotation that was begun and not brought to its end: `AWSPENDING` is on a
    /// version that is not current.
    pub(crate) fn pending(&self) -> Option<&str> {
        let pending = self.labelled("AWSPENDING")?;
        (self.labelled("AWSCURRENT") != Some(pending)).then_some(pending)
    }

    /// Drops the oldest versions without labels, where there are too many.
    fn collect(&mut self, now: DateTime<Utc>) {
        let surplus = self.versions.len().saturating_sub(VERSIONS_KEPT);
        if surplus == 0 {
            return;
        }
        let labels = self.labels.latest().clone();
        let mut old: Vec<(DateTime<Utc>, String)> = self
            .versions
            .iter()
            .filter(|(id, version)| {
                version.created + TimeDelta::hours(24) <= now && labels.of(id).is_empty()
            })
            .map(|(id, version)| (version.created, id.clone()))
            .collect();
        old.sort();
        for (_, id) in old.into_iter().take(surplus) {
            self.versions.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(hour: i64) -> Moment {
        Moment {
            now: DateTime::UNIX_EPOCH + TimeDelta::hours(hour),
            delay: TimeDelta::zero(),
            settled_until: DateTime::<Utc>::MIN_UTC,
        }
    }

    #[test]
    fn versions_without_labels_go_when_there_are_many_and_they_are_a_day_old() {
        let mut secret = Secret::new(String::new(), ("r", "n"), moment(0).now).content;
        let current = ["AWSCURRENT".to_owned()];
        for number in 0..150 {
            secret.store(&format!("{number:03}"), None, &current, &moment(0));
        }
        assert_eq!(secret.versions.len(), 150, "none is a day old");
        secret.store("kept", None, &["mine".to_owned()], &moment(0));
        secret.store("next", None, &current, &moment(25));
        assert_eq!(secret.versions.len(), 100);
        assert!(!secret.versions.contains_key("000") && secret.versions.contains_key("149"));
        assert!(secret.versions.contains_key("kept"), "what carries a label stays");
    }
}
