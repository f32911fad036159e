//! Secrets Manager's secrets.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::Tags;

#[derive(Debug)]
pub(crate) struct Secret {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) kms_key: Option<String>,
    pub(crate) created: DateTime<Utc>,
    pub(crate) changed: DateTime<Utc>,
    pub(crate) accessed: Option<DateTime<Utc>>,
    pub(crate) tags: Tags,
    /// By version id.
    pub(crate) versions: BTreeMap<String, SecretVersion>,
}

#[derive(Debug)]
pub(crate) struct SecretVersion {
    pub(crate) value: SecretValue,
    pub(crate) created: DateTime<Utc>,
    pub(crate) stages: BTreeSet<String>,
}

/// A secret's value, as it came.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum SecretValue {
    Text(String),
    /// Base64, as the protocol carries it.
    Binary(String),
}

impl std::fmt::Debug for SecretValue {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("SecretValue(…)")
    }
}

impl Secret {
    /// The version that carries `stage`.
    pub(crate) fn staged(&self, stage: &str) -> Option<(&String, &SecretVersion)> {
        self.versions.iter().find(|(_, version)| version.stages.contains(stage))
    }
}
