//! Versions that may not be read: what they may hold is neither taken for nothing nor built on.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "support/policy.rs"]
mod policy;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use severance_lifecycle::action::{Action, DenyHandle, DenyPlace, DenyPurpose, DenyScope};
use severance_lifecycle::credential::{Target, UserRef};
use severance_lifecycle::decide::{Decision, Situation, decide, look};
use severance_lifecycle::observe::{
    DenyState, KeyState, KeyStatus, KeyView, Observed, Presence, View,
};
use severance_lifecycle::policy::{Desired, Policy};
use severance_lifecycle::record::Record;
use severance_lifecycle::rotation::{RevokeOrder, RotationTerms};
use severance_lifecycle::secret::{Issuer, SecretRef, version_id};
use severance_lifecycle::secret_action::SecretAction;
use severance_lifecycle::secret_view::{
    CURRENT, Held, PENDING, PREVIOUS, ReplicaState, SecretView, UserKey, UserKeys, VersionState,
};
use severance_lifecycle::task::BlockReason;

use crate::policy::strict;

const TASK: &str = "t-0123456789abcdef";
const WHY: &str = "it cannot be read: DecryptionFailure";

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn user() -> UserRef {
    UserRef { account: "111122223333".into(), name: "app".into(), id: "AIDA1".into() }
}

fn secret() -> SecretRef {
    SecretRef {
        account: "111122223333".into(),
        region: "eu-west-1".into(),
        arn: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app-AbCdEf".into(),
        name: "app".into(),
    }
}

fn key(id: &str, created: DateTime<Utc>, used: bool) -> UserKey {
    let status = KeyStatus::Active;
    let state = KeyState { id: id.into(), status, created, probeable: true };
    UserKey { state, used, elsewhere: false }
}

fn holds(id: &str) -> Held {
    Held::AccessKey { key_id: id.into() }
}

fn unreadable() -> Held {
    Held::Unreadable { why: WHY.into() }
}

fn sessions_are_denied() -> DenyState {
    let (purpose, place) = (DenyPurpose::Sessions, DenyPlace::Inline);
    DenyState {
        handle: DenyHandle { case: "c-1".into(), purpose, place },
        scope: Some(DenyScope::SessionsBefore(at(1_000_000))),
    }
}

fn version(id: &str, label: Option<&str>, created: DateTime<Utc>, held: Held) -> VersionState {
    let stages: BTreeSet<String> = label.map(str::to_owned).into_iter().collect();
    VersionState { id: id.into(), stages, created, held }
}

/// A secret with these versions of a user with these keys, and what a task remembers of it.
struct Scene {
    versions: Vec<VersionState>,
    keys: Vec<UserKey>,
    replicas: Vec<ReplicaState>,
    terms: RotationTerms,
    record: Record,
}

impl Scene {
    fn new(versions: Vec<VersionState>, keys: Vec<UserKey>) -> Self {
        let (terms, record) = (RotationTerms::default(), Record::default());
        Self { versions, keys, replicas: Vec::new(), terms, record }
    }

    fn exposed(mut self, order: RevokeOrder) -> Self {
        (self.terms.exposed_at, self.terms.order) = (Some(at(0)), order);
        self
    }

    fn decide(&mut self, desired: Desired, now: DateTime<Utc>) -> Decision {
        let old = self.record.rotation.old_key().map(str::to_owned).or_else(|| {
            let current = self.versions.iter().find(|version| version.has(CURRENT));
            current.and_then(VersionState::key_id).map(str::to_owned)
        });
        let old = old.map(|id| KeyView {
            user: Presence::Same,
            key: self.keys.iter().find(|key| key.state.id == id).map(|key| key.state.clone()),
            denies: vec![sessions_are_denied()],
            roles: Vec::new(),
            intruders: Vec::new(),
            others: BTreeMap::new(),
        });
        let view = SecretView {
            secret: Presence::Same,
            deleted_at: None,
            owning_service: None,
            has_function: false,
            versions: self.versions.clone(),
            replicas: self.replicas.clone(),
            denied: false,
            keys: Some(UserKeys { user: Presence::Same, keys: self.keys.clone(), old }),
        };
        let observed = Observed { at: now, view: View::Secret(view) };
        let target =
            Target::Secret { secret: secret(), issuer: Issuer::AccessKey { user: user() } };
        let policy = Policy { task: TASK.into(), rotation: self.terms.clone(), ..strict() };
        look(&mut self.record, &target, &observed, &policy);
        let record = &self.record;
        let here = Situation { target: &target, observed: &observed, record, policy: &policy };
        decide(desired, &here, now)
    }

    /// An attempt to make a key was sent then.
    fn attempted(&mut self, sent: DateTime<Utc>) {
        let what = SecretAction::MakeKey {
            user: user(),
            version: version_id(&TASK.into(), 1),
            before: BTreeSet::from(["AKIAOLD".to_owned()]),
            at: sent,
        };
        self.record.changes.extend(Action::Secret { secret: secret(), what }.change());
    }
}

fn current() -> VersionState {
    version("current", Some(CURRENT), at(-1000), holds("AKIAOLD"))
}

fn names_the_version(said: &Decision, id: &str) -> bool {
    matches!(said, Decision::Blocked(BlockReason::UnfitValue { field, why })
        if field == "value" && why.contains(id) && why.contains("DecryptionFailure"))
}

fn takes(said: &Decision, id: &str) -> bool {
    matches!(said, Decision::Act(Action::DeactivateKey { key_id, .. } | Action::DeleteKey { key_id, .. }, _)
        if key_id == id)
}

#[test]
fn a_key_that_a_version_may_hold_which_cannot_be_read_is_no_orphan() {
    let keys = vec![key("AKIAOLD", at(-1000), true), key("AKIANEW", at(10), false)];
    let said = |stored: DateTime<Utc>| {
        let somebodys = version("somebodys", None, stored, unreadable());
        let mut scene = Scene::new(vec![current(), somebodys], keys.clone());
        scene.attempted(at(9));
        scene.decide(Desired::Rotated, at(3600))
    };
    let hidden = said(at(12));
    assert!(!takes(&hidden, "AKIANEW"), "{hidden:?}");
    let older = said(at(-500));
    assert!(takes(&older, "AKIANEW"), "a version from before it cannot hold it: {older:?}");
}

#[test]
fn a_version_of_ours_that_cannot_be_read_is_tried_and_no_second_key_is_made() {
    let id = version_id(&TASK.into(), 1);
    let ours = version(&id, Some(PENDING), at(12), unreadable());
    let mut scene = Scene::new(
        vec![current(), ours],
        vec![key("AKIAOLD", at(-1000), true), key("AKIANEW", at(10), false)],
    );
    scene.attempted(at(9));
    let said = scene.decide(Desired::Rotated, at(3600));
    let Decision::Act(Action::Secret { what: SecretAction::Try { version, .. }, .. }, _) = &said
    else {
        panic!("{said:?}")
    };
    assert_eq!(*version, id);
}

#[test]
fn a_current_version_that_cannot_be_read_is_blocked_by_name_before_anything_is_changed() {
    let versions = || {
        let current = version("current", Some(CURRENT), at(-100), unreadable());
        vec![current, version("before", Some(PREVIOUS), at(-1000), holds("AKIAOLD"))]
    };
    let keys = vec![key("AKIAOLD", at(-1000), true), key("AKIANOW", at(-100), true)];
    let mut routine = Scene::new(versions(), keys.clone());
    let said = routine.decide(Desired::Rotated, at(0));
    assert!(names_the_version(&said, "current"), "{said:?}");
    let mut replaced = Scene::new(versions(), keys.clone()).exposed(RevokeOrder::ReplaceThenRevoke);
    let said = replaced.decide(Desired::Rotated, at(1));
    assert!(names_the_version(&said, "current"), "{said:?}");
    // Where it goes first, what is known dies; and then it is said.
    let mut first = Scene::new(versions(), keys).exposed(RevokeOrder::RevokeFirst);
    let said = first.decide(Desired::Rotated, at(1));
    assert!(takes(&said, "AKIAOLD"), "{said:?}");
    first.keys[0].state.status = KeyStatus::Inactive;
    first.decide(Desired::Rotated, at(2));
    let said = first.decide(Desired::Rotated, at(3600));
    assert!(names_the_version(&said, "current"), "{said:?}");
}

#[test]
fn what_somebody_else_made_current_and_cannot_be_read_is_not_taken_for_the_new_one() {
    let mut scene = Scene::new(vec![current()], vec![key("AKIAOLD", at(-1000), true)]);
    scene.decide(Desired::Rotated, at(0));
    scene.versions[0].stages = BTreeSet::from([PREVIOUS.to_owned()]);
    scene.versions.push(version("theirs", Some(CURRENT), at(5), unreadable()));
    let said = scene.decide(Desired::Rotated, at(100_000));
    assert!(names_the_version(&said, "theirs"), "{said:?}");
    assert_eq!(scene.record.rotation.new, None);
}

#[test]
fn an_exposed_version_that_may_hold_a_key_that_works_keeps_the_end_open() {
    let hidden = version("hidden", None, at(-50), unreadable());
    let works = key("AKIAELSE", at(-60), true);
    let mut scene = Scene::new(vec![current(), hidden], vec![works]);
    scene.terms.ends = true;
    for second in [0, 60, 120] {
        scene.decide(Desired::Revoked, at(second));
    }
    let said = scene.decide(Desired::Revoked, at(3600));
    assert!(names_the_version(&said, "hidden"), "{said:?}");
    let Decision::Blocked(reason) = &said else { panic!("{said:?}") };
    assert!(reason.to_string().contains("AKIAELSE"), "{reason}");
    // One that was made after that version was stored is not in it.
    scene.keys[0].state.created = at(0);
    let said = scene.decide(Desired::Revoked, at(3601));
    assert!(
        matches!(&said, Decision::Act(action, _) if action.name() == "schedule-deletion"),
        "{said:?}"
    );
}

#[test]
fn a_replica_that_can_never_be_looked_at_keeps_no_exposed_credential_alive() {
    let id = version_id(&TASK.into(), 1);
    let scene = |order: Option<RevokeOrder>| {
        let new = version(&id, Some(CURRENT), at(10), holds("AKIANEW"));
        let old = version("current", Some(PREVIOUS), at(-1000), holds("AKIAOLD"));
        let keys = vec![key("AKIAOLD", at(-1000), true), key("AKIANEW", at(10), true)];
        let scene = Scene::new(vec![new, old], keys);
        let mut scene = match order {
            Some(order) => scene.exposed(order),
            None => scene,
        };
        let status = "it cannot be looked at: AccessDeniedException".to_owned();
        scene.replicas = vec![ReplicaState { region: "us-west-2".into(), in_sync: false, status }];
        for second in 20..25 {
            let endpoint = "sts.eu-west-1".to_owned();
            let accepted = severance_lifecycle::record::ProbeAnswer::Accepted { endpoint };
            scene.record.tried(&id, &accepted, at(second));
        }
        scene.decide(Desired::Rotated, at(30));
        scene
    };
    let mut exposed = scene(Some(RevokeOrder::ReplaceThenRevoke));
    let said = exposed.decide(Desired::Rotated, at(31));
    assert!(matches!(said, Decision::Wait(..)), "it is given time: {said:?}");
    let said = exposed.decide(Desired::Rotated, at(3 * 3600));
    assert!(takes(&said, "AKIAOLD"), "{said:?}");
    let mut routine = scene(None);
    let said = routine.decide(Desired::Rotated, at(3 * 3600));
    let behind = matches!(&said, Decision::Blocked(BlockReason::ReplicaBehind { status, .. })
        if status.contains("AccessDenied"));
    assert!(behind, "{said:?}");
    assert_eq!(TimeDelta::hours(2), routine.terms.grace, "its grace is over, too");
}
