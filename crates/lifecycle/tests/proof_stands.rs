//! A death that was proven stands, and how: whoever deletes the key after that, and whatever can be tried later.
//! Only a key that is on again, or accepted, contradicts it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;

use chrono::TimeDelta;
use severance_lifecycle::action::Action;
use severance_lifecycle::credential::Target;
use severance_lifecycle::decide::{Decision, Situation, Standing, Way, decide, look, ways};
use severance_lifecycle::observe::{KeyState, KeyStatus, KeyView, Observed, Presence, View};
use severance_lifecycle::policy::Desired;
use severance_lifecycle::record::{ProbeAnswer, Record};
use severance_lifecycle::task::Verification;
use support::policy::strict;
use support::{End, drive, start};

const KEY: &str = "AKIA1";
const PROBED: Verification = Verification::Probed;
const READ: Verification = Verification::ControlPlane;

fn target() -> Target {
    Target::AccessKey { key_id: KEY.into(), user: support::user() }
}

fn seen(key: Option<KeyState>) -> KeyView {
    let (denies, roles, intruders) = (Vec::new(), Vec::new(), Vec::new());
    KeyView { user: Presence::Same, key, denies, roles, intruders, others: BTreeMap::new() }
}

fn key(probeable: bool) -> KeyState {
    KeyState { id: KEY.into(), status: KeyStatus::Active, created: start(), probeable }
}

fn revoked(probeable: bool) -> End {
    let view = View::AccessKey(seen(Some(key(probeable))));
    drive(Desired::Revoked, &target(), view, Record::default(), &strict(), &[])
}

/// What a later look says, and how the key stands by it.
fn later(end: &mut End, target: &Target) -> (Decision, Option<Way>) {
    let policy = strict();
    let observed = Observed { at: end.at + TimeDelta::minutes(15), view: end.view.clone() };
    look(&mut end.record, target, &observed, &policy);
    let (observed, record) = (&observed, &end.record);
    let here = Situation { target, observed, record, policy: &policy };
    let key = ways(&here).into_iter().find(|way| way.way == "access-key");
    (decide(Desired::Revoked, &here, observed.at), key)
}

fn closed(how: Verification) -> Way {
    let standing = Standing::Closed { verification: how };
    Way { way: "access-key".into(), id: Some(KEY.into()), standing }
}

fn of_key(end: &mut End) -> &mut Option<KeyState> {
    let View::AccessKey(view) = &mut end.view else { panic!("it was a key") };
    &mut view.key
}

#[test]
fn a_key_that_is_deleted_after_its_proof_is_as_dead_as_it_was() {
    for (probeable, how) in [(true, PROBED), (false, READ)] {
        let mut end = revoked(probeable);
        assert_eq!(end.decision, Decision::Done(how));
        let dead_at = end.record.dead_at;
        // A rotation needs its place, or its quarantine is over.
        *of_key(&mut end) = None;
        let (said, way) = later(&mut end, &target());
        assert_eq!(said, Decision::Done(how), "no drift");
        assert_eq!(way, Some(closed(how)));
        assert_eq!(end.record.dead_at, dead_at, "its sessions are cut up to there");
    }
}

#[test]
fn a_users_key_that_is_deleted_after_its_proof_stays_among_the_ways() {
    let target = Target::User { user: support::user() };
    let user = severance_lifecycle::observe::UserView {
        user: Presence::Same,
        keys: vec![key(true)],
        login_profile: false,
        side: Vec::new(),
        mfa_devices: Vec::new(),
        denies: Vec::new(),
        routes: severance_lifecycle::observe::Routes::default(),
        roles: Vec::new(),
    };
    let view = View::User(user);
    let mut end = drive(Desired::Revoked, &target, view, Record::default(), &strict(), &[]);
    assert_eq!(end.decision, Decision::Done(PROBED));
    let View::User(view) = &mut end.view else { panic!("it was a user") };
    view.keys.clear();
    assert_eq!(later(&mut end, &target), (Decision::Done(PROBED), Some(closed(PROBED))));
}

#[test]
fn a_key_whose_secret_half_is_found_after_its_proof_is_not_open_again() {
    let mut end = revoked(false);
    let dead_at = end.record.dead_at;
    of_key(&mut end).as_mut().unwrap().probeable = true;
    let (said, way) = later(&mut end, &target());
    assert!(matches!(said, Decision::Done(_)), "{said:?}");
    assert!(matches!(way, Some(Way { standing: Standing::Closed { .. }, .. })), "{way:?}");
    assert_eq!(end.record.dead_at, dead_at);
}

#[test]
fn a_key_whose_secret_half_is_gone_after_its_proof_was_tried_all_the_same() {
    let mut end = revoked(true);
    of_key(&mut end).as_mut().unwrap().probeable = false;
    assert_eq!(later(&mut end, &target()), (Decision::Done(PROBED), Some(closed(PROBED))));
}

#[test]
fn a_key_that_is_on_again_is_proven_dead_once_more() {
    for probeable in [true, false] {
        let mut end = revoked(probeable);
        of_key(&mut end).as_mut().unwrap().status = KeyStatus::Active;
        let (said, way) = later(&mut end, &target());
        assert!(matches!(said, Decision::Act(Action::DeactivateKey { .. }, _)), "{said:?}");
        assert_eq!(way.unwrap().standing, Standing::Open);
        // Off by another hand: what was proven before says nothing of what followed.
        of_key(&mut end).as_mut().unwrap().status = KeyStatus::Inactive;
        let (said, _) = later(&mut end, &target());
        assert!(matches!(said, Decision::Act(..) | Decision::Wait(..)), "{said:?}");
        assert_eq!(end.record.dead_at, None);
    }
}

#[test]
fn a_key_that_is_accepted_after_its_proof_is_not_dead() {
    let mut end = revoked(true);
    let accepted = ProbeAnswer::Accepted { endpoint: "region-0".into() };
    end.record.probed(KEY, &accepted, end.at);
    let (said, way) = later(&mut end, &target());
    assert!(matches!(said, Decision::Act(Action::Probe { .. }, _)), "{said:?}");
    assert_eq!(way.unwrap().standing, Standing::Open);
}

#[test]
fn a_key_that_is_deleted_amid_its_tries_is_tried_to_the_end() {
    let (target, policy) = (target(), strict());
    let mut observed = Observed { at: start(), view: View::AccessKey(seen(Some(key(true)))) };
    let View::AccessKey(view) = &mut observed.view else { unreachable!("it is a key") };
    view.key.as_mut().unwrap().status = KeyStatus::Inactive;
    let mut record = Record::default();
    let refused = ProbeAnswer::Refused { endpoint: "region-0".into() };
    look(&mut record, &target, &observed, &policy);
    record.probed(KEY, &refused, observed.at);
    let end = drive(Desired::Revoked, &target, View::AccessKey(seen(None)), record, &policy, &[]);
    assert_eq!(end.decision, Decision::Done(PROBED));
    // Its secret half went with it: then two looks have to do.
    let mut record = Record::default();
    look(&mut record, &target, &observed, &policy);
    record.probed(KEY, &refused, observed.at);
    record.probed(KEY, &ProbeAnswer::Unavailable { why: "gone".into() }, observed.at);
    let end = drive(Desired::Revoked, &target, View::AccessKey(seen(None)), record, &policy, &[]);
    assert_eq!(end.decision, Decision::Done(READ));
}
