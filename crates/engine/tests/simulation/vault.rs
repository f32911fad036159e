//! A model of Secrets Manager and of the issuers of what it holds: versions and their labels, replicas that
//! lag, a rotation function, logins and opaque values. It knows values; the engine sees what a look tells.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use severance_lifecycle::ids::CaseId;
use severance_lifecycle::plan::{Identity, IdentityDetail, SecretDetail};
use severance_lifecycle::secret::{Holding, SecretRef, Strategy, is_of};
use severance_lifecycle::secret_view::{CURRENT, PENDING, PREVIOUS};

use crate::world::{Key, Time, User, World};

/// What a version holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Key(String),
    Login {
        user: String,
        password: u64,
    },
    Opaque(u64),
    /// Nothing that anybody can use.
    Unfit,
}

impl Value {
    /// As the store keeps it.
    pub fn text(&self) -> String {
        match self {
            Self::Key(id) => format!("key {id}"),
            Self::Login { user, password } => format!("login {user} {password}"),
            Self::Opaque(number) => format!("opaque {number}"),
            Self::Unfit => "unfit".to_owned(),
        }
    }

    pub fn read(text: &str) -> Self {
        match text.split(' ').collect::<Vec<_>>()[..] {
            ["key", id] => Self::Key(id.to_owned()),
            ["login", user, password] => {
                Self::Login { user: user.to_owned(), password: password.parse().unwrap() }
            }
            ["unfit"] => Self::Unfit,
            ["opaque", number] => Self::Opaque(number.parse().unwrap()),
            _ => panic!("a value that nobody stored"),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Version {
    pub id: String,
    pub stages: BTreeSet<String>,
    pub created: Time,
    /// From then on a listing shows it.
    pub listed: Time,
    /// When it was first handed out.
    pub current_at: Option<Time>,
    pub value: Value,
}

/// What a secret's own function is making.
#[derive(Clone, Debug)]
pub struct Running {
    pub version: String,
    pub ready: Time,
    /// It leaves its version pending.
    pub fails: bool,
}

#[derive(Clone, Debug)]
pub struct Secret {
    pub reference: SecretRef,
    pub strategy: Strategy,
    pub tags: BTreeMap<String, String>,
    pub versions: Vec<Version>,
    /// How long each replica takes to follow.
    pub replicas: BTreeMap<String, TimeDelta>,
    /// Cases whose deny stands in the resource policy.
    pub denies: BTreeSet<CaseId>,
    pub deleted_at: Option<Time>,
    pub current_since: Time,
    pub function: Option<Running>,
    pub function_failed: bool,
    /// By login: the password that is accepted.
    pub logins: BTreeMap<String, Option<u64>>,
    /// Opaque values that their issuer accepts.
    pub accepted: BTreeSet<u64>,
    /// Opaque values that it was told of and takes in by then.
    pub accepting: Vec<(Time, u64)>,
    /// Somebody else than the login itself may change its password.
    pub has_administrator: bool,
    /// Passwords with which a connection is open.
    pub sessions: BTreeSet<u64>,
    /// Connections that had begun to log in: with which password, and when they are in.
    pub logging_in: Vec<(Time, u64)>,
    /// Somebody else moved `AWSCURRENT`, and we have not moved it since.
    pub meddled: bool,
}

impl Secret {
    pub fn version(&self, id: &str) -> Option<&Version> {
        self.versions.iter().find(|it| it.id == id)
    }

    pub fn labelled(&self, label: &str) -> Option<&Version> {
        self.versions.iter().find(|it| it.stages.contains(label))
    }

    pub fn current(&self) -> &Version {
        self.labelled(CURRENT).expect("AWS keeps one version current")
    }

    pub fn is_single_login(&self) -> bool {
        self.strategy == Strategy::Database { alternating: false }
    }

    /// Moves a label, and `AWSPREVIOUS` with `AWSCURRENT`.
    pub fn move_label(&mut self, label: &str, to: &str, now: Time) {
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
                it.current_at = it.current_at.or((label == CURRENT).then_some(now));
            }
        }
        if label == CURRENT {
            self.current_since = now;
        }
    }

    /// Stores a value as pending. The same token is the same version: what was stored first stays.
    pub fn store(&mut self, id: &str, value: Value, now: Time, listed: Time) {
        if self.version(id).is_some() {
            return;
        }
        for it in &mut self.versions {
            it.stages.remove(PENDING);
        }
        let stages = BTreeSet::from([PENDING.to_owned()]);
        let id = id.to_owned();
        let (created, current_at) = (now, None);
        self.versions.push(Version { id, stages, created, listed, current_at, value });
    }

    /// Whether some version holds a key.
    pub fn holds_key(&self, key_id: &str) -> bool {
        self.versions.iter().any(|it| it.value == Value::Key(key_id.to_owned()))
    }

    pub fn identity(&self) -> Identity {
        let holds = match &self.current().value {
            Value::Key(id) => Some(Holding::AccessKey { key_id: id.clone() }),
            Value::Login { user, .. } => {
                Some(Holding::Login { login: format!("{user}@{}", self.reference.name) })
            }
            Value::Opaque(_) => Some(Holding::Login { login: self.reference.name.clone() }),
            Value::Unfit => None,
        };
        Identity {
            account: self.reference.account.clone(),
            arn: self.reference.arn.clone(),
            name: self.reference.name.clone(),
            unique_id: self.reference.arn.clone(),
            created: self.versions[0].created,
            tags: self.tags.clone(),
            detail: IdentityDetail::Secret(SecretDetail {
                region: self.reference.region.clone(),
                strategy: self.strategy.clone(),
                holds: holds.into_iter().collect(),
                last_rotated: Some(self.current().created),
                deleted_at: self.deleted_at,
                owning_service: None,
            }),
        }
    }

    /// What happens by itself: a function ends, connections come in.
    pub fn pass(&mut self, now: Time, serial: &mut u64) {
        if let Some(done) = self.function.take_if(|it| it.ready <= now) {
            *serial += 1;
            let next = *serial;
            self.store(&done.version, Value::Opaque(next), done.ready, done.ready);
            if done.fails {
                self.function_failed = true;
            } else {
                if let Value::Opaque(old) = self.current().value {
                    self.accepted.remove(&old);
                }
                self.accepted.insert(next);
                self.move_label(CURRENT, &done.version, done.ready);
            }
        }
        let landed = self.accepting.extract_if(.., |(at, _)| *at <= now);
        self.accepted.extend(landed.map(|(_, number)| number));
        let landed = self.logging_in.extract_if(.., |(at, _)| *at <= now);
        self.sessions.extend(landed.map(|(_, password)| password));
    }

    /// The password that a version's login has.
    pub fn password(&self, version: &str) -> Option<u64> {
        match self.version(version)?.value {
            Value::Login { password, .. } => Some(password),
            _ => None,
        }
    }
}

impl World {
    /// Lets what happens by itself to secrets happen.
    pub fn pass(&mut self, now: Time) {
        for secret in self.secrets.values_mut() {
            secret.pass(now, &mut self.serial);
        }
    }

    pub fn secret_named(&self, name: &str) -> Option<&Secret> {
        self.secrets.values().find(|secret| secret.reference.name == name)
    }

    pub fn key(&self, key_id: &str) -> Option<(&User, &Key)> {
        let keys =
            self.users.values().flat_map(|user| user.keys.iter().map(move |key| (user, key)));
        let mut keys = keys.filter(|(_, key)| key.id == key_id);
        keys.next()
    }

    /// Whether the issuer accepts a value in every place.
    pub fn accepts(&self, secret: &Secret, value: &Value, now: Time) -> bool {
        match value {
            Value::Key(id) => self
                .key(id)
                .is_some_and(|(_, key)| (0..=4).all(|q| key.status.holds_at(now, q).is_active())),
            Value::Login { user, password } => {
                secret.logins.get(user).copied().flatten() == Some(*password)
            }
            Value::Opaque(number) => secret.accepted.contains(number),
            Value::Unfit => false,
        }
    }

    /// Whether it is accepted in one place at least.
    pub fn still_accepts(&self, secret: &Secret, value: &Value, now: Time) -> bool {
        match value {
            Value::Key(id) => self.key_works(id, now),
            other => self.accepts(secret, other, now),
        }
    }

    /// Secrets of which a version holds a key.
    pub fn holders<'a>(&'a self, key_id: &'a str) -> impl Iterator<Item = &'a Secret> + 'a {
        self.secrets.values().filter(move |secret| secret.holds_key(key_id))
    }

    /// Whether a key was made by us and its secret half is in no version.
    pub fn is_orphan(&self, key: &Key) -> bool {
        key.version.is_some() && self.holders(&key.id).next().is_none()
    }

    /// Keys that a task made and that are there and switched on.
    pub fn keys_made_by(&self, task: &severance_lifecycle::ids::TaskId) -> Vec<String> {
        let keys = self.users.values().flat_map(|user| &user.keys);
        keys.filter(|key| key.version.as_ref().is_some_and(|version| is_of(version, task)))
            .filter(|key| key.status.read().is_active())
            .map(|key| key.id.clone())
            .collect()
    }
}
