//! Rotations that give way: to another case that has the secret end, or the user whose key it holds, and to
//! whoever scheduled the secret for deletion.

use chrono::{DateTime, Utc};

use super::Here;
use crate::decide::{Check, Decision, first};
use crate::secret::Issuer;
use crate::task::{BlockReason, Verification};

impl Here<'_> {
    /// Where another case has the secret end or its user revoked, a routine rotation makes nothing new: what
    /// it made is ended there, and only what it lost it takes away itself.
    pub(super) fn gives_way(&self) -> Check {
        if self.is_exposed() {
            return None;
        }
        let holds = self.situation.policy.holds;
        // What that case had hidden and proven dead is restored: somebody needs it, and it hands out what is
        // dead. Where the case is still to hide it again, it ends what was made meanwhile, too.
        let is_back = holds.ended && self.is_readable();
        let ended = (holds.target && !is_back).then_some(BlockReason::EndedByAnotherCase);
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

    /// Scheduled for deletion: as long as it is, nothing can follow, nor is missed. What is exposed dies at
    /// once; restored, the secret gets what follows it.
    pub(super) fn ends_hidden(&self, since: DateTime<Utc>) -> Decision {
        let hidden = Decision::Blocked(BlockReason::ScheduledForDeletion { since });
        if !self.is_exposed() {
            return hidden;
        }
        if self.ended_before() {
            return Decision::Done(Verification::ControlPlane);
        }
        let checks: [&dyn Fn() -> Check; 6] = [
            &|| self.old_credential_dies(),
            &|| self.other_burnt_keys_die(),
            &|| self.other_burnt_values_die(),
            &|| self.is_not_proven(),
            &|| self.unread_key_may_work(),
            // What it holds was not read before it was hidden: nobody can say that this is dead.
            &|| self.value_is_unknown().map(|_| hidden.clone()),
        ];
        first(self.record(), self.now, &checks).unwrap_or_else(|| self.done())
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
