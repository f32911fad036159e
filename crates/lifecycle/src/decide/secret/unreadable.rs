//! Versions that we may not read: nothing is built on what they may hold, and nothing is called over because
//! it was not seen.

use super::Here;
use crate::decide::{Check, Decision};
use crate::secret::Issuer;
use crate::secret_view::VersionState;
use crate::task::BlockReason;

impl Here<'_> {
    /// Whether nobody can tell what a version holds: it cannot be read, and this task did not see it accepted
    /// before.
    pub(super) fn is_unknown(&self, version: &VersionState) -> bool {
        version.unreadable().is_some() && self.rotation().new.as_ref() != Some(&version.id)
    }

    /// What is handed out cannot be told, and so not replaced. What is exposed and known dies when it is time;
    /// see [`unless_overdue`](Self::unless_overdue).
    pub(super) fn current_is_unknown(&self) -> Check {
        let current = self.view.current().filter(|current| self.is_unknown(current))?;
        Some(unread(current, ""))
    }

    /// Where whoever had the secret knows what a version holds that we may not read, a key of the user that
    /// works and is in no other version may be it. Nobody can say that it is: a person is asked.
    pub(super) fn unread_key_may_work(&self) -> Check {
        let Issuer::AccessKey { .. } = self.issuer else { return None };
        let burnt = || self.view.versions.iter().filter(|version| self.is_burnt(version));
        let unheld = self.view.user_keys().iter().filter(|key| {
            let is_held = self.view.holders(&key.state.id).next().is_some();
            key.state.status.is_active() && !key.elsewhere && !is_held
        });
        let mut unheld = unheld.filter(|key| !self.is_old_key(&key.state.id));
        unheld.find_map(|key| {
            let version = burnt().find(|version| version.may_hide(&key.state))?;
            Some(unread(version, &format!("; it may hold {}, which works", key.state.id)))
        })
    }
}

fn unread(version: &VersionState, more: &str) -> Decision {
    let why = version.unreadable().unwrap_or("it cannot be read");
    let why = format!("version {}: {why}{more}", version.id);
    Decision::Blocked(BlockReason::UnfitValue { field: "value".to_owned(), why })
}
