//! What a rotation goes by, and what it has done and seen.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::secret::{Holding, Issuer};
use crate::secret_action::SecretAction;
use crate::secret_view::Held;

/// How long clients keep a secret's value, commonly (AWS: Secrets Manager User Guide, caching clients). A
/// grace that is shorter ends before the last of them has looked again.
pub const CLIENT_CACHE: TimeDelta = TimeDelta::hours(1);

/// How a secret is rotated: a zone's settings applied to one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationTerms {
    /// How long the old credential keeps working once the new one is handed out.
    pub grace: TimeDelta,
    /// What goes first where the old credential is exposed.
    pub order: RevokeOrder,
    /// From when on what is exposed dies though nothing that could follow it works; `None`: it waits for
    /// what follows it, however long that takes.
    pub replace_by: Option<DateTime<Utc>>,
    /// Versions that were stored before this moment are exposed; `None` where nothing is.
    pub exposed_at: Option<DateTime<Utc>>,
    /// Nothing is to follow: every version is as good as exposed, whenever it was stored.
    pub ends: bool,
    /// Who may not read the secret any more: denied before a new value is stored.
    pub leaving: BTreeSet<String>,
    /// How many acceptances in a row say that a new credential works.
    pub acceptances: u32,
    /// How long a new credential may be refused before a person is asked.
    pub patience: TimeDelta,
    /// How long somebody else's `AWSPENDING` version is left alone, and how long a rotation function may
    /// take.
    pub pending_patience: TimeDelta,
    /// How long a replica may lag before a person is asked.
    pub replica_patience: TimeDelta,
    /// Keys that cases of ours switched off and proved dead: they may go before their quarantine ends
    /// where a new key needs their place.
    pub dead_keys: BTreeSet<String>,
    /// How long a deleted secret can be restored, in days.
    pub recovery_days: u8,
}

/// What goes first where the old credential is exposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevokeOrder {
    /// The old credential dies at once; whoever uses it waits for the new one.
    RevokeFirst,
    /// The new one is handed out first, where that can be done by the deadline.
    #[default]
    ReplaceThenRevoke,
}

impl Default for RotationTerms {
    fn default() -> Self {
        Self {
            // Twice, to leave room.
            grace: CLIENT_CACHE * 2,
            order: RevokeOrder::default(),
            replace_by: None,
            exposed_at: None,
            ends: false,
            leaving: BTreeSet::new(),
            acceptances: 2,
            // A new key takes 5 to 15 s to be accepted everywhere.
            patience: TimeDelta::minutes(5),
            pending_patience: TimeDelta::minutes(30),
            replica_patience: TimeDelta::minutes(30),
            dead_keys: BTreeSet::new(),
            recovery_days: 30,
        }
    }
}

/// What a rotation has done and seen. Losing the newest part of it costs repeated calls, never a wrong
/// end. All times are on the provider's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RotationRecord {
    /// What was current when the task first looked.
    pub old: Option<OldVersion>,
    /// Its issuer accepted what that version names: a key as one of the user's whose key is to be replaced.
    pub possessed: bool,
    /// The user's own tags name the zone of the secret, and that is one; by the last look at them.
    pub vouched: bool,
    /// What the secret handed out when this was planned, where that is exposed: others may hand it out still
    /// when this one does no more.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub held: BTreeSet<Holding>,
    /// Exposed versions beside that one which were on a label at some look, or had lost it: what another
    /// rotation was about to hand out, or left its grace.
    pub beside: BTreeSet<String>,
    /// The keys of those versions: once its label is gone, a version is not looked at any more.
    pub beside_keys: BTreeSet<String>,
    /// The version that was current at the last look, and since when it is handed out.
    pub current: Option<HandedOut>,
    /// Keys that this secret handed out, by the looks so far, or that are in a version of ours: still this
    /// secret's own when their version has lost its label and is not looked at any more.
    pub own_keys: BTreeSet<String>,
    /// Since when a key of the user has been switched off, by key id.
    pub off_since: BTreeMap<String, DateTime<Utc>>,
    /// Since when every look in a row that found the secret missing found its old key missing too.
    pub key_missing_since: Option<DateTime<Utc>>,
    /// Since when somebody else's version has been seen pending.
    pub pending_since: BTreeMap<String, DateTime<Utc>>,
    /// When the issuer was told of a version, or a function was asked to make it.
    pub set: BTreeMap<String, DateTime<Utc>>,
    /// Versions of which the issuer was told that they are current.
    pub finished: BTreeSet<String>,
    /// Versions that the issuer was told to refuse.
    pub retired: BTreeSet<String>,
    /// Versions whose sessions at the issuer were ended.
    pub ended: BTreeSet<String>,
    /// Versions whose sessions were ended once, and when those are surely in who had begun to log in
    /// before: then they are ended once more.
    pub stragglers_until: BTreeMap<String, DateTime<Utc>>,
    /// How often the issuer did what it was told, by action and version; see
    /// [`attempt`](Self::attempt).
    pub told: BTreeMap<String, u32>,
    /// The version that was made current.
    pub new: Option<String>,
    /// When a look first found the new version current.
    pub promoted_at: Option<DateTime<Utc>>,
    /// When a look first found it so, since the old one was current last: others may have handed that out once
    /// more in between.
    pub grace_from: Option<DateTime<Utc>>,
    /// When a look first found every replica in step with it.
    pub in_step_at: Option<DateTime<Utc>>,
    /// When the old credential was first proven dead.
    pub old_dead_at: Option<DateTime<Utc>>,
}

/// What a rotation leaves behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldVersion {
    /// The version.
    pub version: String,
    /// What it holds.
    pub held: Held,
}

/// A version that is current.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedOut {
    /// The version.
    pub version: String,
    /// Since when, as far as can be told: what came before it has its grace from then.
    pub since: DateTime<Utc>,
}

impl RotationTerms {
    /// Whether sessions and what they reach must go with the old credential.
    pub fn is_thorough(&self) -> bool {
        self.ends || self.exposed_at.is_some() || !self.leaving.is_empty()
    }
}

/// How long a rotation took, by what its record saw. Where the old credential died first, there was no
/// overlap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RotationTimes {
    /// Seconds from the notice until the new credential was handed out in every region.
    pub time_to_rotate: f64,
    /// Seconds in which both were handed out or accepted; `None` where the old one is not proven dead.
    pub overlap: Option<f64>,
    /// Seconds from the issuer taking the new credential, and with that refusing the old one, until it was
    /// handed out; `None` where both work for a while.
    pub gap: Option<f64>,
}

impl RotationRecord {
    /// How long it took; `None` before the new credential is handed out everywhere.
    pub fn times(&self, issuer: &Issuer, noticed_at: DateTime<Utc>) -> Option<RotationTimes> {
        // Clocks of two machines may disagree a little.
        let seconds =
            |from: DateTime<Utc>, to: DateTime<Utc>| (to - from).as_seconds_f64().max(0.0);
        let promoted_at = self.promoted_at?;
        Some(RotationTimes {
            time_to_rotate: seconds(noticed_at, self.in_step_at?),
            overlap: self.old_dead_at.map(|dead_at| seconds(promoted_at, dead_at)),
            gap: self.set_at(issuer).map(|set_at| seconds(set_at, promoted_at)),
        })
    }

    /// When the one password of a login was replaced.
    fn set_at(&self, issuer: &Issuer) -> Option<DateTime<Utc>> {
        let in_place = matches!(issuer, Issuer::Database { alternating: false });
        self.set.get(self.new.as_ref().filter(|_| in_place)?).copied()
    }

    /// Tells one wish from the next: the same for every repetition after a failure or a crash, and
    /// another one once the issuer did it, since what it did may have been undone by somebody.
    pub fn attempt(&self, what: &SecretAction) -> u32 {
        match what {
            SecretAction::Try { sample, .. } => *sample,
            _ => self.told.get(&site(what)).copied().unwrap_or_default(),
        }
    }

    pub(crate) fn was_told(&mut self, what: &SecretAction) {
        *self.told.entry(site(what)).or_default() += 1;
    }

    /// The access key that is left behind, where it is one.
    pub fn old_key(&self) -> Option<&str> {
        self.old.as_ref()?.key_id()
    }
}

impl OldVersion {
    /// The access key that it holds.
    pub fn key_id(&self) -> Option<&str> {
        match &self.held {
            Held::AccessKey { key_id } => Some(key_id),
            _ => None,
        }
    }
}

fn site(what: &SecretAction) -> String {
    format!("{} {}", what.name(), what.which())
}

const SERIES: &str = "version/";

/// The name under which tries of a version are kept beside those of keys.
pub fn series(version: &str) -> String {
    format!("{SERIES}{version}")
}

/// Whether a name is of tries of a version.
pub(crate) fn is_series(name: &str) -> bool {
    name.starts_with(SERIES)
}
