//! What was seen of a secret, its versions and the issuer's side of them. Never a value.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::observe::{KeyState, KeyView, Presence};

/// The label of the version that is handed out.
pub const CURRENT: &str = "AWSCURRENT";
/// The label of the version that is being made.
pub const PENDING: &str = "AWSPENDING";
/// The label of the version that was current before.
pub const PREVIOUS: &str = "AWSPREVIOUS";

/// IAM tells when a key was made in whole seconds.
pub(crate) const KEY_ROUNDING: TimeDelta = TimeDelta::seconds(1);

/// What was seen of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretView {
    /// Whether it is there, under its ARN.
    pub secret: Presence,
    /// When it is to be deleted, where that is scheduled: it cannot be read until it is restored.
    pub deleted_at: Option<DateTime<Utc>>,
    /// The AWS service that manages it; nobody else may change it.
    pub owning_service: Option<String>,
    /// Whether a rotation function is set and enabled.
    pub has_function: bool,
    /// Versions with a label, and every one that Severance stored; where it is exposed or ends, every one.
    pub versions: Vec<VersionState>,
    /// Its replicas.
    pub replicas: Vec<ReplicaState>,
    /// Whether this case's deny stands in the resource policy as it was put.
    pub denied: bool,
    /// The keys of the user whose key it holds.
    pub keys: Option<UserKeys>,
}

/// One version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionState {
    /// Its id.
    pub id: String,
    /// Its stage labels.
    pub stages: BTreeSet<String>,
    /// When it was stored.
    pub created: DateTime<Utc>,
    /// What it holds.
    pub held: Held,
}

/// What a version holds, as far as it may be told.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "held", rename_all = "kebab-case")]
pub enum Held {
    /// An access key.
    AccessKey {
        /// `AKIA…`
        key_id: String,
    },
    /// A login.
    Login {
        /// The user's name at the issuer.
        username: String,
    },
    /// Something whose name is not told by its value.
    Opaque,
    /// It may not be read, and asking again will not help: what it holds is not known.
    Unreadable {
        /// Why.
        why: String,
    },
    /// Not what the strategy needs.
    Unfit {
        /// The field that is wrong, or `value` for the whole of it.
        field: String,
        /// What is wrong with it.
        why: String,
    },
}

/// One replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaState {
    /// Its region.
    pub region: String,
    /// Whether it hands out what the primary does.
    pub in_sync: bool,
    /// What AWS says of it where it is not.
    pub status: String,
}

/// The keys of the user whose key a secret holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserKeys {
    /// The user.
    pub user: Presence,
    /// Its keys, all pages.
    pub keys: Vec<UserKey>,
    /// The old key with its sessions and what they reach: the one that the record names, else the one that
    /// is current.
    pub old: Option<KeyView>,
}

/// One of those keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserKey {
    /// The key.
    pub state: KeyState,
    /// Whether it was ever used (AWS: IAM API, `GetAccessKeyLastUsed`). A key whose secret half was lost
    /// never was.
    pub used: bool,
    /// Whether another secret holds it too.
    pub elsewhere: bool,
}

impl SecretView {
    /// The version with a label.
    pub fn labelled(&self, label: &str) -> Option<&VersionState> {
        self.versions.iter().find(|version| version.has(label))
    }

    /// The version that is handed out.
    pub fn current(&self) -> Option<&VersionState> {
        self.labelled(CURRENT)
    }

    /// The version of an id.
    pub fn version(&self, id: &str) -> Option<&VersionState> {
        self.versions.iter().find(|version| version.id == id)
    }

    /// The user's keys; empty for another issuer, and for a user that is gone.
    pub fn user_keys(&self) -> &[UserKey] {
        match &self.keys {
            Some(keys) if keys.user == Presence::Same => &keys.keys,
            _ => &[],
        }
    }

    /// One of the user's keys.
    pub fn user_key(&self, key_id: &str) -> Option<&UserKey> {
        self.user_keys().iter().find(|key| key.state.id == key_id)
    }

    /// Versions that hold a key.
    pub fn holders<'a>(&'a self, key_id: &'a str) -> impl Iterator<Item = &'a VersionState> + 'a {
        self.versions.iter().filter(move |version| version.key_id() == Some(key_id))
    }
}

impl VersionState {
    /// Whether it carries a label.
    pub fn has(&self, label: &str) -> bool {
        self.stages.contains(label)
    }

    /// The access key that it holds.
    pub fn key_id(&self) -> Option<&str> {
        match &self.held {
            Held::AccessKey { key_id } => Some(key_id),
            _ => None,
        }
    }

    /// Why what it holds is not known.
    pub fn unreadable(&self) -> Option<&str> {
        match &self.held {
            Held::Unreadable { why } => Some(why),
            _ => None,
        }
    }

    /// Whether it may hold a key, for all that can be read: none that was made after it was stored.
    pub fn may_hide(&self, key: &KeyState) -> bool {
        self.unreadable().is_some() && key.created <= self.created + KEY_ROUNDING
    }

    /// The login that it holds.
    pub fn login(&self) -> Option<&str> {
        match &self.held {
            Held::Login { username } => Some(username),
            _ => None,
        }
    }
}
