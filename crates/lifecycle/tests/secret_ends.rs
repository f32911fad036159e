//! A secret that was a leaver's alone: it ends, what cannot be read is not called dead, and what its recovery
//! window allows is put back.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use severance_lifecycle::action::{Action, Change};
use severance_lifecycle::credential::{Target, UserRef};
use severance_lifecycle::decide::{Decision, Situation, apply, decide, findings, look, plan, ways};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::observe::{
    Intruder, KeyState, KeyStatus, KeyView, Observed, Presence, View,
};
use severance_lifecycle::policy::{Desired, Holds, Policy, Proof, RoleSessions, ServiceRoles};
use severance_lifecycle::record::{ProbeAnswer, Record};
use severance_lifecycle::rotation::RotationTerms;
use severance_lifecycle::secret::{Issuer, SecretRef, version_id};
use severance_lifecycle::secret_action::SecretAction;
use severance_lifecycle::secret_view::{
    CURRENT, Held, PENDING, ReplicaState, SecretView, UserKey, UserKeys, VersionState,
};
use severance_lifecycle::task::{BlockReason, Verification};
use severance_lifecycle::trust::Partner;

const LEAVER: &str = "arn:aws:iam::111122223333:user/ann";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn target(issuer: Issuer) -> Target {
    let secret = SecretRef {
        account: "111122223333".into(),
        region: "eu-west-1".into(),
        arn: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app-AbCdEf".into(),
        name: "app".into(),
    };
    Target::Secret { secret, issuer }
}

fn database() -> Target {
    target(Issuer::Database { alternating: false })
}

fn seen(held: Held) -> Observed {
    let current = VersionState {
        id: "EXAMPLE1-90ab-cdef-fedc-ba987SECRET1".into(),
        stages: BTreeSet::from([CURRENT.to_owned()]),
        created: now() - TimeDelta::days(90),
        held,
    };
    let view = SecretView {
        secret: Presence::Same,
        deleted_at: None,
        owning_service: None,
        has_function: false,
        versions: vec![current],
        replicas: vec![ReplicaState {
            region: "us-east-1".into(),
            in_sync: true,
            status: "InSync".into(),
        }],
        denied: false,
        keys: None,
    };
    Observed { at: now(), view: View::Secret(view) }
}

fn policy() -> Policy {
    Policy {
        case: "c-1".into(),
        task: "t-0123456789abcdef".into(),
        proof: Proof::default(),
        spread: TimeDelta::seconds(10),
        cutoff_margin: TimeDelta::seconds(2),
        delete_after: None,
        assumable_roles: RoleSessions::Cut,
        shared_roles: RoleSessions::Cut,
        service_roles: ServiceRoles::Cut,
        needs_partner: false,
        partner: Partner::default(),
        take_intruders: false,
        holds: Holds::default(),
        rotation: RotationTerms {
            ends: true,
            leaving: BTreeSet::from([LEAVER.to_owned()]),
            ..RotationTerms::default()
        },
    }
}

fn names(actions: &[Action]) -> Vec<&'static str> {
    actions.iter().map(Action::name).collect()
}

#[test]
fn what_it_holds_dies_before_it_is_hidden_and_undoing_restores_what_the_window_allows() {
    let (target, policy, record) = (database(), policy(), Record::default());
    let observed = seen(Held::Login { username: "app".into() });
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    let done = plan(Desired::Revoked, &here);
    let expected =
        ["deny-readers", "retire-version", "end-sessions", "remove-replicas", "schedule-deletion"];
    assert_eq!(names(&done), expected);
    let mut after = observed.clone();
    for action in &done {
        apply(action, &target, &mut after.view, after.at);
    }
    let changes: BTreeSet<Change> = done.iter().filter_map(Action::change).collect();
    let record = Record { changes, ..Record::default() };
    let here = Situation { target: &target, observed: &after, record: &record, policy: &policy };
    assert_eq!(names(&plan(Desired::Reinstated, &here)), ["allow-readers", "restore-secret"]);
    let lost: Vec<_> = findings(Desired::Reinstated, &here)
        .into_iter()
        .filter_map(|finding| match finding {
            Finding::CannotRestore { change } => Some(change),
            _ => None,
        })
        .collect();
    assert!(matches!(lost[..], [Change::VersionRetired { .. }, Change::ReplicasRemoved { .. }]));
    let held = Holds { other: true, target: true, compromise: true, ..Holds::default() };
    let vetoed = Policy { holds: held, ..policy.clone() };
    let here = Situation { target: &target, observed: &after, record: &record, policy: &vetoed };
    let vetoed = decide(Desired::Reinstated, &here, after.at);
    assert_eq!(vetoed, Decision::Blocked(BlockReason::VetoedByCompromise));
}

#[test]
fn a_key_that_cannot_be_read_any_more_is_not_called_dead() {
    let user = UserRef { account: "111122223333".into(), name: "app".into(), id: "AIDA1".into() };
    let (target, policy) = (target(Issuer::AccessKey { user }), policy());
    let mut observed = seen(Held::Opaque);
    let View::Secret(view) = &mut observed.view else { panic!("no secret") };
    view.deleted_at = Some(now());
    view.keys = Some(UserKeys { user: Presence::Same, keys: Vec::new(), old: None });
    let mut record = Record::default();
    look(&mut record, &target, &observed, &policy);
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    let said = decide(Desired::Revoked, &here, now());
    assert!(matches!(said, Decision::Blocked(BlockReason::UnfitValue { .. })), "{said:?}");
}

#[test]
fn what_its_issuer_does_not_refuse_yet_is_not_hidden() {
    let (target, policy) = (database(), policy());
    let mut observed = seen(Held::Login { username: "app".into() });
    let View::Secret(view) = &mut observed.view else { panic!("no secret") };
    view.denied = true;
    let mut record = Record::default();
    look(&mut record, &target, &observed, &policy);
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    let Decision::Act(retire, _) = decide(Desired::Revoked, &here, now()) else {
        panic!("nothing is done")
    };
    assert_eq!(retire.name(), "retire-version");
    let reason = BlockReason::Refused {
        operation: "issuer:retire".into(),
        code: "Busy".into(),
        message: String::new(),
    };
    record.refused.insert(retire.site(), reason.clone());
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    let said = decide(Desired::Revoked, &here, now());
    assert_eq!(said, Decision::Blocked(reason), "what is hidden can be read no more");
}

/// The current version's key `AKIA1`, and `AKIA2` in the version that a rotation has pending, made after the end
/// was noticed.
fn in_mid_rotation() -> Observed {
    let mut observed = seen(Held::AccessKey { key_id: "AKIA1".into() });
    let View::Secret(view) = &mut observed.view else { panic!("no secret") };
    let pending = VersionState {
        id: version_id(&"t-fedcba9876543210".into(), 1),
        stages: BTreeSet::from([PENDING.to_owned()]),
        created: now(),
        held: Held::AccessKey { key_id: "AKIA2".into() },
    };
    view.versions.push(pending);
    view.replicas.clear();
    let states = ["AKIA1", "AKIA2"].map(|id| KeyState {
        id: id.into(),
        status: KeyStatus::Active,
        created: now(),
        probeable: true,
    });
    let old = KeyView {
        user: Presence::Same,
        key: Some(states[0].clone()),
        denies: Vec::new(),
        roles: Vec::new(),
        intruders: Vec::new(),
        others: BTreeMap::new(),
    };
    let keys = states.map(|state| UserKey { state, used: true, elsewhere: false }).to_vec();
    view.keys = Some(UserKeys { user: Presence::Same, keys, old: Some(old) });
    observed
}

#[test]
fn what_an_earlier_case_ended_and_hid_is_not_proven_again_unless_a_key_works() {
    let user = UserRef { account: "111122223333".into(), name: "app".into(), id: "AIDA1".into() };
    let target = target(Issuer::AccessKey { user });
    let mut observed = seen(Held::Opaque);
    let View::Secret(view) = &mut observed.view else { panic!("no secret") };
    view.deleted_at = Some(now());
    let off = KeyState {
        id: "AKIA1".into(),
        status: KeyStatus::Inactive,
        created: now(),
        probeable: false,
    };
    let key = UserKey { state: off, used: true, elsewhere: false };
    view.keys = Some(UserKeys { user: Presence::Same, keys: vec![key], old: None });
    let ended = Policy { holds: Holds { ended: true, ..Holds::default() }, ..policy() };
    let said = |observed: &Observed, policy: &Policy| {
        let mut record = Record::default();
        look(&mut record, &target, observed, policy);
        let here = Situation { target: &target, observed, record: &record, policy };
        decide(Desired::Revoked, &here, now())
    };
    assert_eq!(said(&observed, &ended), Decision::Done(Verification::ControlPlane));
    assert!(matches!(said(&observed, &policy()), Decision::Blocked(_)), "nobody ended it before");
    let View::Secret(view) = &mut observed.view else { panic!("no secret") };
    view.keys.as_mut().unwrap().keys[0].state.status = KeyStatus::Active;
    assert!(matches!(said(&observed, &ended), Decision::Blocked(_)), "a key of its user works");
}

#[test]
fn what_a_rotation_has_pending_dies_with_the_secret() {
    let user = UserRef { account: "111122223333".into(), name: "app".into(), id: "AIDA1".into() };
    let (target, policy) = (target(Issuer::AccessKey { user: user.clone() }), policy());
    let observed = in_mid_rotation();
    let record = Record::default();
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    let done = plan(Desired::Revoked, &here);
    let off: Vec<_> = done
        .iter()
        .filter_map(|action| match action {
            Action::DeactivateKey { key_id, .. } => Some(key_id.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(off, ["AKIA1", "AKIA2"]);
    assert_eq!(names(&done).last(), Some(&"schedule-deletion"));
}

#[test]
fn a_pending_login_dies_with_the_secret_and_one_version_at_a_time_is_tried() {
    let (target, policy) = (database(), policy());
    let mut observed = seen(Held::Login { username: "app".into() });
    let View::Secret(view) = &mut observed.view else { panic!("no secret") };
    let pending = version_id(&"t-fedcba9876543210".into(), 1);
    view.versions.push(VersionState {
        id: pending.clone(),
        stages: BTreeSet::from([PENDING.to_owned()]),
        created: now(),
        held: Held::Login { username: "app_clone".into() },
    });
    let record = Record::default();
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    let retired: Vec<_> = plan(Desired::Revoked, &here)
        .into_iter()
        .filter_map(|action| match action {
            Action::Secret { what: SecretAction::Retire { version, current: None }, .. } => {
                Some(version)
            }
            _ => None,
        })
        .collect();
    assert_eq!(retired, ["EXAMPLE1-90ab-cdef-fedc-ba987SECRET1", pending.as_str()]);
}

#[test]
fn a_login_that_the_server_may_have_been_told_of_dies_though_no_label_is_on_it() {
    let (target, policy) = (database(), policy());
    let mut observed = seen(Held::Login { username: "app".into() });
    let View::Secret(view) = &mut observed.view else { panic!("no secret") };
    let (since, before) = (version_id(&policy.task, 2), version_id(&policy.task, 1));
    // Made after what is current and never handed out; and what the current one replaced long ago.
    for (id, days) in [(&since, 1), (&before, 200)] {
        view.versions.push(VersionState {
            id: id.clone(),
            stages: BTreeSet::new(),
            created: now() - TimeDelta::days(days),
            held: Held::Login { username: "app".into() },
        });
    }
    let record = Record::default();
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    let retired: Vec<_> = plan(Desired::Revoked, &here)
        .into_iter()
        .filter_map(|action| match action {
            Action::Secret { what: SecretAction::Retire { version, .. }, .. } => Some(version),
            _ => None,
        })
        .collect();
    assert_eq!(retired, ["EXAMPLE1-90ab-cdef-fedc-ba987SECRET1", since.as_str()]);
}

#[test]
fn a_key_that_another_secret_hands_out_is_left_to_a_person_and_the_secret_stays_readable() {
    let user = UserRef { account: "111122223333".into(), name: "app".into(), id: "AIDA1".into() };
    let (target, policy) = (target(Issuer::AccessKey { user: user.clone() }), policy());
    let mut observed = in_mid_rotation();
    let View::Secret(view) = &mut observed.view else { panic!("no secret") };
    view.keys.as_mut().unwrap().keys[1].elsewhere = true;
    let record = Record::default();
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    let done = plan(Desired::Revoked, &here);
    assert!(!names(&done).contains(&"schedule-deletion"), "{done:?}");
    for action in &done {
        apply(action, &target, &mut observed.view, observed.at);
    }
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    let said = decide(Desired::Revoked, &here, now() + TimeDelta::days(1));
    assert!(!matches!(said, Decision::Done(_)), "{said:?}");
}

#[test]
fn a_routine_rotation_gives_way_where_another_case_has_the_secret_end() {
    let user = UserRef { account: "111122223333".into(), name: "app".into(), id: "AIDA1".into() };
    let target = target(Issuer::AccessKey { user: user.clone() });
    let mut observed = in_mid_rotation();
    let holds = Holds { other: true, target: true, ..Holds::default() };
    let terms = RotationTerms::default();
    let policy = Policy { holds, rotation: terms.clone(), ..policy() };
    let mut record = Record::default();
    look(&mut record, &target, &observed, &policy);
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    let said = decide(Desired::Rotated, &here, now());
    assert_eq!(said, Decision::Blocked(BlockReason::EndedByAnotherCase));

    let exposed = RotationTerms { exposed_at: Some(now()), ..terms };
    let exposed = Policy { rotation: exposed, ..policy.clone() };
    let here =
        Situation { target: &target, observed: &observed, record: &record, policy: &exposed };
    let said = decide(Desired::Rotated, &here, now());
    assert!(matches!(said, Decision::Act(..)), "a compromise gives way to nothing: {said:?}");

    // What it made and lost is nobody's else to take away.
    let View::Secret(view) = &mut observed.view else { panic!("no secret") };
    view.versions.pop();
    view.keys.as_mut().unwrap().keys[1].used = false;
    let Target::Secret { secret, .. } = target.clone() else { panic!("no secret") };
    let at = now() - TimeDelta::seconds(1);
    let version = version_id(&policy.task, 1);
    let before = ["AKIA1".to_owned()].into();
    let what = SecretAction::MakeKey { user, version, before, at };
    record.changes.extend(Action::Secret { secret, what }.change());
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    let said = decide(Desired::Rotated, &here, now() + TimeDelta::minutes(1));
    let Decision::Act(Action::DeactivateKey { key_id, .. }, _) = said else {
        panic!("the orphan stays: {said:?}")
    };
    assert_eq!(key_id, "AKIA2");
}

#[test]
fn a_deny_in_a_policy_that_cannot_be_read_is_not_called_off() {
    let (target, policy) = (database(), policy());
    let mut observed = seen(Held::Opaque);
    let View::Secret(view) = &mut observed.view else { panic!("no secret") };
    view.deleted_at = Some(now());
    let Target::Secret { secret, .. } = &target else { panic!("no secret") };
    let denied = Change::SecretDenied { secret: secret.clone(), case: "c-1".into() };
    let record = Record { changes: [denied].into(), ..Record::default() };
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    let said = decide(Desired::Reinstated, &here, now());
    assert_eq!(said, Decision::Blocked(BlockReason::ScheduledForDeletion { since: now() }));
    let View::Secret(view) = &mut observed.view else { panic!("no secret") };
    (view.deleted_at, view.denied) = (None, true);
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    assert_eq!(names(&plan(Desired::Reinstated, &here)), ["allow-readers"]);
}

#[test]
fn a_secret_that_ends_lists_its_sessions_and_roles_and_tells_of_what_appeared_on_its_user() {
    let user = UserRef { account: "111122223333".into(), name: "app".into(), id: "AIDA1".into() };
    let target = target(Issuer::AccessKey { user });
    let mut observed = in_mid_rotation();
    let what = Intruder::LoginProfile;
    let View::Secret(view) = &mut observed.view else { panic!("no secret") };
    view.keys.as_mut().unwrap().old.as_mut().unwrap().intruders.push(what.clone());
    let leaving = BTreeSet::from([LEAVER.to_owned()]);
    let ends = RotationTerms { ends: true, ..RotationTerms::default() };
    let leaves = RotationTerms { leaving, ..RotationTerms::default() };
    let exposed = RotationTerms { exposed_at: Some(now()), ..RotationTerms::default() };
    let thorough =
        [(ends, Desired::Revoked), (leaves, Desired::Rotated), (exposed, Desired::Rotated)];
    for (rotation, desired) in thorough {
        let policy = Policy { rotation, ..policy() };
        let mut record = Record::default();
        look(&mut record, &target, &observed, &policy);
        let here =
            Situation { target: &target, observed: &observed, record: &record, policy: &policy };
        assert!(ways(&here).iter().any(|way| way.way == "sessions"), "{:?}", policy.rotation);
        let told = Finding::Intruder { user: "app".into(), what: what.clone() };
        assert_eq!(findings(desired, &here), [told]);
    }
    let policy = Policy { rotation: RotationTerms::default(), ..policy() };
    let mut record = Record::default();
    look(&mut record, &target, &observed, &policy);
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    assert!(ways(&here).iter().all(|way| way.way != "sessions"), "a routine one leaves them");
    assert_eq!(findings(Desired::Rotated, &here), []);
}

#[test]
fn an_end_leaves_alone_what_the_secret_only_names_and_takes_what_it_holds() {
    let user = UserRef { account: "111122223333".into(), name: "app".into(), id: "AIDA1".into() };
    let (target, observed) = (target(Issuer::AccessKey { user }), in_mid_rotation());
    let ends = RotationTerms { ends: true, ..RotationTerms::default() };
    let policy = Policy { rotation: ends, ..policy() };
    let View::Secret(view) = &observed.view else { panic!("no secret") };
    for forged in ["AKIA1", "AKIA2"] {
        let mut record = Record::default();
        let mut off = Vec::new();
        for step in 0..6 {
            look(&mut record, &target, &observed, &policy);
            let here = Situation {
                target: &target,
                observed: &observed,
                record: &record,
                policy: &policy,
            };
            let at = now() + TimeDelta::seconds(step);
            match decide(Desired::Revoked, &here, at) {
                Decision::Act(Action::Secret { what, .. }, _) => {
                    let SecretAction::Try { version, sample } = &what else {
                        panic!("{forged}: {what}")
                    };
                    let endpoint = format!("region-{}", sample % 2);
                    let is_forged = view.version(version).unwrap().key_id() == Some(forged);
                    let answer = if is_forged {
                        ProbeAnswer::Unavailable { why: "wrong half".into() }
                    } else {
                        ProbeAnswer::Accepted { endpoint }
                    };
                    record.tried(version, &answer, at);
                }
                Decision::Act(Action::DeactivateKey { key_id, .. }, _) => {
                    off.push(key_id);
                    break;
                }
                Decision::Blocked(reason) => {
                    assert!(matches!(reason, BlockReason::NotHeld { .. }), "{reason}");
                    break;
                }
                other => panic!("{forged}: {other:?}"),
            }
        }
        let held = if forged == "AKIA1" { "AKIA2" } else { "AKIA1" };
        assert_eq!(off, [held], "{forged} is only named");
    }
}
