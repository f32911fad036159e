//! Rotations that give way to another case: one that has the secret end, or the user whose key it holds.

use super::Here;
use crate::decide::{Check, Decision, first};
use crate::secret::Issuer;
use crate::task::BlockReason;

impl Here<'_> {
    /// Where another case has the secret end or its user revoked, a routine rotation makes nothing new: what
    /// it made is ended there, and only what it lost it takes away itself.
    pub(super) fn gives_way(&self) -> Check {
        if self.is_exposed() {
            return None;
        }
        let ended = self.situation.policy.holds.target.then_some(BlockReason::EndedByAnotherCase);
        let reason = ended.or_else(|| self.revoked_user())?;
        let orphan = if self.is_readable() { self.orphan_is_left() } else { None };
        Some(orphan.unwrap_or(Decision::Blocked(reason)))
    }

    /// What is exposed dies all the same, but a user that is revoked gets no new key: it would work until
    /// somebody looked again.
    pub(super) fn nothing_may_follow(&self) -> Check {
        let reason = self.revoked_user()?;
        if self.handed_out().is_some() {
            return None;
        }
        let checks: [&dyn Fn() -> Check; 5] = [
            &|| self.orphan_is_left(),
            &|| self.old_credential_dies(),
            &|| self.other_burnt_keys_die(),
            &|| self.burnt_labels_are_off(),
            &|| Some(Decision::Blocked(reason.clone())),
        ];
        first(self.record(), self.now, &checks)
    }

    fn revoked_user(&self) -> Option<BlockReason> {
        match self.issuer {
            Issuer::AccessKey { user } if self.situation.policy.holds.user => {
                Some(BlockReason::UserIsRevoked { user: user.name.clone() })
            }
            _ => None,
        }
    }
}
