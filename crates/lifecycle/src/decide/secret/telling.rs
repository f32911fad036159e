//! Telling an issuer of a new value.

use super::Here;
use crate::decide::Decision;
use crate::secret::Issuer;
use crate::secret_action::SecretAction;
use crate::secret_view::VersionState;

/// Each is read for it. That fewer of them are tried is the issuer's to see to.
const MOST_OTHERS: usize = 5;

impl<'a> Here<'a> {
    pub(super) fn set(&self, new: &VersionState, reason: &str) -> Decision {
        let version = new.id.clone();
        let from = self.old().map(|old| old.version.clone()).unwrap_or_default();
        let others = self.others_of_its_login(new, &from);
        self.act(SecretAction::Set { version, from, others }, reason)
    }

    /// One login without an administrator is changed by whoever is let in as it. A rotation that was cut
    /// short may have told the server of a value that no label is on any more.
    fn others_of_its_login(&self, new: &VersionState, from: &str) -> Vec<String> {
        let Issuer::Database { alternating: false } = self.issuer else { return Vec::new() };
        let Some(login) = new.login() else { return Vec::new() };
        let others = self.versions_of_login(login, &[&new.id, from]);
        others.take(MOST_OTHERS).map(str::to_owned).collect()
    }

    /// Versions that hold a password of a login, the newest first.
    pub(super) fn versions_of_login(
        &self,
        login: &str,
        but: &[&str],
    ) -> impl Iterator<Item = &'a str> + use<'a> {
        let is_other =
            |it: &&VersionState| it.login() == Some(login) && !but.contains(&it.id.as_str());
        let mut others: Vec<_> = self.view.versions.iter().filter(is_other).collect();
        others.sort_by_key(|it| std::cmp::Reverse((it.created, &it.id)));
        others.into_iter().map(|it| it.id.as_str())
    }
}
