//! What versions of secrets hold: names, kept while the process lives, since a version never changes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use severance_lifecycle::secret::is_ours;
use severance_lifecycle::secret_view::Held;

use super::SecretIndex;

/// For so long a version that could not be read is not asked for again.
const UNREAD: TimeDelta = TimeDelta::minutes(1);

/// A version of a secret: the ARN and the version's id.
type Version = (String, String);

/// What versions hold, and which hold a key.
#[derive(Default)]
pub(super) struct Versions {
    held: HashMap<Version, Held>,
    of_key: HashMap<String, BTreeSet<Version>>,
}

impl Versions {
    fn holding(&self, key_id: &str) -> impl Iterator<Item = &Version> {
        self.of_key.get(key_id).into_iter().flatten()
    }
}

/// Versions of no use, by ARN and version.
#[derive(Default)]
pub(super) struct Useless {
    /// Could not be read: when that was, and why.
    unread: HashMap<Version, (DateTime<Utc>, String)>,
    /// What they hold is not the secret half of the key that they name.
    wrong: HashSet<Version>,
}

impl SecretIndex {
    /// Why a version could not be read a moment ago.
    pub(crate) fn unreadable(&self, version: &Version, now: DateTime<Utc>) -> Option<String> {
        let useless = self.useless();
        // Our own clock may have been set back.
        let is_fresh = |at: &DateTime<Utc>| (now - at).abs() < UNREAD;
        useless.unread.get(version).filter(|(at, _)| is_fresh(at)).map(|(_, why)| why.clone())
    }

    /// A version could not be read.
    pub(crate) fn is_unreadable(&self, version: Version, why: &str, now: DateTime<Utc>) {
        let mut useless = self.useless();
        useless.unread.retain(|_, (at, _)| (now - *at).abs() < UNREAD);
        useless.unread.insert(version, (now, why.to_owned()));
    }

    /// The secret half that a version holds was tried, and is wrong.
    pub(super) fn is_wrong(&self, version: Version) {
        self.useless().wrong.insert(version);
    }

    fn useless(&self) -> MutexGuard<'_, Useless> {
        self.useless.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Versions that are known to hold the key, with the ARNs of their secrets.
    pub(super) fn holding(&self, key_id: &str) -> Vec<Version> {
        let versions = self.versions();
        let useless = self.useless();
        let of_use = |version: &&Version| !useless.wrong.contains(*version);
        versions.holding(key_id).filter(of_use).cloned().collect()
    }

    /// What a version of a secret holds, where it was read before.
    pub(crate) fn held(&self, version: &Version) -> Option<Held> {
        self.versions().held.get(version).cloned()
    }

    /// Whether a version that Severance stored holds the key, which then is one that it made.
    pub(crate) fn is_ours(&self, key_id: &str) -> bool {
        self.versions().holding(key_id).any(|(_, version)| is_ours(version))
    }

    /// Whether another secret than `arn` is known to hold the key, in whichever of its versions.
    pub(crate) fn is_elsewhere(&self, key_id: &str, arn: &str) -> bool {
        self.known().found.places.of(key_id).iter().any(|place| place.arn != arn)
            || self.versions().holding(key_id).any(|(of, _)| of != arn)
    }

    /// Keeps what a version holds. The names of what it holds, never a value.
    pub(crate) fn remember(&self, version: Version, held: Held) {
        let mut versions = self.versions();
        if let Held::AccessKey { key_id } = &held {
            versions.of_key.entry(key_id.clone()).or_default().insert(version.clone());
        }
        versions.held.insert(version, held);
    }

    fn versions(&self) -> MutexGuard<'_, Versions> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
