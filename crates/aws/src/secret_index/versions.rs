//! What versions of secrets hold: names, kept while the process lives, since a version never changes.

use std::sync::PoisonError;

use severance_lifecycle::secret::is_ours;
use severance_lifecycle::secret_view::Held;

use super::SecretIndex;

impl SecretIndex {
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
