//! What a task has done and seen so far. Kept with the task, updated by pure functions from looks and
//! outcomes; losing the newest part of it (a crash) costs repeated looks, never a wrong end.
//!
//! All times here are on the provider's clock (see [`Observed::at`](crate::observe::Observed)).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::action::{Action, Change, DenyPlace};
use crate::failure::{Failure, FailureClass};
use crate::finding::Finding;
use crate::rotation::{self, RotationRecord};
use crate::secret_action::SecretAction;
use crate::task::{BlockReason, Verification};

/// The call that makes a key, and the one before it (AWS: IAM API; Secrets Manager API).
const MAKE_KEY: &str = "iam:CreateAccessKey";
const READ: &str = "secretsmanager:GetSecretValue";

/// The memory of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// When the provider accepted the last call so far that switched something off or, undoing, on.
    pub accepted_at: Option<DateTime<Utc>>,
    /// Since when every look in a row found the target missing.
    pub missing_since: Option<DateTime<Utc>>,
    /// Since when every look in a row found all credentials switched off.
    pub disabled_since: Option<DateTime<Utc>>,
    /// When the credentials were first proven dead and have stayed so.
    pub dead_at: Option<DateTime<Utc>>,
    /// Since when every look in a row found nothing left to do but wait.
    pub sealed_since: Option<DateTime<Utc>>,
    /// The latest cutoff of the denies that a key's last look found sealed. Another one was put since: what was
    /// there may have been gone in between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed_by: Option<DateTime<Utc>>,
    /// Since when every look in a row found none of the partner's principals in the trust policy.
    pub trust_clean_since: Option<DateTime<Utc>>,
    /// Since when every look in a row found a deny of everything in place.
    pub denied_since: Option<DateTime<Utc>>,
    /// Probes by key id.
    pub probes: BTreeMap<String, ProbeSeries>,
    /// Keys that were proven dead, and how. That stands whoever deletes the key (its id never comes back) and
    /// whatever can be tried later; only a key that is on again, or accepted, contradicts it.
    pub proven: BTreeMap<String, Verification>,
    /// Places where a deny did not fit.
    pub full: BTreeSet<Place>,
    /// What the case may have changed, recorded at intent.
    pub changes: BTreeSet<Change>,
    /// Actions that the provider refused for good, by [`Action::site`](crate::action::Action::site). A
    /// route that cannot be closed is no reason to leave the next one open; forgotten when the task is
    /// tried again.
    pub refused: BTreeMap<String, BlockReason>,
    /// When the roles within reach were looked up again after planning (our clock).
    pub reach_looked_up: Option<DateTime<Utc>>,
    /// Findings that were told already: each is escalated once.
    pub told: BTreeSet<Finding>,
    /// The kind of block that was told last: the same one again is no news.
    pub told_block: Option<String>,
    /// Whether the end of the first pass (`accepted`) was told.
    pub accepted_told: bool,
    /// Of a secret.
    pub rotation: RotationRecord,
}

/// An identity (a [`Target::lock`](crate::credential::Target::lock) text) and a place on it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Of whom.
    pub identity: String,
    /// Where.
    pub place: DenyPlace,
}

/// Refusals in a row of one credential, or acceptances in a row of a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProbeSeries {
    /// How many in a row.
    pub refusals: u32,
    /// The first of the row.
    pub since: Option<DateTime<Utc>>,
    /// The last probe of any answer: the next one waits for its interval.
    pub last: Option<DateTime<Utc>>,
    /// The last refusal of the row: its window ends there, whatever proves nothing after it.
    pub last_refusal: Option<DateTime<Utc>>,
    /// The endpoints that refused in this row.
    pub endpoints: BTreeSet<String>,
    /// Probes in a row that proved nothing, and why the last of them did not.
    pub inconclusive: u32,
    /// See [`inconclusive`](Self::inconclusive).
    pub why: String,
    /// Acceptances in a row. A new credential takes seconds to be accepted everywhere.
    pub acceptances: u32,
    /// The endpoints that accepted in this row.
    pub accepted_at: BTreeSet<String>,
    /// Since when every probe that told anything was refused, or none has told anything yet.
    pub refused_since: Option<DateTime<Utc>>,
    /// The secret half is gone or unreadable: only the control plane can be read.
    pub unavailable: bool,
    /// All probes so far: numbers the samples, so that they go round the endpoints.
    pub samples: u32,
}

/// What one probe told.
#[allow(missing_docs, reason = "the fields are named for what they are")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum ProbeAnswer {
    /// Refused as unknown (`InvalidClientTokenId`) while the control was accepted there.
    Refused { endpoint: String },
    /// Accepted: the key works.
    Accepted { endpoint: String },
    /// Neither: a throttle, a timeout, a control that was refused too. It proves nothing.
    Inconclusive { endpoint: String, why: String },
    /// The secret half is gone or unreadable: this key cannot be probed any more.
    Unavailable { why: String },
}

impl Record {
    /// A value was accepted until its issuer was told to refuse it: the secret held what that names.
    pub fn was_held(&mut self, version: &str) {
        let is_old = self.rotation.old.as_ref().is_some_and(|old| old.version == version);
        self.rotation.possessed |= is_old;
    }

    /// Takes in a probe's answer. One acceptance starts the row again.
    pub fn probed(&mut self, key_id: &str, answer: &ProbeAnswer, at: DateTime<Utc>) {
        let series = self.probes.entry(key_id.to_owned()).or_default();
        series.samples += 1;
        series.last = Some(at);
        match answer {
            ProbeAnswer::Refused { endpoint } => {
                series.refusals += 1;
                series.since.get_or_insert(at);
                series.last_refusal = Some(at);
                series.endpoints.insert(endpoint.clone());
                series.inconclusive = 0;
                series.unavailable = false;
                series.acceptances = 0;
                series.accepted_at.clear();
                series.refused_since.get_or_insert(at);
            }
            ProbeAnswer::Accepted { endpoint } => {
                series.accepted(endpoint, at);
                self.proven.remove(key_id);
                self.dead_at = None;
                self.sealed_since = None;
            }
            ProbeAnswer::Inconclusive { why, .. } => {
                series.inconclusive += 1;
                series.why.clone_from(why);
            }
            ProbeAnswer::Unavailable { why } => {
                series.unavailable = true;
                series.why.clone_from(why);
            }
        }
    }
}

impl Record {
    /// Takes in that an action failed. What surely came to nothing is no change that anybody answers for: a key
    /// that somebody else makes at that time would be taken for ours.
    pub fn failed(&mut self, action: &Action, failure: &Failure) {
        let Action::Secret { what: SecretAction::MakeKey { .. }, .. } = action else { return };
        let refused = match failure.operation.as_str() {
            MAKE_KEY => !matches!(failure.class, FailureClass::RetrySoon | FailureClass::Replan),
            READ => true,
            // It was made and could not be stored, or nobody knows.
            _ => false,
        };
        if refused {
            self.not_sent(action);
        }
    }

    /// Takes in that an action was given up before it was called.
    pub fn not_sent(&mut self, action: &Action) {
        if let Some(change @ Change::KeyMade { .. }) = action.change() {
            self.changes.remove(&change);
        }
    }

    /// Takes in what trying a version of a secret told. It tells nothing of the target's own key.
    pub fn tried(&mut self, version: &str, answer: &ProbeAnswer, at: DateTime<Utc>) {
        let rows = (self.dead_at, self.sealed_since);
        self.probed(&rotation::series(version), answer, at);
        (self.dead_at, self.sealed_since) = rows;
    }

    /// Takes in that an action was carried out, where nothing of it can be seen at a look: what an issuer
    /// was told.
    pub fn carried_out(&mut self, action: &Action, at: DateTime<Utc>) {
        let Action::Secret { what, .. } = action else { return };
        let rotation = &mut self.rotation;
        rotation.was_told(what);
        match what {
            // One login has one password: what was told before may not be accepted any more.
            SecretAction::Set { version, .. } => {
                rotation.set = BTreeMap::from([(version.clone(), at)]);
                let before = self.probes.get(&rotation::series(version));
                let refused = before.and_then(ProbeSeries::refused_before);
                self.probes.retain(|name, _| !rotation::is_series(name));
                self.probes.extend(refused.map(|row| (rotation::series(version), row)));
                self.sessions_can_be_ended(action);
            }
            SecretAction::Rotate { version } => {
                rotation.set.insert(version.clone(), at);
            }
            SecretAction::Finish { version } => {
                rotation.finished.insert(version.clone());
            }
            SecretAction::Retire { version, .. } => {
                rotation.retired.insert(version.clone());
                // What was accepted before says nothing of now. One that was told before is given its time.
                if let Some(tries) = self.probes.get_mut(&rotation::series(version)) {
                    *tries = ProbeSeries {
                        samples: tries.samples,
                        last: Some(at),
                        ..ProbeSeries::default()
                    };
                }
            }
            SecretAction::EndSessions { version } => {
                rotation.stragglers_until.remove(version);
                rotation.ended.insert(version.clone());
            }
            _ => {}
        }
    }

    /// Whoever is let in by the new value may end what the old one opened, where nobody was before.
    fn sessions_can_be_ended(&mut self, set: &Action) {
        let Action::Secret { secret, what: SecretAction::Set { from, .. } } = set else { return };
        let what = SecretAction::EndSessions { version: from.clone() };
        let end = Action::Secret { secret: secret.clone(), what };
        self.refused.remove(&end.site());
    }

    /// Takes in that the sessions of a version were ended, all but those of clients which had begun to log
    /// in before: they are in by `until`. Ended again after that, all are.
    pub fn sessions_ended(&mut self, version: &str, at: DateTime<Utc>, until: DateTime<Utc>) {
        let known = self.rotation.stragglers_until.get(version).copied();
        if known.is_some_and(|known| known <= at) {
            self.rotation.stragglers_until.remove(version);
            self.rotation.ended.insert(version.to_owned());
        } else {
            self.rotation.stragglers_until.entry(version.to_owned()).or_insert(until);
        }
    }
}

impl ProbeSeries {
    /// What stays of a row of refusals where the issuer was told once more: since when. Or one that says yes
    /// and does nothing would be told without end, and no person asked.
    fn refused_before(&self) -> Option<Self> {
        let refused_since = Some(self.refused_since?);
        Some(Self { refused_since, samples: self.samples, ..Self::default() })
    }

    /// One acceptance ends a row of refusals.
    fn accepted(&mut self, endpoint: &str, at: DateTime<Utc>) {
        let (samples, acceptances) = (self.samples, self.acceptances + 1);
        let mut accepted_at = std::mem::take(&mut self.accepted_at);
        accepted_at.insert(endpoint.to_owned());
        *self = Self { samples, acceptances, accepted_at, last: Some(at), ..Self::default() };
    }

    /// Whether the row of acceptances is long enough to say that a new credential works.
    pub fn proves_alive(&self, acceptances: u32) -> bool {
        self.acceptances >= acceptances
    }

    /// Whether the row is long enough in number, time and endpoints to say that the key is dead.
    pub fn proves_dead(&self, refusals: u32, window: TimeDelta, endpoints: usize) -> bool {
        let span = match (self.since, self.last_refusal) {
            (Some(since), Some(last)) => last - since,
            _ => TimeDelta::zero(),
        };
        self.refusals >= refusals && span >= window && self.endpoints.len() >= endpoints
    }
}

/// Sets the start of a row while `holds`, and clears it otherwise.
pub fn since(row: &mut Option<DateTime<Utc>>, holds: bool, now: DateTime<Utc>) {
    if holds {
        row.get_or_insert(now);
    } else {
        *row = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn refused(endpoint: &str) -> ProbeAnswer {
        ProbeAnswer::Refused { endpoint: endpoint.into() }
    }

    #[test]
    fn one_acceptance_starts_the_row_again() {
        let mut record = Record::default();
        record.probed("k", &refused("a"), at(0));
        record.probed("k", &ProbeAnswer::Accepted { endpoint: "b".into() }, at(1));
        record.probed("k", &refused("a"), at(2));
        let series = &record.probes["k"];
        assert_eq!((series.refusals, series.since, series.samples), (1, Some(at(2)), 3));
    }

    #[test]
    fn death_needs_number_time_and_endpoints() {
        let mut record = Record::default();
        for (second, endpoint) in [(0, "a"), (2, "a"), (5, "a")] {
            record.probed("k", &refused(endpoint), at(second));
        }
        let window = TimeDelta::seconds(5);
        assert!(record.probes["k"].proves_dead(3, window, 1));
        assert!(!record.probes["k"].proves_dead(3, window, 2), "one endpoint is not two");
        assert!(!record.probes["k"].proves_dead(4, window, 1));
        assert!(!record.probes["k"].proves_dead(3, TimeDelta::seconds(6), 1));
    }

    #[test]
    fn the_window_ends_with_the_last_refusal() {
        let mut record = Record::default();
        for second in 0..3 {
            record.probed("k", &refused(if second == 0 { "a" } else { "b" }), at(second));
        }
        let timeout = ProbeAnswer::Inconclusive { endpoint: "a".into(), why: "timeout".into() };
        record.probed("k", &timeout, at(60));
        assert!(!record.probes["k"].proves_dead(3, TimeDelta::seconds(60), 2));
        assert!(record.probes["k"].proves_dead(3, TimeDelta::seconds(2), 2));
    }

    #[test]
    fn what_proves_nothing_counts_for_nothing() {
        let mut record = Record::default();
        let why = || "timeout".to_owned();
        record.probed("k", &ProbeAnswer::Inconclusive { endpoint: "a".into(), why: why() }, at(0));
        record.probed("k", &ProbeAnswer::Unavailable { why: why() }, at(1));
        assert_eq!(record.probes["k"].refusals, 0);
    }
}
