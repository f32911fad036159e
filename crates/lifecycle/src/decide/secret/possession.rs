//! Whether a secret holds the credential that its value names. The id of a key and the name of a login are no
//! secrets: whoever may write the value could name anybody's, and would be handed a new one. AWS's own rotation
//! functions log in with the current value before an administrator changes a password, for the same reason.

use chrono::TimeDelta;

use super::Here;
use super::replace::{BLOCKED_PAUSE, INCONCLUSIVE_LIMIT, why};
use crate::decide::{Check, Decision, wait};
use crate::record::{ProbeSeries, Record};
use crate::rotation::{OldVersion, RevokeOrder, series};
use crate::secret::Issuer;
use crate::secret_view::{Held, SecretView};
use crate::task::BlockReason;

/// So many tries in a row that tell nothing before what is exposed waits no longer for them.
const MOST_BEFORE: u32 = 3;

/// So many other versions of a login are tried: a server may lock one that is refused too often.
const MOST_OTHERS: usize = 3;

impl<'a> Here<'a> {
    /// What is missing before another credential is made or told of: the issuer accepted what the secret
    /// holds. A key that is dead by now cannot be tried; where it is exposed, that the user's own tags name the
    /// secret's zone is enough, unless it was found not to be held, or nothing could follow what died first.
    pub(super) fn is_possessed(&self) -> Check {
        let asks = matches!(self.issuer, Issuer::AccessKey { .. } | Issuer::Database { .. });
        if self.rotation().possessed || !asks {
            return None;
        }
        let Some((credential, versions)) = self.what_to_try() else {
            let (field, why) = ("value".to_owned(), "what it holds is not known".to_owned());
            return Some(Decision::Blocked(BlockReason::UnfitValue { field, why }));
        };
        if !versions.is_empty() {
            return Some(self.is_tried(credential, &versions));
        }
        let found_wrong = self.old_tries().is_some_and(|tries| tries.unavailable);
        let vouched = self.is_exposed() && self.rotation().vouched && !found_wrong;
        let old_key = self.old().and_then(OldVersion::key_id);
        let why = if old_key.and_then(|key_id| self.view.user_key(key_id)).is_some() {
            "the key does not work, so that it cannot be tried"
        } else {
            "it is no key of the user's"
        };
        (!vouched).then(|| not_held(credential, why))
    }

    /// The same for a login, whatever is there to follow it: whoever may write the value could store a version
    /// that passes for one of ours, and would have an administrator set the password in it.
    pub(super) fn login_is_possessed(&self) -> Check {
        matches!(self.issuer, Issuer::Database { .. }).then(|| self.is_possessed()).flatten()
    }

    /// A try of each before what is exposed dies, and a few where it tells nothing: after that there is nothing
    /// to try.
    pub(super) fn is_tried_before_it_dies(&self) -> Check {
        let dies_first = self.is_exposed() && self.terms().order == RevokeOrder::RevokeFirst;
        if self.rotation().possessed || !dies_first || !self.is_readable() {
            return None;
        }
        let (_, versions) = self.what_to_try()?;
        let tells_nothing = |tries: &ProbeSeries| {
            tries.refused_since.is_none() && !tries.unavailable && tries.inconclusive < MOST_BEFORE
        };
        let untried =
            versions.into_iter().find(|version| self.tries(version).is_none_or(tells_nothing));
        untried.map(|version| self.try_it(version))
    }

    /// A key that a secret names and does not hold is not its to end, but where a compromise names it. Whatever
    /// tells nothing spares nothing.
    pub(super) fn is_not_held(&self) -> Check {
        if self.rotation().possessed || self.is_exposed() {
            return None;
        }
        let (credential, versions) = self.what_to_try()?;
        let found_wrong = self.old_tries().is_some_and(|tries| tries.unavailable);
        if found_wrong && !versions.is_empty() {
            return Some(self.is_tried(credential, &versions));
        }
        let key_id = self.old().and_then(OldVersion::key_id)?;
        let asks = self.old_tries().is_none() && self.is_readable() && self.works(key_id);
        let version = versions.first().filter(|_| asks)?;
        Some(self.try_it(version)).filter(|said| self.is_possible(said))
    }

    /// The same for a key that other versions of the secret name.
    pub(super) fn is_only_named(&self, key_id: &str) -> Check {
        if self.is_exposed() {
            return None;
        }
        let holders: Vec<_> = self.view.holders(key_id).map(|it| it.id.as_str()).collect();
        let untried = holders.iter().find(|id| self.is_readable() && self.tries(id).is_none());
        let said = untried.map(|version| self.try_it(version));
        if let Some(said) = said.filter(|said| self.is_possible(said)) {
            return Some(said);
        }
        let is_wrong = |id: &&str| self.tries(id).is_some_and(|tries| tries.unavailable);
        let why = "the secret half in it is wrong";
        (!holders.is_empty() && holders.iter().all(is_wrong))
            .then(|| not_held(format!("access key {key_id}"), why))
    }

    fn is_tried(&self, credential: String, versions: &[&str]) -> Decision {
        let mut next = None;
        for version in versions {
            let tries = self.tries(version);
            let pause = if self.is_refused(tries) {
                BLOCKED_PAUSE
            } else {
                self.situation.policy.proof.interval
            };
            match tries.and_then(|tries| tries.last).map(|last| last + pause) {
                Some(later) if later > self.now => next = next.min(Some(later)).or(Some(later)),
                _ => return self.try_it(version),
            }
            if !self.is_refused(tries) {
                break;
            }
        }
        let last = versions.last().and_then(|version| self.tries(version));
        match next {
            Some(next) if !self.is_refused(last) => {
                wait(next, "trying what the secret holds again")
            }
            _ => not_held(credential, &why(last)),
        }
    }

    /// Whether it is of no use to go on trying it.
    fn is_refused(&self, tries: Option<&ProbeSeries>) -> bool {
        // A new key takes seconds to be accepted everywhere; a password takes none.
        let patience = match self.issuer {
            Issuer::Database { .. } => TimeDelta::zero(),
            _ => self.terms().patience,
        };
        tries.is_some_and(|it| {
            it.refused_since.is_some_and(|since| self.now >= since + patience)
                || it.unavailable
                || it.inconclusive >= INCONCLUSIVE_LIMIT
        })
    }

    fn try_it(&self, version: &str) -> Decision {
        self.try_version(version, "does the secret hold what it names?")
    }

    /// What the old version names, and the versions that tell whether the secret holds it: a person may have
    /// stored the right half beside a wrong one, and a rotation that was cut short may have told a server of a
    /// password that no label is on any more.
    fn what_to_try(&self) -> Option<(String, Vec<&'a str>)> {
        let old = self.old()?;
        let first = std::iter::once(old.version.as_str());
        match &old.held {
            Held::AccessKey { key_id } => {
                let others = self.view.holders(key_id).map(|it| it.id.as_str());
                let others = others.filter(|id| *id != old.version).take(MOST_OTHERS);
                let all = first.chain(others);
                let versions = all.filter(|_| self.may_work_somewhere(key_id)).collect();
                Some((format!("access key {key_id}"), versions))
            }
            Held::Login { username } => {
                let others = self.versions_of_login(username, &[&old.version]).take(MOST_OTHERS);
                Some((format!("login {username}"), first.chain(others).collect()))
            }
            _ => None,
        }
    }

    fn works(&self, key_id: &str) -> bool {
        self.view.user_key(key_id).is_some_and(|key| key.state.status.is_active())
    }

    /// A key that was just switched off is accepted for a while yet: long enough to be tried.
    fn may_work_somewhere(&self, key_id: &str) -> bool {
        let off = self.rotation().off_since.get(key_id);
        let is_recent = off.is_some_and(|off| self.now < *off + self.situation.policy.spread);
        self.works(key_id) || is_recent
    }

    fn old_tries(&self) -> Option<&'a ProbeSeries> {
        self.tries(&self.old()?.version)
    }
}

/// Takes in that what the old version names was accepted: a key as one of this user's, a login by any password
/// that the secret holds.
pub(super) fn keep(record: &mut Record, view: &SecretView) {
    let Some(old) = record.rotation.old.as_ref() else { return };
    let accepted = |version: &str| {
        record.probes.get(&series(version)).is_some_and(|tries| tries.acceptances > 0)
    };
    let held = match &old.held {
        Held::AccessKey { key_id } => {
            let is_theirs = view.user_key(key_id).is_some();
            let mut holders = view.holders(key_id);
            is_theirs && (accepted(&old.version) || holders.any(|it| accepted(&it.id)))
        }
        Held::Login { username } => {
            let mut of_login = view.versions.iter().filter(|it| it.login() == Some(username));
            accepted(&old.version) || of_login.any(|it| accepted(&it.id))
        }
        _ => false,
    };
    record.rotation.possessed |= held;
}

fn not_held(credential: String, why: &str) -> Decision {
    Decision::Blocked(BlockReason::NotHeld { credential, why: why.to_owned() })
}
