//! What versions of secrets hold: names, kept while the process lives, since a version never changes.

use std::collections::{HashMap, HashSet};
use std::sync::{MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use severance_lifecycle::secret::is_ours;
use severance_lifecycle::secret_view::Held;

use super::SecretIndex;

/// For so long a version that could not be read is not asked for again.
const UNREAD: TimeDelta = TimeDelta::minutes(1);

/// Versions of no use, by ARN and version.
#[derive(Default)]
pub(super) struct Useless {
    /// Could not be read: when that was, and why.
    unread: HashMap<(String, String), (DateTime<Utc>, String)>,
    /// What they hold is not the secret half of the key that they name.
    wrong: HashSet<(String, String)>,
}

impl SecretIndex {
    /// Why a version could not be read a moment ago.
    pub(crate) fn unreadable(
        &self,
        version: &(String, String),
        now: DateTime<Utc>,
    ) -> Option<String> {
        let useless = self.useless();
        // Our own clock may have been set back.
        let is_fresh = |at: &DateTime<Utc>| (now - at).abs() < UNREAD;
        useless.unread.get(version).filter(|(at, _)| is_fresh(at)).map(|(_, why)| why.clone())
    }

    /// A version could not be read.
    pub(crate) fn is_unreadable(&self, version: (String, String), why: &str, now: DateTime<Utc>) {
        let mut useless = self.useless();
        useless.unread.retain(|_, (at, _)| (now - *at).abs() < UNREAD);
        useless.unread.insert(version, (now, why.to_owned()));
    }

    /// The secret half that a version holds was tried, and is wrong.
    pub(super) fn is_wrong(&self, version: (String, String)) {
        self.useless().wrong.insert(version);
    }

    fn useless(&self) -> MutexGuard<'_, Useless> {
        self.useless.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Versions that are known to hold the key, with the ARNs of their secrets.
    pub(super) fn holding(&self, key_id: &str) -> impl Iterator<Item = (String, String)> + use<> {
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |held: &Held| matches!(held, Held::AccessKey { key_id: id } if id == key_id);
        let useless = self.useless();
        let all = versions.iter().filter(|(it, held)| holds(held) && !useless.wrong.contains(it));
        all.map(|(version, _)| version.clone()).collect::<Vec<_>>().into_iter()
    }

    /// What a version of a secret holds, where it was read before.
    pub(crate) fn held(&self, version: &(String, String)) -> Option<Held> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).get(version).cloned()
    }

    /// Whether a version that Severance stored holds the key, which then is one that it made.
    pub(crate) fn is_ours(&self, key_id: &str) -> bool {
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |held: &Held| matches!(held, Held::AccessKey { key_id: id } if id == key_id);
        versions.iter().any(|((_, version), held)| is_ours(version) && holds(held))
    }

    /// Whether another secret than `arn` is known to hold the key.
    pub(crate) fn is_elsewhere(&self, key_id: &str, arn: &str) -> bool {
        if self.place(key_id).is_some_and(|place| place.arn != arn) {
            return true;
        }
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |held: &Held| matches!(held, Held::AccessKey { key_id: id } if id == key_id);
        versions.iter().any(|((of, _), held)| of != arn && holds(held))
    }

    /// Keeps what a version holds. The names of what it holds, never a value.
    pub(crate) fn remember(&self, version: (String, String), held: Held) {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).insert(version, held);
    }
}
