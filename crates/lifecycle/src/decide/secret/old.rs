//! The old credential: its grace, its end at the issuer, the proof of that, and the labels it leaves.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::Here;
use crate::action::Action;
use crate::credential::UserRef;
use crate::decide::{Check, Decision, access_key, act, proof, wait};
use crate::observe::{KeyView, Presence};
use crate::secret::Issuer;
use crate::secret_action::SecretAction;
use crate::secret_view::{CURRENT, Held, PENDING, PREVIOUS, UserKey};
use crate::task::{BlockReason, Verification};

/// What a look left out is looked at so soon.
const LOOK_AGAIN: TimeDelta = TimeDelta::seconds(1);

impl<'a> Here<'a> {
    /// What is missing until the old credential is proven dead and its labels are off.
    pub(super) fn old_dies(&self) -> Check {
        let until = self.grace_ends();
        // What is off already needs none. What others handed out in between has it all the same.
        let is_over = self.now >= until || (self.is_ended() && self.key_between().is_none());
        if !is_over {
            return Some(wait(until, "the old credential has its grace"));
        }
        self.old_credential_dies()
            .or_else(|| self.other_burnt_keys_die())
            .or_else(|| self.key_between_dies())
            .or_else(|| self.superseded_label_is_off())
            .or_else(|| self.superseded_key_dies())
            .or_else(|| self.other_burnt_values_die())
            .or_else(|| self.burnt_labels_are_off())
            .or_else(|| self.unread_key_may_work())
            .or_else(|| self.is_not_proven())
    }

    /// Whether somebody ended the old key already: there is nothing left to have a grace.
    fn is_ended(&self) -> bool {
        self.old_key().is_some_and(|view| {
            view.user != Presence::Same
                || view.key.as_ref().is_none_or(|key| !key.status.is_active())
        })
    }

    /// The old credential alone, whatever its grace.
    pub(super) fn old_credential_dies(&self) -> Check {
        let old = self.old()?;
        match (&old.held, self.issuer) {
            (Held::AccessKey { key_id }, Issuer::AccessKey { user }) => {
                self.old_key_dies(user, key_id)
            }
            (Held::Login { .. } | Held::Opaque, issuer) if issuer.is_told() => {
                self.old_value_dies(old)
            }
            _ => None,
        }
    }

    fn old_key_dies(&self, user: &UserRef, key_id: &str) -> Check {
        let Some(view) = self.old_key() else {
            return Some(wait(self.now + LOOK_AGAIN, "the old key was not looked at"));
        };
        if let Some(shared) = self.is_needed_elsewhere(key_id) {
            return Some(shared);
        }
        if let Some(not_held) = self.is_not_held() {
            return Some(not_held);
        }
        if self.is_thorough() {
            let said = access_key::revoke(self.situation, key_id, user, view, self.now);
            return (!matches!(said, Decision::Done(_))).then_some(said);
        }
        let key = view.key.as_ref().filter(|_| view.user == Presence::Same)?;
        if key.status.is_active() {
            let (user, key_id) = (user.clone(), key_id.to_owned());
            return Some(act(Action::DeactivateKey { user, key_id }, "its grace is over"));
        }
        proof::prove(key, user, self.record(), self.situation.policy, self.now)
    }

    /// Nobody was asked about another secret that holds the key too: it may be what production runs on.
    pub(super) fn is_needed_elsewhere(&self, key_id: &str) -> Check {
        let key = self.view.user_key(key_id)?;
        let needed = key.elsewhere && key.state.status.is_active() && !self.is_exposed();
        let key_id = key_id.to_owned();
        needed.then_some(Decision::Blocked(BlockReason::KeyInAnotherSecret { key_id }))
    }

    fn old_key(&self) -> Option<&'a KeyView> {
        self.view.keys.as_ref()?.old.as_ref()
    }

    pub(super) fn is_old_key(&self, key_id: &str) -> bool {
        matches!(self.old().map(|old| &old.held), Some(Held::AccessKey { key_id: id }) if id == key_id)
    }

    pub(super) fn old_key_is_dead(&self) -> bool {
        let key = self.old_key().and_then(|view| view.key.as_ref());
        key.is_none_or(|key| {
            proof::key_is_dead(key, self.record(), self.situation.policy, self.now)
        })
    }

    /// Where the secret is exposed or ends, so is and does every key that one of its versions held then. What
    /// holds one of them up holds up no other.
    pub(super) fn other_burnt_keys_die(&self) -> Check {
        let Issuer::AccessKey { user } = self.issuer else { return None };
        let mut said: Vec<_> =
            self.other_burnt_keys().filter_map(|key| self.burnt_key_dies(user, key)).collect();
        said.sort_by_key(|said| !matches!(said, Decision::Act(..)));
        said.into_iter().next()
    }

    fn burnt_key_dies(&self, user: &UserRef, key: &UserKey) -> Check {
        let key_id = key.state.id.clone();
        if key.state.status.is_active() {
            let spared = self.is_needed_elsewhere(&key_id).or_else(|| self.is_only_named(&key_id));
            let user = user.clone();
            return spared.or_else(|| {
                let off = Action::DeactivateKey { user, key_id };
                Some(act(off, "another version of the secret holds it"))
            });
        }
        let off = self.rotation().off_since.get(&key_id).copied().unwrap_or(self.now);
        let until = off + self.situation.policy.proof.window;
        (self.now < until).then(|| wait(until, "switched off; its state is watched"))
    }

    fn other_burnt_keys(&self) -> impl Iterator<Item = &'a UserKey> {
        let burnt: BTreeSet<_> = self
            .view
            .versions
            .iter()
            .filter(|version| self.is_burnt(version))
            .filter_map(|version| version.key_id())
            .chain(self.rotation().beside_keys.iter().map(String::as_str))
            .filter(|key_id| !self.is_old_key(key_id))
            .collect();
        self.view.user_keys().iter().filter(move |key| burnt.contains(key.state.id.as_str()))
    }

    /// A value that is handed out by its label is handed out to whoever may read.
    pub(super) fn burnt_labels_are_off(&self) -> Check {
        let mut burnt =
            self.view.versions.iter().filter(|it| self.is_readable() && self.is_burnt(it));
        burnt.find_map(|version| {
            let label = [PREVIOUS, PENDING].into_iter().find(|label| version.has(label))?;
            if version.has(CURRENT) {
                return None;
            }
            let (label, version) = (label.to_owned(), version.id.clone());
            Some(self.act(SecretAction::DropLabel { label, version }, "it holds what is exposed"))
        })
    }

    /// What a rotation function replaced may still be accepted; a routine rotation takes its word.
    pub(super) fn is_not_proven(&self) -> Check {
        let unknown = *self.issuer == Issuer::Managed;
        (unknown && self.is_thorough()).then_some(Decision::Blocked(BlockReason::OldNotProven))
    }

    pub(super) fn done(&self) -> Decision {
        Decision::Done(match self.old().map(|old| &old.held) {
            Some(Held::AccessKey { key_id }) => {
                proof::verification([key_id.as_str()], self.record())
            }
            Some(Held::Login { .. } | Held::Opaque) if self.issuer.is_told() => {
                Verification::Probed
            }
            _ => Verification::ControlPlane,
        })
    }
}
