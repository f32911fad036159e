//! Keys that are neither the old one nor the new: others handed something out in between, or instead.

use super::Here;
use crate::action::Action;
use crate::decide::{Check, act, wait};
use crate::secret::{Issuer, is_of, is_ours};
use crate::secret_action::SecretAction;
use crate::secret_view::{CURRENT, PENDING, PREVIOUS, UserKey, VersionState};

impl<'a> Here<'a> {
    /// What was handed out last before the new one is not always what was when the task began: others may
    /// have made another version current meanwhile. It has had its grace, too. Not what a later rotation
    /// replaced, which has a grace of its own; nor in a compromise, which gave none.
    pub(super) fn key_between_dies(&self) -> Check {
        let key = self.key_between()?;
        self.spare_key_dies(key, "handed out before the new one")
    }

    pub(super) fn key_between(&self) -> Option<&'a UserKey> {
        if self.is_exposed() || !self.is_of_task(self.view.current()?) {
            return None;
        }
        self.spare_key_of(self.view.labelled(PREVIOUS)?)
    }

    /// Somebody else stored and handed out a key of his own: the one that this task made is handed out no
    /// more, and nobody but this task would end it. Whoever read it has it cached.
    pub(super) fn superseded_key_dies(&self) -> Check {
        let current = self.view.current().filter(|current| !is_ours(&current.id))?;
        let own = self.view.versions.iter().filter(|it| self.is_of_task(it));
        let mut left = own.filter(|it| self.is_superseded(it) && it.key_id() != current.key_id());
        let key = left.find_map(|it| self.spare_key_of(it))?;
        let until = self.current_since() + self.terms().grace;
        if self.now < until {
            return Some(wait(until, "the key that somebody else's followed has its grace"));
        }
        self.spare_key_dies(key, "somebody else's took its place")
    }

    /// The key of a version where it works, is not the old one, and is handed out no more.
    fn spare_key_of(&self, version: &VersionState) -> Option<&'a UserKey> {
        let key_id = version.key_id()?;
        let key = self.view.user_key(key_id).filter(|key| key.state.status.is_active())?;
        (!self.is_old_key(key_id) && self.is_left_behind(key_id)).then_some(key)
    }

    fn spare_key_dies(&self, key: &UserKey, reason: &str) -> Check {
        let Issuer::AccessKey { user } = self.issuer else { return None };
        let (user, key_id) = (user.clone(), key.state.id.clone());
        let shared = self.is_needed_elsewhere(&key_id);
        Some(shared.unwrap_or_else(|| act(Action::DeactivateKey { user, key_id }, reason)))
    }

    /// Our own version that somebody else's took the place of is about to follow no more.
    pub(super) fn superseded_label_is_off(&self) -> Check {
        let pending = self.view.labelled(PENDING).filter(|it| is_ours(&it.id))?;
        let is_left = self.is_superseded(pending) && !pending.has(CURRENT);
        (self.is_readable() && is_left).then(|| {
            let (label, version) = (PENDING.to_owned(), pending.id.clone());
            self.act(SecretAction::DropLabel { label, version }, "another version took its place")
        })
    }

    /// Whether a version of ours was handed out, or would have been, and somebody stored and handed out a newer
    /// one instead. It keeps its `AWSPENDING`, and is about to follow no more.
    pub(super) fn is_superseded(&self, version: &VersionState) -> bool {
        let current = self.view.current().filter(|it| it.id != version.id);
        let gave_way =
            version.has(PREVIOUS) || (self.is_of_task(version) && self.handed_out().is_some());
        is_ours(&version.id)
            && gave_way
            && current.is_some_and(|current| current.created > version.created)
    }

    fn is_of_task(&self, version: &VersionState) -> bool {
        is_of(&version.id, &self.situation.policy.task)
    }
}
