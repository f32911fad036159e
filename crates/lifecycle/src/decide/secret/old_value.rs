//! The end of an old value at an issuer that is told: refused there, its sessions ended, and tried.

use chrono::TimeDelta;

use super::Here;
use super::replace::{BLOCKED_PAUSE, INCONCLUSIVE_LIMIT};
use crate::action::Action;
use crate::decide::{Check, Decision, wait};
use crate::record::ProbeSeries;
use crate::rotation::OldVersion;
use crate::secret::Issuer;
use crate::secret_action::SecretAction;
use crate::secret_view::{CURRENT, Held, VersionState};
use crate::task::BlockReason;

/// A refusal says so much about the time after it. Less than the pause before a last look, so that this
/// tries again.
const FRESH: TimeDelta = TimeDelta::minutes(10);

/// An issuer that accepts the old value still is told so often before a person is asked.
const MOST_TELLINGS: u32 = 5;

impl Here<'_> {
    /// At an issuer that is told: refused there, its sessions ended where it is exposed, and tried.
    pub(super) fn old_value_dies(&self, old: &OldVersion) -> Check {
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
            _ => self.try_version(&old.version, "is the old value refused?"),
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
}
