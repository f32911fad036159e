//! The old credential: its grace, its end at the issuer, the proof of that, and the labels it leaves.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::Here;
use super::replace::{BLOCKED_PAUSE, INCONCLUSIVE_LIMIT};
use crate::action::Action;
use crate::credential::UserRef;
use crate::decide::{Check, Decision, access_key, act, proof, wait};
use crate::observe::{KeyView, Presence};
use crate::record::ProbeSeries;
use crate::rotation::OldVersion;
use crate::secret::{Issuer, is_ours};
use crate::secret_action::SecretAction;
use crate::secret_view::{CURRENT, Held, PENDING, PREVIOUS, UserKey, VersionState};
use crate::task::{BlockReason, Verification};

/// What a look left out is looked at so soon.
const LOOK_AGAIN: TimeDelta = TimeDelta::seconds(1);

/// A refusal says so much about the time after it. Less than the pause before a last look, so that this
/// tries again.
const FRESH: TimeDelta = TimeDelta::minutes(10);

/// An issuer that accepts the old value still is told so often before a person is asked.
const MOST_TELLINGS: u32 = 5;

impl<'a> Here<'a> {
    /// What is missing until the old credential is proven dead and its labels are off.
    pub(super) fn old_dies(&self) -> Check {
        let until = self.grace_ends();
        // What is dead already needs none; nor does it wait for what others handed out in between.
        let is_over = self.now >= until || (self.is_ended() && self.key_between().is_none());
        if !is_over {
            return Some(wait(until, "the old credential has its grace"));
        }
        self.old_credential_dies()
            .or_else(|| self.other_burnt_keys_die())
            .or_else(|| self.key_between_dies())
            .or_else(|| self.other_burnt_values_die())
            .or_else(|| self.burnt_labels_are_off())
            .or_else(|| self.superseded_label_is_off())
            .or_else(|| self.unread_key_may_work())
            .or_else(|| self.is_not_proven())
    }

    /// Whether the old key is proven dead, by whomever it was ended.
    fn is_ended(&self) -> bool {
        let key = self.old().is_some_and(|old| matches!(old.held, Held::AccessKey { .. }));
        key && self.record().dead_at.is_some()
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
    fn is_needed_elsewhere(&self, key_id: &str) -> Check {
        let mut keys = self.view.user_keys().iter();
        let key = keys.find(|key| key.state.id == key_id)?;
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

    /// At an issuer that is told: refused there, its sessions ended where it is exposed, and tried.
    fn old_value_dies(&self, old: &OldVersion) -> Check {
        if let Some(hidden) = self.cannot_be_read(old) {
            return Some(hidden);
        }
        let tries = self.tries(&old.version);
        if let Some(tries) = tries.filter(|tries| tries.acceptances > 0) {
            return Some(self.is_told_again(old, tries));
        }
        if !self.is_replaced_in_place(old) && !self.rotation().retired.contains(&old.version) {
            return Some(self.retire(old));
        }
        let ends = self.is_thorough() && matches!(self.issuer, Issuer::Database { .. });
        let ended = !ends || self.rotation().ended.contains(&old.version);
        let stragglers = self.rotation().stragglers_until.get(&old.version).copied();
        if !ended && stragglers.is_none_or(|until| until <= self.now) {
            let version = old.version.clone();
            let end = SecretAction::EndSessions { version };
            return Some(self.act(end, "what was opened with the old value must end"));
        }
        if self.old_value_is_dead(old) {
            let until = stragglers.filter(|_| !ended)?;
            return Some(wait(
                until,
                "who had begun to log in with the old value may still come in",
            ));
        }
        Some(self.next_try_of_old(old, tries))
    }

    fn next_try_of_old(&self, old: &OldVersion, tries: Option<&ProbeSeries>) -> Decision {
        let version = old.version.clone();
        let is_stuck =
            tries.is_some_and(|it| it.unavailable || it.inconclusive >= INCONCLUSIVE_LIMIT);
        let pause = if is_stuck { BLOCKED_PAUSE } else { self.situation.policy.proof.interval };
        match tries.and_then(|tries| tries.last).map(|last| last + pause) {
            Some(next) if next > self.now && is_stuck => {
                let why = tries.map(|tries| tries.why.clone()).unwrap_or_default();
                Decision::Blocked(BlockReason::ProbeInconclusive { key_id: version, why })
            }
            Some(next) if next > self.now => wait(next, "the next try of the old value"),
            _ => {
                let sample = tries.map_or(0, |tries| tries.samples);
                self.act(SecretAction::Try { version, sample }, "is the old value refused?")
            }
        }
    }

    /// What is hidden cannot be told of any more, nor tried: not by a case that comes after it was.
    fn cannot_be_read(&self, old: &OldVersion) -> Check {
        if self.is_readable() || self.old_value_is_dead(old) {
            return None;
        }
        let reason = match self.view.deleted_at {
            Some(since) => BlockReason::ScheduledForDeletion { since },
            None => BlockReason::NotFound,
        };
        Some(Decision::Blocked(reason))
    }

    /// Whether the old value was refused long enough, and lately: what the issuer was told meanwhile shows
    /// at no look, only at a try.
    pub(super) fn old_value_is_dead(&self, old: &OldVersion) -> bool {
        let proof = self.situation.policy.proof;
        self.tries(&old.version).is_some_and(|tries| {
            let is_fresh = tries.last_refusal.is_some_and(|at| self.now - at <= FRESH);
            // What cannot be read any more cannot be tried any more: what was proven stands.
            let is_fresh = is_fresh || !self.is_readable();
            // The issuer is one place: there are no two endpoints to ask.
            is_fresh && tries.proves_dead(proof.refusals, proof.window, 1)
        })
    }

    /// It was told, and accepts the old value all the same, or again: somebody set it, or it does not do what
    /// it says. Told again, a few times soon; then a person is asked, and it is told slowly.
    fn is_told_again(&self, old: &OldVersion, tries: &ProbeSeries) -> Decision {
        let tell = self.retire(old);
        let told = match &tell {
            Decision::Act(Action::Secret { what, .. }, _) => self.rotation().attempt(what),
            _ => 0,
        };
        let is_deaf = told >= MOST_TELLINGS;
        // One that takes its time is not told ever more often.
        let growing = self.situation.policy.proof.interval * (1 << told.min(MOST_TELLINGS));
        let pause = if is_deaf { BLOCKED_PAUSE } else { growing };
        match tries.last.filter(|_| told > 0).map(|last| last + pause) {
            Some(next) if next > self.now && is_deaf => {
                let version = old.version.clone();
                Decision::Blocked(BlockReason::OldStillAccepted { version })
            }
            Some(next) if next > self.now => wait(next, "the issuer is told again"),
            _ => tell,
        }
    }

    fn retire(&self, old: &OldVersion) -> Decision {
        let told =
            |new: &&VersionState| new.has(CURRENT) || self.rotation().set.contains_key(&new.id);
        let new = self.new_version().filter(|_| !self.is_revoked()).filter(told);
        if let Some(new) = new.filter(|_| self.is_replaced_in_place(old)) {
            // Somebody set the old value again.
            return self.set(new, "the old value is accepted again");
        }
        let current = new.map(|version| version.id.clone());
        let retire = SecretAction::Retire { version: old.version.clone(), current };
        self.act(retire, "its issuer must refuse the old value")
    }

    /// Whether the new value took the old one's place at the issuer, so that there is nothing to retire:
    /// one login has one password.
    fn is_replaced_in_place(&self, old: &OldVersion) -> bool {
        let Some(new) = self.new_version().filter(|_| !self.is_revoked()) else { return false };
        let told = self.rotation().set.contains_key(&new.id);
        let one_login =
            matches!(&old.held, Held::Login { username } if new.login() == Some(username));
        one_login && (told || self.rotation().new.as_ref() == Some(&new.id))
    }

    /// Where the secret is exposed or ends, so is and does every key that one of its versions held then.
    pub(super) fn other_burnt_keys_die(&self) -> Check {
        let Issuer::AccessKey { user } = self.issuer else { return None };
        self.other_burnt_keys().find_map(|key| {
            let key_id = key.state.id.clone();
            if key.state.status.is_active() {
                if let Some(shared) = self.is_needed_elsewhere(&key_id) {
                    return Some(shared);
                }
                let user = user.clone();
                return Some(act(
                    Action::DeactivateKey { user, key_id },
                    "another version of the secret holds it",
                ));
            }
            let off = self.rotation().off_since.get(&key_id).copied().unwrap_or(self.now);
            let until = off + self.situation.policy.proof.window;
            (self.now < until).then(|| wait(until, "switched off; its state is watched"))
        })
    }

    /// What was handed out last before the new one is not always what was when the task began: others may
    /// have made another version current meanwhile. It has had its grace, too.
    fn key_between_dies(&self) -> Check {
        let Issuer::AccessKey { user } = self.issuer else { return None };
        let (user, key_id) = (user.clone(), self.key_between()?.state.id.clone());
        let shared = self.is_needed_elsewhere(&key_id);
        let ends = || act(Action::DeactivateKey { user, key_id }, "handed out before the new one");
        Some(shared.unwrap_or_else(ends))
    }

    /// A key that works, is not the old one, and was handed out before what is current, or is this task's own
    /// and somebody else's took its place.
    fn key_between(&self) -> Option<&'a UserKey> {
        let is_before = |it: &&VersionState| it.has(PREVIOUS) || self.is_superseded(it);
        let before = self.view.versions.iter().filter(is_before);
        let between: BTreeSet<_> = before.filter_map(VersionState::key_id).collect();
        self.view.user_keys().iter().find(|key| {
            let key_id = key.state.id.as_str();
            let works = key.state.status.is_active() && between.contains(key_id);
            works && !self.is_old_key(key_id) && self.is_left_behind(key_id)
        })
    }

    /// Our own version that somebody else's superseded is about to follow no more.
    fn superseded_label_is_off(&self) -> Check {
        let pending = self.view.labelled(PENDING).filter(|it| is_ours(&it.id))?;
        let is_left = self.is_superseded(pending) && !pending.has(CURRENT);
        (self.is_readable() && is_left).then(|| {
            let (label, version) = (PENDING.to_owned(), pending.id.clone());
            self.act(SecretAction::DropLabel { label, version }, "another version took its place")
        })
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

    /// An endpoint accepts what it was told beside what it accepts already. Another rotation's value, pending or
    /// in its grace, would outlive the compromise there. A database's new value takes the place of every
    /// other one of its logins; where none follows, each ends by itself.
    pub(super) fn other_burnt_values_die(&self) -> Check {
        let others: Vec<_> = match self.issuer {
            Issuer::Webhook { .. } => {
                let beside = self.rotation().beside.iter();
                beside.map(|id| OldVersion { version: id.clone(), held: Held::Opaque }).collect()
            }
            Issuer::Database { .. } if self.is_revoked() || self.is_unreplaced() => {
                self.other_logins()
            }
            _ => return None,
        };
        others.iter().find_map(|other| self.old_value_dies(other))
    }

    /// Whether what is exposed dies though nothing has taken its place at the issuer.
    fn is_unreplaced(&self) -> bool {
        self.dies_without_successor() && self.handed_out().is_none()
    }

    /// Of one login too: whether the server was told of its next password shows at a try alone.
    fn other_logins(&self) -> Vec<OldVersion> {
        let beside = self.rotation().beside.iter().filter_map(|id| self.view.version(id));
        beside
            .filter(|version| version.login().is_some())
            .map(|version| OldVersion { version: version.id.clone(), held: version.held.clone() })
            .collect()
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
