//! A secret, its issuer and whoever else is about, as they truly are: what the rotation is held against.
//! It knows values, clocks and spreading; the code under test sees only what [`World::observe`] tells.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use severance_lifecycle::action::Action;
use severance_lifecycle::credential::UserRef;
use severance_lifecycle::observe::{
    DenyState, KeyState, KeyStatus, KeyView, Observed, Presence, View,
};
use severance_lifecycle::record::{ProbeAnswer, Record};
use severance_lifecycle::secret::{Issuer, SecretRef};
use severance_lifecycle::secret_action::SecretAction;
use severance_lifecycle::secret_view::{
    CURRENT, Held, PENDING, PREVIOUS, ReplicaState, SecretView, UserKey, UserKeys, VersionState,
};

/// How long what was changed takes to hold.
pub(crate) const SPREAD: TimeDelta = TimeDelta::seconds(7);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Key(String),
    Login { user: String, password: u32 },
    Opaque(u32),
}

#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) id: String,
    pub(crate) stages: BTreeSet<String>,
    pub(crate) created: DateTime<Utc>,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) active: bool,
    pub(crate) created: DateTime<Utc>,
    pub(crate) switched: DateTime<Utc>,
    pub(crate) used: bool,
    pub(crate) ours: bool,
}

#[allow(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub(crate) struct World {
    pub(crate) now: DateTime<Utc>,
    pub(crate) issuer: Issuer,
    pub(crate) secret: SecretRef,
    pub(crate) versions: Vec<Version>,
    pub(crate) keys: Vec<Key>,
    /// By login: the password that is accepted.
    pub(crate) logins: BTreeMap<String, Option<u32>>,
    /// Opaque values that their issuer accepts.
    pub(crate) accepted: BTreeSet<u32>,
    pub(crate) denies: Vec<DenyState>,
    pub(crate) denied: bool,
    /// Keys that another secret hands out too.
    pub(crate) elsewhere: BTreeSet<String>,
    pub(crate) deleted_at: Option<DateTime<Utc>>,
    /// When each replica last took over what is current.
    pub(crate) replicas: BTreeMap<String, (String, DateTime<Utc>)>,
    /// Whether they take over anything at all.
    pub(crate) replicas_follow: bool,
    /// The version that the secret's own function is making.
    pub(crate) function: Option<(String, DateTime<Utc>)>,
    /// How long it takes until a listing shows a new key, and a new version.
    pub(crate) lag: (TimeDelta, TimeDelta),
    /// A call that was given up long ago and lands then: the version and the key that it stores.
    pub(crate) late: Option<(DateTime<Utc>, String, String)>,
    pub(crate) numbers: u32,
    pub(crate) keys_made: u32,
    pub(crate) sessions_of: BTreeSet<u32>,
    /// Whether somebody but the login itself may change it.
    pub(crate) administered: bool,
    /// The issuer says yes and does nothing.
    pub(crate) deaf: bool,
    /// Versions that name a key whose secret half they do not hold.
    pub(crate) forged: BTreeSet<String>,
    /// Keys that are another user's.
    pub(crate) strangers: BTreeSet<String>,
    /// The issuer answers no try.
    pub(crate) mute: bool,
    /// Whether it can be found at all.
    pub(crate) gone: bool,
    /// The version that the issuer was told of last, as far as the task knows.
    pub(crate) told: Option<String>,
}

/// So many other values are tried where the one that a new one follows is refused.
const MOST_OTHERS: usize = 3;

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The state is not what the call assumed.
    Conflict,
    /// The user has two keys.
    Full,
    /// Nobody is let in who could do it.
    NotLetIn,
}

pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

pub(crate) fn user() -> UserRef {
    UserRef { account: "111111111111".into(), name: "app".into(), id: "AIDA1".into() }
}

fn labels(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|&label| label.to_owned()).collect()
}

impl World {
    pub(crate) fn new(issuer: Issuer) -> Self {
        let secret = SecretRef {
            account: "111111111111".into(),
            region: "eu-west-1".into(),
            arn: "arn:aws:secretsmanager:eu-west-1:111111111111:secret:app-AbCdEf".into(),
            name: "app".into(),
        };
        let mut world = Self {
            now: at(0),
            issuer,
            secret,
            versions: Vec::new(),
            keys: Vec::new(),
            logins: BTreeMap::new(),
            accepted: BTreeSet::new(),
            denies: Vec::new(),
            denied: false,
            elsewhere: BTreeSet::new(),
            deleted_at: None,
            replicas: BTreeMap::new(),
            replicas_follow: true,
            function: None,
            lag: (TimeDelta::zero(), TimeDelta::zero()),
            late: None,
            numbers: 0,
            keys_made: 0,
            sessions_of: BTreeSet::new(),
            administered: true,
            deaf: false,
            forged: BTreeSet::new(),
            strangers: BTreeSet::new(),
            mute: false,
            gone: false,
            told: None,
        };
        let value = world.first_value();
        world.versions.push(Version {
            id: "EXAMPLE1-90ab-cdef-fedc-ba9876543210".into(),
            stages: labels(&[CURRENT]),
            created: at(-1_000_000),
            value,
        });
        world
    }

    fn first_value(&mut self) -> Value {
        match self.issuer {
            Issuer::AccessKey { .. } => {
                self.keys.push(Key {
                    id: "AKIAOLD".into(),
                    active: true,
                    created: at(-1_000_000),
                    switched: at(-1_000_000),
                    used: true,
                    ours: true,
                });
                Value::Key("AKIAOLD".into())
            }
            Issuer::Database { .. } => {
                self.logins.insert("app".into(), Some(0));
                Value::Login { user: "app".into(), password: 0 }
            }
            _ => {
                self.accepted.insert(0);
                Value::Opaque(0)
            }
        }
    }

    pub(crate) fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    pub(crate) fn version(&self, id: &str) -> Option<&Version> {
        self.versions.iter().find(|it| it.id == id)
    }

    pub(crate) fn labelled(&self, label: &str) -> Option<&Version> {
        self.versions.iter().find(|it| it.stages.contains(label))
    }

    pub(crate) fn current(&self) -> &Version {
        self.labelled(CURRENT).expect("AWS keeps one version current")
    }

    /// Whether the issuer accepts a value at this moment, in one place or another.
    pub(crate) fn accepts(&self, value: &Value) -> bool {
        match value {
            Value::Key(id) => self
                .keys
                .iter()
                .any(|key| key.id == *id && (key.active != (self.now < key.switched + SPREAD))),
            Value::Login { user, password } => {
                self.logins.get(user).copied().flatten() == Some(*password)
            }
            Value::Opaque(number) => self.accepted.contains(number),
        }
    }

    /// Whether the issuer will accept it, once all has spread.
    pub(crate) fn will_accept(&self, value: &Value) -> bool {
        match value {
            Value::Key(id) => self.keys.iter().any(|key| key.id == *id && key.active),
            other => self.accepts(other),
        }
    }

    /// Moves a label; `AWSPREVIOUS` follows `AWSCURRENT`.
    pub(crate) fn move_label(&mut self, label: &str, to: &str) {
        let from = self.labelled(label).map(|it| it.id.clone());
        if from.as_deref() == Some(to) || self.version(to).is_none() {
            return;
        }
        for it in &mut self.versions {
            it.stages.remove(label);
            if label == CURRENT {
                it.stages.remove(PREVIOUS);
                if Some(&it.id) == from.as_ref() {
                    it.stages.insert(PREVIOUS.to_owned());
                }
            }
            if it.id == to {
                it.stages.insert(label.to_owned());
            }
        }
    }

    fn store(&mut self, id: &str, value: Value) {
        for it in &mut self.versions {
            it.stages.remove(PENDING);
        }
        if self.version(id).is_none() {
            let (created, id) = (self.now, id.to_owned());
            self.versions.push(Version { id, stages: labels(&[PENDING]), created, value });
        } else {
            self.move_label(PENDING, id);
        }
    }

    /// Somebody stores a value and makes it current.
    pub(crate) fn put_by_hand(&mut self, id: &str, value: Value) {
        let created = self.now;
        self.versions.push(Version { id: id.into(), stages: BTreeSet::new(), created, value });
        self.move_label(CURRENT, id);
    }

    /// Somebody stores a value that waits.
    pub(crate) fn put_pending(&mut self, id: &str, value: Value) {
        self.store(id, value);
    }

    /// Lets time pass, and what happens by itself happen.
    pub(crate) fn pass(&mut self, until: DateTime<Utc>) {
        self.now = until.max(self.now);
        let current = self.current().id.clone();
        for (version, since) in self.replicas.values_mut() {
            if *version != current && self.replicas_follow {
                (*version, *since) = (current.clone(), self.now);
            }
        }
        if let Some((_, version, key)) = self.late.take_if(|(lands, ..)| *lands <= until) {
            self.store(&version, Value::Key(key));
        }
        if let Some((id, _)) = self.function.take_if(|(_, ready)| *ready <= until) {
            let number = self.number();
            let old = match self.current().value {
                Value::Opaque(old) => old,
                _ => u32::MAX,
            };
            self.accepted.remove(&old);
            self.accepted.insert(number);
            self.store(&id, Value::Opaque(number));
            self.move_label(CURRENT, &id);
        }
    }

    pub(crate) fn observe(&self, record: &Record) -> Observed {
        let listed =
            |it: &&Version| it.stages.contains(CURRENT) || it.created + self.lag.1 <= self.now;
        let versions = self.versions.iter().filter(listed).map(|it| VersionState {
            id: it.id.clone(),
            stages: it.stages.clone(),
            created: it.created,
            held: match &it.value {
                Value::Key(id) => Held::AccessKey { key_id: id.clone() },
                Value::Login { user, .. } => Held::Login { username: user.clone() },
                Value::Opaque(_) => Held::Opaque,
            },
        });
        let current = &self.current().id;
        let replicas = self.replicas.iter().map(|(region, (version, since))| ReplicaState {
            region: region.clone(),
            in_sync: version == current && self.now >= *since + SPREAD,
            status: "InProgress".into(),
        });
        if self.gone {
            let keys = matches!(self.issuer, Issuer::AccessKey { .. });
            let view = SecretView {
                secret: Presence::Missing,
                deleted_at: None,
                owning_service: None,
                has_function: false,
                versions: Vec::new(),
                replicas: Vec::new(),
                denied: false,
                keys: keys.then(|| self.user_keys(record)),
            };
            return Observed { at: self.now, view: View::Secret(view) };
        }
        let view = SecretView {
            secret: Presence::Same,
            deleted_at: self.deleted_at,
            owning_service: None,
            has_function: self.issuer == Issuer::Managed,
            versions: versions.collect(),
            replicas: replicas.collect(),
            denied: self.denied,
            keys: matches!(self.issuer, Issuer::AccessKey { .. }).then(|| self.user_keys(record)),
        };
        Observed { at: self.now, view: View::Secret(view) }
    }

    fn user_keys(&self, record: &Record) -> UserKeys {
        let state = |key: &Key| KeyState {
            id: key.id.clone(),
            status: if key.active { KeyStatus::Active } else { KeyStatus::Inactive },
            created: key.created,
            probeable: self.versions.iter().any(|it| it.value == Value::Key(key.id.clone())),
        };
        let old = match (record.rotation.old.as_ref().map(|old| &old.held), &self.current().value) {
            (Some(Held::AccessKey { key_id }), _) | (None, Value::Key(key_id)) => Some(KeyView {
                user: Presence::Same,
                key: self.keys.iter().find(|key| key.id == *key_id).map(state),
                denies: self.denies.clone(),
                roles: Vec::new(),
                intruders: Vec::new(),
                others: BTreeMap::new(),
            }),
            _ => None,
        };
        let listed =
            |key: &&Key| key.created + self.lag.0 <= self.now && !self.strangers.contains(&key.id);
        let keys = self.keys.iter().filter(listed).map(|key| UserKey {
            state: state(key),
            used: key.used,
            elsewhere: self.elsewhere.contains(&key.id),
        });
        UserKeys { user: Presence::Same, keys: keys.collect(), old }
    }

    /// Carries out an action, as the provider does; a probe's answer where it is one.
    pub(crate) fn act(&mut self, action: &Action) -> Result<Option<ProbeAnswer>, Refused> {
        match action {
            Action::DeactivateKey { key_id, .. } => {
                let now = self.now;
                let key = self.keys.iter_mut().find(|key| key.id == *key_id);
                if let Some(key) = key.filter(|key| key.active) {
                    (key.active, key.switched) = (false, now);
                }
            }
            Action::DeleteKey { key_id, .. } => self.keys.retain(|key| key.id != *key_id),
            Action::DenyUser { deny, .. } => {
                self.denies.retain(|old| old.handle != deny.handle);
                self.denies
                    .push(DenyState { handle: deny.handle.clone(), scope: Some(deny.scope) });
            }
            Action::Probe { key_id, sample, .. } => {
                let known = self.accepts(&Value::Key(key_id.clone()));
                return Ok(Some(answer(known, *sample)));
            }
            Action::Secret { what, .. } => return self.act_on_secret(what),
            other => panic!("no rotation asks for {other}"),
        }
        Ok(None)
    }

    #[allow(clippy::too_many_lines, reason = "one arm an action")]
    fn act_on_secret(&mut self, what: &SecretAction) -> Result<Option<ProbeAnswer>, Refused> {
        match what {
            SecretAction::Set { .. } | SecretAction::Retire { .. } if self.deaf => {}
            SecretAction::MakeKey { version, .. } => {
                let key = self.make_key(true)?;
                self.store(version, Value::Key(key));
            }
            SecretAction::Prepare { version, from } => {
                if self.version(version).is_none() {
                    let from = self.version(from).map(|it| it.value.clone());
                    let value = self.next_value(from);
                    self.store(version, value);
                }
            }
            SecretAction::Set { version, from, others }
                if !self.is_let_in(version, [version, from].into_iter().chain(others)) =>
            {
                return Err(Refused::NotLetIn);
            }
            SecretAction::Set { version, .. } => match self.version(version).map(|it| &it.value) {
                Some(Value::Login { user, password }) => {
                    self.logins.insert(user.clone(), Some(*password));
                }
                Some(Value::Opaque(number)) => {
                    self.accepted.insert(*number);
                }
                _ => return Err(Refused::Conflict),
            },
            SecretAction::Rotate { version } => {
                if self.version(version).is_none() && self.function.is_none() {
                    self.function = Some((version.clone(), self.now + TimeDelta::seconds(40)));
                }
            }
            SecretAction::Try { .. } if self.mute => {
                let (endpoint, why) = ("issuer".to_owned(), "timeout".to_owned());
                return Ok(Some(ProbeAnswer::Inconclusive { endpoint, why }));
            }
            SecretAction::Try { version, sample } => {
                let value = self.version(version).ok_or(Refused::Conflict)?.value.clone();
                // A key that does not work is refused before its signature is looked at.
                if self.forged.contains(version) && self.accepts(&value) {
                    return Ok(Some(ProbeAnswer::Unavailable { why: "wrong half".into() }));
                }
                if let Value::Key(id) = &value {
                    self.keys
                        .iter_mut()
                        .filter(|key| key.id == *id)
                        .for_each(|key| key.used = true);
                }
                return Ok(Some(answer(self.accepts(&value), *sample)));
            }
            SecretAction::Promote { version, from } => {
                if from.as_ref() != Some(&self.current().id) || self.version(version).is_none() {
                    return Err(Refused::Conflict);
                }
                self.move_label(CURRENT, version);
            }
            // The login itself could not be given a new password after that.
            SecretAction::Retire { version, .. }
                if !self.administered && self.is_let_in(version, [version]) =>
            {
                return Err(Refused::NotLetIn);
            }
            SecretAction::EndSessions { version } if !self.is_let_in(version, &self.told) => {
                return Err(Refused::NotLetIn);
            }
            SecretAction::Retire { version, .. } => {
                match self.version(version).map(|it| it.value.clone()) {
                    Some(Value::Login { user, password }) => {
                        let login = self.logins.entry(user).or_default();
                        if *login == Some(password) {
                            *login = None;
                        }
                    }
                    Some(Value::Opaque(number)) => {
                        self.accepted.remove(&number);
                    }
                    _ => return Err(Refused::Conflict),
                }
            }
            SecretAction::EndSessions { version } => {
                if let Some(Value::Login { password, .. }) =
                    self.version(version).map(|it| &it.value)
                {
                    self.sessions_of.remove(&password.clone());
                }
            }
            SecretAction::DropLabel { label, version } => {
                let it = self.versions.iter_mut().find(|it| it.id == *version);
                if !it.is_some_and(|it| it.stages.remove(label)) {
                    return Err(Refused::Conflict);
                }
            }
            SecretAction::Deny { .. } => self.denied = true,
            SecretAction::Allow { .. } => self.denied = false,
            SecretAction::RemoveReplicas { .. } => self.replicas.clear(),
            SecretAction::ScheduleDeletion { .. } => self.deleted_at = Some(self.now),
            SecretAction::Restore => self.deleted_at = None,
            SecretAction::Finish { .. } => {}
        }
        Ok(None)
    }

    /// Whether somebody may act as the login of a version: an administrator, or whoever knows one of the
    /// first of these values.
    fn is_let_in<'a>(&self, of: &str, by: impl IntoIterator<Item = &'a String>) -> bool {
        let Some(Value::Login { user, .. }) = self.version(of).map(|it| &it.value) else {
            return true;
        };
        let mut known = by.into_iter().take(2 + MOST_OTHERS).filter_map(|id| self.version(id));
        let is_accepted = |value: &Value| {
            matches!(value, Value::Login { user: it, .. } if it == user) && self.accepts(value)
        };
        self.administered || known.any(|version| is_accepted(&version.value))
    }

    pub(crate) fn make_key(&mut self, ours: bool) -> Result<String, Refused> {
        if self.keys.len() >= 2 {
            return Err(Refused::Full);
        }
        let id = format!("AKIA{}{}", if ours { "NEW" } else { "OTHER" }, self.number());
        self.keys_made += u32::from(ours);
        let (created, switched) = (self.now, self.now);
        // Somebody else who makes a key uses it.
        self.keys.push(Key { id: id.clone(), active: true, created, switched, used: !ours, ours });
        Ok(id)
    }

    fn next_value(&mut self, from: Option<Value>) -> Value {
        let number = self.number();
        match (from, &self.issuer) {
            (Some(Value::Login { user, .. }), Issuer::Database { alternating: true }) => {
                let user = match user.strip_suffix("_clone") {
                    Some(user) => user.to_owned(),
                    None => format!("{user}_clone"),
                };
                Value::Login { user, password: number }
            }
            (Some(Value::Login { user, .. }), _) => Value::Login { user, password: number },
            _ => Value::Opaque(number),
        }
    }
}

fn answer(accepted: bool, sample: u32) -> ProbeAnswer {
    let endpoint = format!("region-{}", sample % 2);
    if accepted { ProbeAnswer::Accepted { endpoint } } else { ProbeAnswer::Refused { endpoint } }
}
