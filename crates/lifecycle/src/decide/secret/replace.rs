//! The new credential: made, told to its issuer, accepted there, handed out everywhere.

use chrono::{DateTime, TimeDelta, Utc};

use super::Here;
use crate::decide::{Check, Decision, wait};
use crate::record::ProbeSeries;
use crate::rotation::series;
use crate::secret::{Issuer, is_of, is_ours};
use crate::secret_action::SecretAction;
use crate::secret_view::{CURRENT, Held, PENDING, PREVIOUS, VersionState};
use crate::task::BlockReason;

/// Tries in a row that tell nothing before a person is asked.
pub(super) const INCONCLUSIVE_LIMIT: u32 = 40;

/// A blocked try is made again so often.
pub(super) const BLOCKED_PAUSE: TimeDelta = TimeDelta::minutes(5);

/// How often a replica that lags is looked at.
const REPLICA_LOOK: TimeDelta = TimeDelta::seconds(5);

impl<'a> Here<'a> {
    /// What is missing until a new credential is handed out in every region.
    pub(super) fn new_is_handed_out(&self) -> Check {
        if let Some(orphan) = self.orphan_is_left() {
            return Some(orphan);
        }
        let Some(new) = self.new_version() else { return Some(self.new_is_made()) };
        self.issuer_is_told(new)
            .or_else(|| self.is_accepted(new))
            .or_else(|| self.is_current(new))
            .or_else(|| self.replicas_follow())
            .or_else(|| self.issuer_knows_it_is_current(new))
    }

    /// The version that follows the old one: the current one, where it is new, or one that waits.
    pub(super) fn new_version(&self) -> Option<&'a VersionState> {
        self.handed_out().or_else(|| {
            let waiting = self.view.versions.iter().filter(|version| self.can_follow(version));
            waiting.max_by_key(|version| (version.created, &version.id))
        })
    }

    /// The current version, where it is not the old one nor one from before it. Somebody else's will do,
    /// but not where the old one is exposed, since whoever holds that may have stored it; nor where only
    /// its value would tell that it is another credential.
    pub(super) fn handed_out(&self) -> Option<&'a VersionState> {
        let current = self.view.current()?;
        let old = self.old()?;
        let before = self.view.version(&old.version).map(|version| version.created);
        let is_newer = current.id != old.version
            && before.is_none_or(|before| current.created > before)
            && (current.key_id().is_none() || current.held != old.held);
        let is_trusted = is_ours(&current.id) || !(self.is_exposed() || self.issuer.is_told());
        let is_known = !self.is_unknown(current);
        (is_newer && is_trusted && is_known && !self.is_burnt(current) && !self.is_spoilt(current))
            .then_some(current)
    }

    /// Whether a version may be made current: one of this task's, or one that another task of ours left
    /// pending, which this one takes over; or the one that was handed out last, where somebody put something
    /// else in its place. That took this task's own over, which may be refused since then.
    fn can_follow(&self, version: &VersionState) -> bool {
        let was_handed_out = self.rotation().new.as_ref() == Some(&version.id);
        let ours = is_of(&version.id, &self.situation.policy.task)
            || (is_ours(&version.id) && was_handed_out)
            || (is_ours(&version.id) && version.has(PENDING) && !version.has(PREVIOUS));
        ours && *self.issuer != Issuer::Managed
            && self.old().is_some_and(|old| old.version != version.id)
            && !self.is_burnt(version)
            && !self.is_spoilt(version)
    }

    /// Whether what a version holds can never be accepted: its key was deleted or switched off, or it is
    /// not what the strategy needs.
    pub(super) fn is_spoilt(&self, version: &VersionState) -> bool {
        match &version.held {
            Held::Unfit { .. } => true,
            Held::AccessKey { key_id } if self.view.keys.is_some() => {
                match self.view.user_key(key_id) {
                    Some(key) => !key.state.status.is_active(),
                    // One that was just made may not be listed yet.
                    None => self.now >= version.created + self.situation.policy.spread,
                }
            }
            _ => false,
        }
    }

    fn issuer_is_told(&self, new: &VersionState) -> Check {
        if !self.issuer.is_told() || !is_ours(&new.id) || self.is_another_tasks(new) {
            return None;
        }
        let told = self.rotation().set.get(&new.id);
        let listed = new.created + self.situation.policy.spread;
        if told.is_none() && !new.has(PENDING) && !new.has(CURRENT) && self.now < listed {
            // Two tasks that tell it of two values in turns would each have the other's refused.
            return Some(wait(listed, "what took its label may not be listed yet"));
        }
        let refused = self.tries(&new.id).and_then(|tries| tries.refused_since);
        let forgotten = match (told, refused) {
            (Some(told), Some(_)) => self.now >= *told + self.terms().patience,
            (Some(_), None) => false,
            (None, _) => true,
        };
        let set = || self.set(new, "its issuer must know the new value");
        forgotten.then(|| self.login_is_possessed().unwrap_or_else(set))
    }

    /// Whether another task made the current version, told its issuer of it and found it accepted: that is
    /// how ours get there.
    fn is_another_tasks(&self, new: &VersionState) -> bool {
        let ours = is_of(&new.id, &self.situation.policy.task);
        new.has(CURRENT) && is_ours(&new.id) && !ours && !self.rotation().set.contains_key(&new.id)
    }

    /// A new credential takes seconds to be accepted everywhere.
    fn is_accepted(&self, new: &VersionState) -> Check {
        let untold = matches!(self.issuer, Issuer::Managed) && new.key_id().is_none();
        if untold || self.is_another_tasks(new) {
            return None;
        }
        let tries = self.tries(&new.id);
        if tries.is_some_and(|tries| tries.proves_alive(self.terms().acceptances)) {
            return self.is_known_everywhere(new);
        }
        Some(self.next_try(new, tries))
    }

    /// Acceptances may all come from where IAM knew the new key first: as long as an old one is watched
    /// before it counts as dead, so long a new one is there before it is handed out.
    fn is_known_everywhere(&self, new: &VersionState) -> Check {
        let known = new.created + self.situation.policy.proof.window;
        let waits = new.key_id().is_some() && !new.has(CURRENT) && self.now < known;
        waits.then(|| wait(known, "IAM may not know the new key everywhere yet"))
    }

    fn next_try(&self, new: &VersionState, tries: Option<&ProbeSeries>) -> Decision {
        let version = new.id.clone();
        let refused = tries.and_then(|tries| tries.refused_since);
        let is_stuck = refused.is_some_and(|since| self.now >= since + self.terms().patience)
            || tries.is_some_and(|it| it.unavailable || it.inconclusive >= INCONCLUSIVE_LIMIT);
        let pause = if is_stuck { BLOCKED_PAUSE } else { self.situation.policy.proof.interval };
        match tries.and_then(|tries| tries.last).map(|last| last + pause) {
            Some(next) if next > self.now && is_stuck => {
                Decision::Blocked(BlockReason::NewNotAccepted { version, why: why(tries) })
            }
            Some(next) if next > self.now => wait(next, "trying the new credential again"),
            _ => self.try_version(&new.id, "is the new credential accepted?"),
        }
    }

    pub(super) fn try_version(&self, version: &str, reason: &str) -> Decision {
        let sample = self.tries(version).map_or(0, |tries| tries.samples);
        self.act(SecretAction::Try { version: version.to_owned(), sample }, reason)
    }

    fn is_current(&self, new: &VersionState) -> Check {
        let current = self.view.current().map(|version| version.id.clone());
        (current.as_ref() != Some(&new.id)).then(|| {
            let promote = SecretAction::Promote { version: new.id.clone(), from: current };
            self.act(promote, "the new credential is accepted")
        })
    }

    fn replicas_follow(&self) -> Check {
        let behind = self.view.replicas.iter().find(|replica| !replica.in_sync)?;
        let since = self.rotation().promoted_at.unwrap_or(self.now);
        let is_given_time = self.now < since + self.terms().replica_patience;
        // One that can never be looked at keeps no exposed credential alive.
        if is_given_time && !self.dies_without_successor() {
            let reason = format!("the replica in {} follows: {}", behind.region, behind.status);
            return Some(wait(self.now + REPLICA_LOOK, reason));
        }
        let (region, status) = (behind.region.clone(), behind.status.clone());
        Some(Decision::Blocked(BlockReason::ReplicaBehind { region, status }))
    }

    fn issuer_knows_it_is_current(&self, new: &VersionState) -> Check {
        let asks = matches!(self.issuer, Issuer::Webhook { .. })
            && is_ours(&new.id)
            && !self.is_another_tasks(new);
        (asks && !self.rotation().finished.contains(&new.id)).then(|| {
            let version = new.id.clone();
            self.act(SecretAction::Finish { version }, "the new value is handed out")
        })
    }

    pub(super) fn tries(&self, version: &str) -> Option<&'a ProbeSeries> {
        self.record().probes.get(&series(version))
    }

    /// When the old credential's grace ends: at once where it is exposed. Where others handed the old one out
    /// once more in between, it begins again.
    pub(super) fn grace_ends(&self) -> DateTime<Utc> {
        let from = self.rotation().grace_from.unwrap_or(self.now);
        if self.is_exposed() { from } else { from + self.terms().grace }
    }
}

/// Why tries did not come to an acceptance.
pub(super) fn why(tries: Option<&ProbeSeries>) -> String {
    match tries {
        Some(it) if it.unavailable || it.inconclusive > 0 => it.why.clone(),
        _ => "refused".to_owned(),
    }
}
