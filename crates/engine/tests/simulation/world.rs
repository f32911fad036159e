//! A model of IAM: users, keys, roles, sessions, and changes that take time to hold everywhere.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use severance_lifecycle::action::{DenyHandle, DenyPlace, DenyScope, SideCredential};
use severance_lifecycle::credential::{RoleRef, UserRef};
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::observe::KeyStatus;
use severance_lifecycle::plan::{Identity, IdentityDetail};
use severance_lifecycle::trust;

use crate::vault::Secret;

pub type Time = DateTime<Utc>;

/// A value whose changes are read back at once and hold everywhere only later.
#[derive(Clone, Debug)]
pub struct Spread<T> {
    log: Vec<(Time, TimeDelta, T)>,
}

impl<T: Clone> Spread<T> {
    pub fn new(value: T) -> Self {
        Self { log: vec![(DateTime::<Utc>::MIN_UTC, TimeDelta::zero(), value)] }
    }

    pub fn set(&mut self, value: T, at: Time, lag: TimeDelta) {
        self.log.push((at, lag, value));
    }

    /// What the provider's record says.
    pub fn read(&self) -> &T {
        &self.log.last().unwrap().2
    }

    /// What holds at the slowest host.
    pub fn holds(&self, now: Time) -> &T {
        self.holds_at(now, 4)
    }

    /// What holds at a host that takes so many quarters of the lag.
    pub fn holds_at(&self, now: Time, quarters: i32) -> &T {
        let here = |(at, lag, _): &&(Time, TimeDelta, T)| *at <= now - *lag * quarters / 4;
        &self.log.iter().rev().find(here).unwrap_or(&self.log[0]).2
    }
}

#[derive(Clone, Debug)]
pub struct Key {
    pub id: String,
    pub status: Spread<KeyStatus>,
    pub created: Time,
    pub probeable: bool,
    /// From then on a listing shows it.
    pub listed: Time,
    pub used: bool,
    /// The version of a secret that it was made for by us.
    pub version: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Side {
    pub kind: SideCredential,
    pub id: String,
    pub active: bool,
}

pub type Denies = Spread<BTreeMap<DenyHandle, DenyScope>>;

#[derive(Clone, Debug)]
pub struct User {
    pub account: AccountId,
    pub name: String,
    pub id: String,
    pub created: Time,
    pub tags: BTreeMap<String, String>,
    pub keys: Vec<Key>,
    pub login: Option<Time>,
    pub sides: Vec<Side>,
    pub mfa: BTreeSet<String>,
    pub denies: Denies,
    pub full: BTreeSet<DenyPlace>,
}

#[derive(Clone, Debug)]
pub struct Role {
    pub account: AccountId,
    pub name: String,
    pub id: String,
    pub tags: BTreeMap<String, String>,
    pub trust: Spread<Value>,
    pub denies: Denies,
    pub max_session: i64,
}

/// A session somebody minted: of a user (`of` is the user's id) or of a role.
#[derive(Clone, Debug)]
pub struct Session {
    pub of: String,
    /// Whose credential it came from: a key id, or an outside principal.
    pub from: String,
    pub issued: Time,
    pub ends: Time,
}

#[derive(Clone, Debug, Default)]
pub struct World {
    pub users: BTreeMap<(AccountId, String), User>,
    pub roles: BTreeMap<(AccountId, String), Role>,
    /// By ARN.
    pub secrets: BTreeMap<String, Secret>,
    pub sessions: Vec<Session>,
    /// When somebody else last changed an identity, by lock.
    pub touched: BTreeMap<String, Time>,
    pub serial: u64,
    /// Whom others let in by an edit: role id and principal.
    pub added: Vec<(String, String)>,
}

impl User {
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:user/{}", self.account, self.name)
    }

    pub fn lock(&self) -> String {
        format!("user/{}/{}", self.account, self.name)
    }

    pub fn identity(&self) -> Identity {
        Identity {
            account: self.account.clone(),
            arn: self.arn(),
            name: self.name.clone(),
            unique_id: self.id.clone(),
            created: self.created,
            tags: self.tags.clone(),
            detail: IdentityDetail::User {
                access_keys: self.keys.iter().map(|key| key.id.clone()).collect(),
                policies: Vec::new(),
                credentials: self.keys.len() + self.sides.len() + usize::from(self.login.is_some()),
            },
        }
    }
}

impl Role {
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:role/{}", self.account, self.name)
    }

    pub fn lock(&self) -> String {
        format!("role/{}/{}", self.account, self.name)
    }

    pub fn identity(&self) -> Identity {
        Identity {
            account: self.account.clone(),
            arn: self.arn(),
            name: self.name.clone(),
            unique_id: self.id.clone(),
            created: DateTime::<Utc>::MIN_UTC,
            tags: self.tags.clone(),
            detail: IdentityDetail::Role {
                trust: self.trust.read().clone(),
                max_session_seconds: u32::try_from(self.max_session).unwrap(),
                service_linked: false,
            },
        }
    }

    /// Whether a service assumes it.
    pub fn is_of_a_service(&self) -> bool {
        !trust::read(self.trust.read(), &trust::Partner::default()).services.is_empty()
    }

    pub fn lets_in(&self, principal: &str, now: Time) -> bool {
        trust::principals(self.trust.holds(now)).iter().any(|p| p == principal)
    }
}

fn denied(denies: &Denies, issued: Option<Time>, now: Time) -> bool {
    denies.holds(now).values().any(|scope| match (scope, issued) {
        (DenyScope::Everything, _) => true,
        (DenyScope::SessionsBefore(cutoff), Some(issued)) => issued < *cutoff,
        (DenyScope::SessionsBefore(_), None) => false,
    })
}

impl World {
    pub fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub fn user_mut(&mut self, user: &UserRef) -> Option<&mut User> {
        self.users
            .get_mut(&(user.account.clone(), user.name.clone()))
            .filter(|found| found.id == user.id)
    }

    pub fn role_mut(&mut self, role: &RoleRef) -> Option<&mut Role> {
        self.roles
            .get_mut(&(role.account.clone(), role.name.clone()))
            .filter(|found| found.id == role.id)
    }

    pub fn user_of_key(&self, key_id: &str) -> Option<&User> {
        self.users.values().find(|user| user.keys.iter().any(|key| key.id == key_id))
    }

    /// Whether a key authenticates anywhere.
    pub fn key_works(&self, key_id: &str, now: Time) -> bool {
        self.users
            .values()
            .flat_map(|user| &user.keys)
            .any(|key| key.id == key_id && (0..=4).any(|q| key.status.holds_at(now, q).is_active()))
    }

    pub fn session_works(&self, session: &Session, now: Time) -> bool {
        if now >= session.ends {
            return false;
        }
        let user = self.users.values().find(|user| user.id == session.of);
        let role = self.roles.values().find(|role| role.id == session.of);
        let denies = user.map(|u| &u.denies).or(role.map(|r| &r.denies));
        denies.is_some_and(|denies| !denied(denies, Some(session.issued), now))
    }

    /// Whoever holds a key mints what it can: a session of the user, and sessions of roles.
    pub fn mint_from_key(&mut self, key_id: &str, now: Time) {
        if !self.key_works(key_id, now) {
            return;
        }
        let Some(user) = self.user_of_key(key_id).cloned() else { return };
        self.keep_session(Session {
            of: user.id.clone(),
            from: key_id.to_owned(),
            issued: now,
            ends: now + TimeDelta::hours(36),
        });
        if !denied(&user.denies, None, now) {
            self.assume(&user.arn(), key_id, now);
        }
    }

    /// A principal assumes every role that lets it in, and from there the next.
    pub fn assume(&mut self, principal: &str, from: &str, now: Time) {
        let mut reached: Vec<Role> = Vec::new();
        let mut names = vec![principal.to_owned()];
        while let Some(name) = names.pop() {
            for role in self.roles.values() {
                let known = reached.iter().any(|r| r.id == role.id);
                if !known && role.lets_in(&name, now) {
                    names.push(role.arn());
                    reached.push(role.clone());
                }
            }
        }
        for role in reached {
            let ends = now + TimeDelta::seconds(role.max_session);
            self.keep_session(Session { of: role.id, from: from.to_owned(), issued: now, ends });
        }
    }

    /// Of one source only the youngest sessions are kept: they are the hardest to cut.
    fn keep_session(&mut self, session: Session) {
        let same = |s: &&Session| s.of == session.of && s.from == session.from;
        if self.sessions.iter().filter(same).count() >= 3 {
            let oldest = self.sessions.iter().position(|s| same(&s)).unwrap();
            self.sessions.remove(oldest);
        }
        self.sessions.push(session);
    }

    pub fn touch(&mut self, lock: &str, now: Time) {
        self.touched.insert(lock.to_owned(), now);
    }

    /// Sessions that came from a source and still work.
    pub fn working_sessions(&self, from: &str, now: Time) -> Vec<&Session> {
        self.sessions.iter().filter(|s| s.from == from && self.session_works(s, now)).collect()
    }
}

/// A trust policy with one statement.
pub fn trusting(principals: &[String]) -> Value {
    json!({"Version": "2012-10-17", "Statement": [
        {"Sid": "in", "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principals}}
    ]})
}

/// The same, with a service that may assume the role too.
pub fn trusting_service(principals: &[String], service: &str) -> Value {
    let mut document = trusting(principals);
    document["Statement"][0]["Principal"]["Service"] = service.into();
    document
}
