//! Rotation as properties: whatever crashes, is lost or is changed by others, what is handed out is
//! accepted, the old credential dies, nothing is lost, and nobody else's key is touched.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod deaf;
mod drive;
mod forged;
mod overdue;
#[path = "../support/policy.rs"]
mod policy;
mod revoked;
mod rolled_back;
mod superseded;
mod taken_over;
mod world;

use chrono::TimeDelta;
use drive::{Drive, End, Tape, Terms};
use proptest::prelude::*;
use severance_lifecycle::action::Action;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::record::Record;
use severance_lifecycle::rotation::RevokeOrder;
use severance_lifecycle::secret::Issuer;
use severance_lifecycle::secret_action::SecretAction;
use severance_lifecycle::secret_view::{CURRENT, PENDING, PREVIOUS};
use severance_lifecycle::task::{BlockReason, Verification};
use world::{Value, World, user};

fn issuers() -> [Issuer; 5] {
    [
        Issuer::AccessKey { user: user() },
        Issuer::Managed,
        Issuer::Database { alternating: false },
        Issuer::Database { alternating: true },
        Issuer::Webhook { name: "hook".into() },
    ]
}

fn any_issuer() -> impl Strategy<Value = Issuer> {
    prop::sample::select(issuers().to_vec())
}

fn any_terms() -> impl Strategy<Value = Terms> {
    prop::sample::select(vec![Terms::Routine, Terms::ReplaceThenRevoke, Terms::RevokeFirst])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    /// Crashes and lost replies at any call: it ends, and each costs at most one credential.
    #[test]
    fn it_ends_well_after_any_crashes_and_lost_replies(
        issuer in any_issuer(),
        terms in any_terms(),
        tape in prop::collection::vec(0_u8..200, 0..60),
    ) {
        let mut drive = Drive::new(World::new(issuer.clone()), terms, Tape::new(tape));
        let end = drive.run();
        let unproven = terms != Terms::Routine && issuer == Issuer::Managed;
        if unproven {
            prop_assert_eq!(end, End::Blocked(BlockReason::OldNotProven));
        } else {
            prop_assert!(matches!(end, End::Done(_)), "{end:?}");
            drive.check_end();
        }
    }

    /// Others move labels, store versions, make and use keys: nothing of theirs is touched, and what is
    /// handed out keeps working.
    #[test]
    fn others_are_left_alone_whatever_they_do(
        issuer in any_issuer(),
        terms in any_terms(),
        tape in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut drive = Drive::new(World::new(issuer), terms, Tape::new(tape));
        match drive.run() {
            End::Done(_) => drive.check_end(),
            End::Blocked(_) => drive.check_blocked(),
        }
    }
}

#[test]
fn without_faults_each_strategy_makes_one_credential_and_ends() {
    for issuer in issuers() {
        let mut drive = Drive::new(World::new(issuer.clone()), Terms::Routine, Tape::new(vec![]));
        let end = drive.run();
        drive.check_end();
        let expected = match issuer {
            Issuer::Managed => Verification::ControlPlane,
            _ => Verification::Probed,
        };
        assert_eq!(end, End::Done(expected), "{issuer:?}");
        assert!(drive.world.keys_made <= 1);
    }
}

#[test]
fn the_old_key_works_until_its_grace_is_over_and_not_after() {
    let mut drive = Drive::new(
        World::new(Issuer::AccessKey { user: user() }),
        Terms::Routine,
        Tape::new(vec![]),
    );
    let old = drive.world.current().value.clone();
    drive.run_until(|drive| drive.record.rotation.promoted_at.is_some());
    let promoted = drive.record.rotation.promoted_at.unwrap();
    drive.run_until(|drive| !drive.world.will_accept(&old));
    let dead = drive.world.now - promoted;
    assert!(dead >= drive.policy().rotation.grace, "{dead}");
    assert!(dead < drive.policy().rotation.grace + TimeDelta::minutes(1), "{dead}");
}

#[test]
fn a_compromise_takes_over_a_rotation_that_is_under_way_without_a_second_version() {
    let mut routine = Drive::new(
        World::new(Issuer::AccessKey { user: user() }),
        Terms::Routine,
        Tape::new(vec![]),
    );
    routine.run_until(|drive| drive.world.labelled(PENDING).is_some());
    let pending = routine.world.labelled(PENDING).unwrap().id.clone();
    // What was stored after the exposure is not exposed.
    let mut notice = Drive::new(routine.world, Terms::ReplaceThenRevoke, Tape::new(vec![]));
    notice.exposed_at = notice.world.version(&pending).unwrap().created;
    notice.task = "t-compromise000001".into();
    assert!(matches!(notice.run(), End::Done(_)));
    notice.check_end();
    assert_eq!(notice.world.current().id, pending);
    assert_eq!(notice.world.keys_made, 1);
}

#[test]
fn a_version_whose_key_is_not_listed_yet_is_taken_over_too() {
    let mut routine = Drive::new(
        World::new(Issuer::AccessKey { user: user() }),
        Terms::Routine,
        Tape::new(vec![]),
    );
    routine.run_until(|drive| drive.world.labelled(PENDING).is_some());
    let pending = routine.world.labelled(PENDING).unwrap().clone();
    // A new key takes three seconds to be listed.
    let mut notice = Drive::new(routine.world, Terms::ReplaceThenRevoke, Tape::new(vec![3, 0]));
    notice.exposed_at = pending.created;
    notice.task = "t-compromise000001".into();
    assert!(matches!(notice.run(), End::Done(_)));
    notice.check_end();
    assert_eq!((&notice.world.current().id, notice.world.keys_made), (&pending.id, 1));
}

#[test]
fn a_pending_version_from_before_the_exposure_is_burnt_with_its_key() {
    let mut routine = Drive::new(
        World::new(Issuer::AccessKey { user: user() }),
        Terms::Routine,
        Tape::new(vec![]),
    );
    routine.run_until(|drive| drive.world.labelled(PENDING).is_some());
    let pending = routine.world.labelled(PENDING).unwrap().clone();
    for order in [Terms::ReplaceThenRevoke, Terms::RevokeFirst] {
        let mut world = World::new(Issuer::AccessKey { user: user() });
        world.versions.push(pending.clone());
        world.keys.extend(routine.world.keys.iter().filter(|key| key.id != "AKIAOLD").cloned());
        world.now = pending.created + TimeDelta::seconds(30);
        world.numbers = 10;
        let mut notice = Drive::new(world, order, Tape::new(vec![]));
        notice.task = "t-compromise000001".into();
        assert!(matches!(notice.run(), End::Done(_)), "{order:?}");
        notice.check_end();
        assert!(!notice.world.will_accept(&pending.value));
    }
}

#[test]
fn what_a_rotation_under_way_told_an_endpoint_dies_with_the_compromise() {
    let issuer = Issuer::Webhook { name: "hook".into() };
    let amid: [fn(&Drive) -> bool; 2] = [
        // Pending, and accepted already; then in its grace.
        |drive| drive.world.accepted.len() > 1,
        |drive| drive.world.labelled(PREVIOUS).is_some(),
    ];
    for (is_amid, order) in
        amid.into_iter().flat_map(|it| [(it, Terms::ReplaceThenRevoke), (it, Terms::RevokeFirst)])
    {
        let mut routine = Drive::new(World::new(issuer.clone()), Terms::Routine, Tape::new(vec![]));
        routine.run_until(is_amid);
        assert_eq!(routine.world.accepted.len(), 2);
        let mut notice = Drive::new(routine.world, order, Tape::new(vec![]));
        notice.task = "t-compromise000001".into();
        assert_eq!(notice.run(), End::Done(Verification::Probed), "{order:?}");
        notice.check_end();
        assert_eq!(notice.world.accepted.len(), 1, "{order:?}");
    }
}

#[test]
fn two_foreign_keys_leave_no_room_and_neither_is_touched() {
    let mut world = World::new(Issuer::AccessKey { user: user() });
    world.make_key(false).unwrap();
    let mut drive = Drive::new(world, Terms::Routine, Tape::new(vec![]));
    let End::Blocked(BlockReason::NoRoomForKey { keys }) = drive.run() else {
        panic!("there is no room");
    };
    assert_eq!(keys.len(), 2);
    assert!(drive.world.keys.iter().all(|key| key.active));
    drive.check_blocked();
}

#[test]
fn the_key_of_the_version_before_goes_once_its_grace_is_over() {
    let mut world = World::new(Issuer::AccessKey { user: user() });
    let older = world.make_key(true).unwrap();
    let mut version = world.versions[0].clone();
    version.id = "EXAMPLE0-90ab-cdef-fedc-ba9876543210".into();
    version.created -= TimeDelta::days(90);
    version.value = Value::Key(older.clone());
    version.stages = [PREVIOUS.to_owned()].into();
    world.versions.push(version);
    world.keys_made = 0;
    let mut drive = Drive::new(world, Terms::Routine, Tape::new(vec![]));
    assert!(matches!(drive.run(), End::Done(_)));
    drive.check_end();
    assert!(!drive.world.keys.iter().any(|key| key.id == older));
}

#[test]
fn every_key_that_an_exposed_secret_held_dies_with_it() {
    let mut world = World::new(Issuer::AccessKey { user: user() });
    let older = world.make_key(true).unwrap();
    let mut version = world.versions[0].clone();
    version.id = "EXAMPLE0-90ab-cdef-fedc-ba9876543210".into();
    version.created -= TimeDelta::days(90);
    version.value = Value::Key(older.clone());
    version.stages.clear();
    // It is on no label, so that nothing but the exposure speaks against it, and it is not in the way.
    world.versions.push(version.clone());
    world.keys.retain(|key| key.id != older);
    world.keys_made = 0;
    let mut drive = Drive::new(world, Terms::ReplaceThenRevoke, Tape::new(vec![]));
    drive.run_until(|drive| drive.record.rotation.promoted_at.is_some());
    drive.run_until(|drive| !drive.world.keys.iter().any(|key| key.id == "AKIAOLD" && key.active));
    drive.world.keys.retain(|key| key.id != "AKIAOLD");
    let created = version.created;
    drive.world.keys.push(world::Key {
        id: older.clone(),
        active: true,
        created,
        switched: created,
        used: true,
        ours: true,
    });
    drive.run();
    assert!(!drive.world.keys.iter().any(|key| key.id == older && key.active));
}

#[test]
fn a_key_that_was_there_before_ours_was_made_is_no_orphan() {
    let mut world = World::new(Issuer::AccessKey { user: user() });
    let unused = world.make_key(false).unwrap();
    world.keys.last_mut().unwrap().used = false;
    world.keys.retain(|key| key.id == unused);
    let mut drive = Drive::new(world, Terms::Routine, Tape::new(vec![0, 0, 150]));
    // What is handed out was dead before.
    drive.meddled = true;
    drive.run();
    assert!(drive.world.keys.iter().any(|key| key.id == unused && key.active));
}

#[test]
fn a_key_that_somebody_makes_right_after_ours_was_stored_is_no_orphan() {
    let world = World::new(Issuer::AccessKey { user: user() });
    let mut drive = Drive::new(world, Terms::Routine, Tape::new(vec![]));
    drive.run_until(|drive| drive.world.labelled(PENDING).is_some());
    drive.world.keys.retain(|key| key.id != "AKIAOLD");
    // What is handed out is dead, until ours is.
    drive.meddled = true;
    let theirs = drive.world.make_key(false).unwrap();
    drive.world.keys.last_mut().unwrap().used = false;
    assert!(matches!(drive.run(), End::Done(_)));
    assert!(drive.world.keys.iter().any(|key| key.id == theirs && key.active));
}

#[test]
fn an_attempt_that_was_refused_makes_nobodys_key_an_orphan() {
    let world = World::new(Issuer::AccessKey { user: user() });
    let mut drive = Drive::new(world, Terms::Routine, Tape::new(vec![]));
    let Action::Secret { secret, what } = drive.plan().remove(0) else { panic!("no key is made") };
    let make = Action::Secret { secret, what };
    let failed = |class, operation: &str| Failure {
        class,
        operation: operation.into(),
        code: "Code".into(),
        message: String::new(),
        request_id: None,
    };
    let kept = |failure: &Failure| {
        let mut record =
            Record { changes: make.change().into_iter().collect(), ..Record::default() };
        record.failed(&make, failure);
        !record.changes.is_empty()
    };
    let (cannot, throttled) = (FailureClass::Cannot, FailureClass::Throttled);
    for class in [cannot, throttled, FailureClass::Full, FailureClass::Gone] {
        assert!(!kept(&failed(class, "iam:CreateAccessKey")), "{class:?}");
        assert!(kept(&failed(class, "secretsmanager:PutSecretValue")), "made, and not stored");
    }
    assert!(
        !kept(&failed(FailureClass::RetrySoon, "secretsmanager:GetSecretValue")),
        "not sent yet"
    );
    for class in [FailureClass::RetrySoon, FailureClass::Replan] {
        assert!(kept(&failed(class, "iam:CreateAccessKey")), "nobody knows");
    }
    // The rotation goes on with a key that somebody else made meanwhile and has not used yet.
    drive.record.changes.extend(make.change());
    drive.record.failed(&make, &failed(cannot, "iam:CreateAccessKey"));
    drive.world.make_key(false).unwrap();
    drive.world.keys.last_mut().unwrap().used = false;
    drive.run();
    assert!(drive.world.keys.iter().all(|key| key.ours || key.active));
}

#[test]
fn a_deny_that_is_refused_keeps_no_leavers_key_alive_and_is_told_as_open() {
    for terms in [Terms::Routine, Terms::ReplaceThenRevoke, Terms::RevokeFirst] {
        let world = World::new(Issuer::AccessKey { user: user() });
        let mut drive = Drive::new(world, terms, Tape::new(vec![]));
        let readers = std::collections::BTreeSet::from(["arn:aws:iam::1:user/ann".to_owned()]);
        drive.leaving.clone_from(&readers);
        let what = SecretAction::Deny { case: drive.policy().case, readers };
        let deny = Action::Secret { secret: drive.world.secret.clone(), what };
        let refused = BlockReason::Refused {
            operation: "secretsmanager:PutResourcePolicy".into(),
            code: "MalformedPolicyDocumentException".into(),
            message: String::new(),
        };
        drive.record.refused.insert(deny.site(), refused.clone());
        assert_eq!(drive.run(), End::Blocked(refused), "{terms:?}");
        drive.check_end();
        let told = drive.findings();
        let expected = |it: &Finding| matches!(it, Finding::ReadersNotDenied { secret, .. } if secret == "app");
        assert!(told.iter().any(expected), "{told:?}");
    }
}

#[test]
fn revoke_first_has_the_old_key_off_before_a_new_one_is_made() {
    let issuer = Issuer::AccessKey { user: user() };
    let mut drive = Drive::new(World::new(issuer), Terms::RevokeFirst, Tape::new(vec![]));
    drive.run_until(|drive| drive.world.keys_made > 0);
    assert!(!drive.world.keys[0].active, "{:?}", drive.world.keys);
    assert_eq!(drive.policy().rotation.order, RevokeOrder::RevokeFirst);
}

#[test]
fn a_stale_pending_version_of_another_tool_is_unstuck_after_a_while() {
    for issuer in issuers() {
        let mut world = World::new(issuer.clone());
        let mut stale = world.versions[0].clone();
        stale.id = "EXAMPLE2-90ab-cdef-fedc-ba9876543210".into();
        stale.stages = [PENDING.to_owned()].into();
        if let Value::Opaque(number) = &mut stale.value {
            *number = 999;
        }
        world.versions.push(stale);
        let mut drive = Drive::new(world, Terms::Routine, Tape::new(vec![]));
        let patience = drive.policy().rotation.pending_patience;
        drive.run_until(|drive| drive.world.versions.len() > 2 || drive.world.function.is_some());
        assert!(drive.world.now - world::at(0) >= patience, "{issuer:?}");
        assert!(matches!(drive.run(), End::Done(_)), "{issuer:?}");
        drive.check_end();
    }
}

#[test]
fn replicas_are_waited_for_before_the_old_credential_goes() {
    let mut world = World::new(Issuer::AccessKey { user: user() });
    let current = world.current().id.clone();
    world.replicas.insert("us-east-1".into(), (current, world.now));
    let mut drive = Drive::new(world, Terms::ReplaceThenRevoke, Tape::new(vec![]));
    drive.run_until(|drive| !drive.world.keys[0].active);
    let current = drive.world.labelled(CURRENT).unwrap().id.clone();
    let (replicated, since) = &drive.world.replicas["us-east-1"];
    assert_eq!(*replicated, current);
    assert!(drive.world.now >= *since + world::SPREAD);
}

#[test]
fn a_plan_says_what_would_be_done_to_the_end() {
    let steps = |issuer, terms| -> Vec<&'static str> {
        let drive = Drive::new(World::new(issuer), terms, Tape::new(vec![]));
        drive.plan().iter().map(severance_lifecycle::action::Action::name).collect()
    };
    let key = || Issuer::AccessKey { user: user() };
    assert_eq!(steps(key(), Terms::Routine), ["make-key", "promote-version", "deactivate-key"]);
    assert_eq!(
        steps(key(), Terms::RevokeFirst),
        ["deactivate-key", "deny-user", "make-key", "promote-version", "drop-label"]
    );
    assert_eq!(
        steps(Issuer::Database { alternating: true }, Terms::ReplaceThenRevoke),
        [
            "prepare-version",
            "set-version",
            "promote-version",
            "retire-version",
            "end-sessions",
            "drop-label"
        ]
    );
    assert_eq!(steps(Issuer::Managed, Terms::Routine), ["rotate-secret"]);
}
