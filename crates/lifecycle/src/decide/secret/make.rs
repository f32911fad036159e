//! Making what follows: a version of our own, once; and what an attempt whose end is not known left.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::Here;
use crate::action::{Action, Change};
use crate::credential::UserRef;
use crate::decide::{Check, Decision, act, wait};
use crate::secret::{Issuer, is_ours, version_id};
use crate::secret_action::SecretAction;
use crate::secret_view::{CURRENT, Held, KEY_ROUNDING, PENDING, UserKey, VersionState};
use crate::task::BlockReason;

/// A call that was sent has been carried out by then, or never will be: far beyond its time limit.
const ATTEMPT: TimeDelta = TimeDelta::minutes(2);

/// A rotation function is started so many times before a person is asked.
const FUNCTION_STARTS: u32 = 3;

/// One attempt to make a key.
#[derive(Clone, Copy)]
struct Attempt<'a> {
    version: &'a str,
    before: &'a BTreeSet<String>,
    at: DateTime<Utc>,
}

impl Attempt<'_> {
    /// Whether a key may be what it made, by the time.
    fn may_have_made(&self, key: &UserKey) -> bool {
        let from = self.at - KEY_ROUNDING;
        !self.before.contains(&key.state.id)
            && (from..=self.at + ATTEMPT).contains(&key.state.created)
    }
}

impl<'a> Here<'a> {
    /// What comes before there is a version that can follow the old one.
    pub(super) fn new_is_made(&self) -> Decision {
        if let Some(busy) = self.somebody_elses_is_pending() {
            return busy;
        }
        if let Some(unproven) = self.attempt_is_open().or_else(|| self.is_possessed()) {
            return unproven;
        }
        match self.issuer {
            Issuer::AccessKey { user } => self.key_is_made(user),
            Issuer::Managed => self.function_runs(),
            Issuer::Database { .. } | Issuer::Webhook { .. } => self.value_is_prepared(),
            Issuer::Unknown => Decision::Blocked(BlockReason::UnknownIssuer),
        }
    }

    /// Another tool's rotation is left alone for a while, and then unstuck; where the old credential is
    /// exposed there is no while but what a function takes that may be running, and our own that is exposed
    /// too goes the same way.
    fn somebody_elses_is_pending(&self) -> Check {
        let pending = self.view.labelled(PENDING).filter(|it| !it.has(CURRENT))?;
        let in_use = is_ours(&pending.id) && !self.is_burnt(pending) && !self.is_spoilt(pending);
        if in_use {
            // Of the function that this task started; for any other strategy it would follow.
            return None;
        }
        let until = if self.is_exposed() {
            // A function that runs would set its password after the next one did.
            let may_run = *self.issuer == Issuer::Managed;
            if may_run { pending.created + self.terms().patience } else { self.now }
        } else if is_ours(&pending.id) {
            self.now
        } else {
            let since = self.rotation().pending_since.get(&pending.id).copied();
            since.unwrap_or(self.now) + self.terms().pending_patience
        };
        if self.now < until {
            return Some(wait(until, "another rotation is under way"));
        }
        let (label, version) = (PENDING.to_owned(), pending.id.clone());
        Some(self.act(SecretAction::DropLabel { label, version }, "a rotation was left half done"))
    }

    /// A version that its issuer refuses to be told of stands in the way of every other rotation. It is kept
    /// without its label, and told of again when a person has seen to it. Not where one login has one
    /// password: an attempt that was lost may have made it the only one.
    pub(super) fn left_half_done(&self, refused: &Action) -> Check {
        let Action::Secret { what: SecretAction::Set { version, .. }, .. } = refused else {
            return None;
        };
        let pending =
            self.view.version(version).filter(|it| it.has(PENDING) && !it.has(CURRENT))?;
        let in_place = matches!(self.issuer, Issuer::Database { alternating: false });
        (!in_place && !self.rotation().set.contains_key(version)).then(|| {
            let (label, version) = (PENDING.to_owned(), pending.id.clone());
            self.act(SecretAction::DropLabel { label, version }, "its issuer will not take it")
        })
    }

    fn key_is_made(&self, user: &UserRef) -> Decision {
        if let Some(full) = self.is_full(user) {
            return full;
        }
        let before = self.view.user_keys().iter().map(|key| key.state.id.clone()).collect();
        let (user, version, at) = (user.clone(), self.next_version(), self.now);
        let make = SecretAction::MakeKey { user, version, before, at };
        self.act(make, "a new key follows the old one")
    }

    fn value_is_prepared(&self) -> Decision {
        let from = self.followed().map(str::to_owned).unwrap_or_default();
        let version = self.next_version();
        self.act(SecretAction::Prepare { version, from }, "a new value follows the old one")
    }

    /// The version whose value the next one is made of: what is current, but where that names another login
    /// than the one that was proven to be held.
    fn followed(&self) -> Option<&'a str> {
        let current = self.view.current();
        let old = self.old();
        let Some(Held::Login { username }) = old.map(|old| &old.held) else {
            return current.map(|it| it.id.as_str());
        };
        let same = current.filter(|it| it.login() == Some(username)).map(|it| it.id.as_str());
        same.or(old.map(|old| old.version.as_str()))
    }

    /// The first of this task's versions that is not there yet. One that is there and cannot follow is
    /// spoilt.
    fn next_version(&self) -> String {
        let task = &self.situation.policy.task;
        let is_there = |number: &u32| self.view.version(&version_id(task, *number)).is_some();
        let taken = (1..=u32::MAX).take_while(is_there).count();
        version_id(task, u32::try_from(taken).unwrap_or(u32::MAX).saturating_add(1))
    }

    /// Its own function makes the version, and is given time.
    fn function_runs(&self) -> Decision {
        let task = &self.situation.policy.task;
        let started: Vec<_> = (1..=FUNCTION_STARTS)
            .map(|it| version_id(task, it))
            .take_while(|id| {
                self.rotation().set.contains_key(id) || self.view.version(id).is_some()
            })
            .collect();
        if let Some(version) = started.last() {
            let pending = self.view.version(version);
            let is_over = pending.is_some_and(|it| !it.has(PENDING) && !it.has(CURRENT));
            let since = self.rotation().set.get(version).copied();
            let since = since.or_else(|| pending.map(|it| it.created)).unwrap_or(self.now);
            let until = since + self.terms().pending_patience;
            if !is_over && self.now < until {
                return wait(self.now + self.situation.policy.proof.interval, "its function runs");
            }
            if !is_over && pending.is_some() {
                let (label, version) = (PENDING.to_owned(), version.clone());
                let drop = SecretAction::DropLabel { label, version };
                return self.act(drop, "its function left it half done");
            }
            if started.len() >= FUNCTION_STARTS as usize || pending.is_none() {
                let version = version.clone();
                return Decision::Blocked(BlockReason::FunctionFailed { version });
            }
        }
        let version = self.next_version();
        self.act(SecretAction::Rotate { version }, "its own function rotates it")
    }

    /// Whether the end of an attempt cannot be told yet: what it made may not be listed.
    fn attempt_is_open(&self) -> Check {
        let last = self.attempts().map(|attempt| attempt.at).max()?;
        let until = last + self.situation.policy.spread.max(TimeDelta::seconds(1));
        (self.now < until).then(|| wait(until, "what the last attempt made may not be listed yet"))
    }

    /// A key that an attempt of ours made and whose secret half was lost: newer than the attempt, in no
    /// version of any secret, never used. It is taken away; where there are more such keys than attempts,
    /// nobody can say which is ours, and none is touched.
    pub(super) fn orphan_is_left(&self) -> Check {
        let Issuer::AccessKey { user } = self.issuer else { return None };
        let orphans: Vec<_> =
            self.view.user_keys().iter().filter(|key| self.is_orphan(key)).collect();
        // The version of one that another task of the same secret just made may not be listed yet.
        let settled = KEY_ROUNDING + self.situation.policy.spread;
        if let Some(youngest) = orphans.iter().map(|key| key.state.created).max()
            && self.now < youngest + settled
        {
            return Some(wait(youngest + settled, "what stores a new key may not be listed yet"));
        }
        match orphans[..] {
            [] => None,
            [orphan] => {
                if let Some(unsure) = self.attempt_is_open() {
                    return Some(unsure);
                }
                let (user, key_id) = (user.clone(), orphan.state.id.clone());
                let reason = "we made it and its secret half was lost";
                Some(if orphan.state.status.is_active() {
                    act(Action::DeactivateKey { user, key_id }, reason)
                } else {
                    act(Action::DeleteKey { user, key_id }, reason)
                })
            }
            _ => {
                let keys = orphans.iter().map(|key| key.state.id.clone()).collect();
                Some(Decision::Blocked(BlockReason::AmbiguousKeys { keys }))
            }
        }
    }

    fn is_orphan(&self, key: &UserKey) -> bool {
        let is_held = key.elsewhere
            || self.view.holders(&key.state.id).next().is_some()
            || self.view.versions.iter().any(|version| version.may_hide(&key.state));
        let open = |attempt: Attempt<'_>| attempt.may_have_made(key) && !self.has_its_key(attempt);
        !key.used && !is_held && self.attempts().any(open)
    }

    /// Whether it is the one attempt for a version that is there with what it made: any other key is
    /// somebody else's. Of several for one version, nobody can say which one's key that holds.
    fn has_its_key(&self, attempt: Attempt<'_>) -> bool {
        let version = self.view.version(attempt.version);
        let held = version.is_some_and(|version| version.key_id().is_some());
        held && self.attempts().filter(|it| it.version == attempt.version).count() == 1
    }

    fn attempts(&self) -> impl Iterator<Item = Attempt<'a>> {
        let secret = self.secret;
        self.record().changes.iter().filter_map(move |change| match change {
            Change::KeyMade { secret: of, version, before, at, .. } if of == secret => {
                Some(Attempt { version, before, at: *at })
            }
            _ => None,
        })
    }

    /// Whether a key is this secret's own and every version that holds it is beyond use: none is handed out or
    /// about to be.
    pub(super) fn is_left_behind(&self, key_id: &str) -> bool {
        let mut holders = self.view.holders(key_id);
        let is_own = self.rotation().own_keys.contains(key_id)
            || self.view.holders(key_id).any(|it| self.is_burnt(it));
        let waits = |it: &VersionState| {
            let may_follow = is_ours(&it.id) && !self.is_burnt(it) && !self.is_superseded(it);
            it.has(CURRENT) || (it.has(PENDING) && may_follow)
        };
        let hidden = |it: &VersionState| it.unreadable().is_some() && waits(it);
        is_own && !holders.any(waits) && !self.view.versions.iter().any(hidden)
    }
}
