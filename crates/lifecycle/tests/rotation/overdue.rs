//! Replacements that need a person: what is exposed dies by its deadline all the same, what is not is left
//! as it was, and nothing half done stays in anybody's way.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use severance_lifecycle::action::Action;
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::TaskId;
use severance_lifecycle::secret::{Issuer, version_id};
use severance_lifecycle::secret_action::SecretAction;
use severance_lifecycle::secret_view::PENDING;
use severance_lifecycle::task::BlockReason;

use crate::drive::{Drive, End, Tape, Terms};
use crate::world::{World, user};

const DEADLINE: TimeDelta = TimeDelta::minutes(15);

fn key() -> Issuer {
    Issuer::AccessKey { user: user() }
}

/// A rotation whose issuer will not be told of the new value.
fn refused(issuer: Issuer, terms: Terms) -> (Drive, BlockReason) {
    let mut drive = Drive::new(World::new(issuer), terms, Tape::new(vec![]));
    let version = version_id(&TaskId::from(drive.task.as_str()), 1);
    let from = drive.world.current().id.clone();
    let what = SecretAction::Set { version, from, others: vec![] };
    let set = Action::Secret { secret: drive.world.secret.clone(), what };
    let reason = BlockReason::Refused {
        operation: "webhook:set".into(),
        code: "Nonsense".into(),
        message: String::new(),
    };
    drive.record.refused.insert(set.site(), reason.clone());
    (drive, reason)
}

fn told() -> [Issuer; 2] {
    [Issuer::Webhook { name: "hook".into() }, Issuer::Database { alternating: true }]
}

#[test]
fn an_exposed_key_that_leaves_no_room_dies_by_its_deadline_and_makes_room() {
    let mut world = World::new(key());
    let theirs = world.make_key(false).unwrap();
    let mut drive = Drive::new(world, Terms::ReplaceThenRevoke, Tape::new(vec![]));
    let by = drive.world.now + DEADLINE;
    drive.replace_by = Some(by);
    assert!(matches!(drive.run(), End::Blocked(BlockReason::NoRoomForKey { .. })));
    assert!(drive.world.keys[0].active, "before its deadline it is left");
    drive.world.pass(by);
    let end = drive.run();
    assert!(matches!(end, End::Done(_)), "{end:?}");
    drive.check_end();
    assert!(drive.world.keys.iter().any(|key| key.id == theirs && key.active));
}

#[test]
fn without_a_deadline_or_an_exposure_the_old_credential_waits_for_what_follows_it() {
    for terms in [Terms::Routine, Terms::ReplaceThenRevoke] {
        let mut world = World::new(key());
        world.make_key(false).unwrap();
        let mut drive = Drive::new(world, terms, Tape::new(vec![]));
        if terms == Terms::Routine {
            drive.replace_by = Some(drive.world.now);
        }
        drive.world.pass(drive.world.now + DEADLINE);
        assert!(matches!(drive.run(), End::Blocked(BlockReason::NoRoomForKey { .. })));
        assert!(drive.world.keys.iter().all(|key| key.active), "{terms:?}");
    }
}

#[test]
fn what_is_exposed_dies_by_its_deadline_at_an_issuer_that_refuses_the_new_value() {
    for issuer in told() {
        let (mut drive, reason) = refused(issuer.clone(), Terms::ReplaceThenRevoke);
        let old = drive.world.current().clone();
        let by = drive.world.now + DEADLINE;
        drive.replace_by = Some(by);
        assert_eq!(drive.run(), End::Blocked(reason.clone()), "{issuer:?}");
        assert!(drive.world.accepts(&old.value), "before its deadline it is left");
        assert!(!drive.findings().iter().any(hands_out_revoked));
        drive.world.pass(by);
        assert_eq!(drive.run(), End::Blocked(reason), "{issuer:?}");
        assert!(!drive.world.accepts(&old.value), "{issuer:?}");
        assert_eq!(drive.world.current().id, old.id);
        assert!(drive.findings().iter().any(hands_out_revoked), "{issuer:?}");
        // A person sees to it.
        drive.record.refused.clear();
        assert!(matches!(drive.run(), End::Done(_)), "{issuer:?}");
        drive.check_end();
        assert!(!drive.findings().iter().any(hands_out_revoked));
    }
}

fn hands_out_revoked(finding: &Finding) -> bool {
    matches!(finding, Finding::HandsOutRevoked { secret, .. } if secret == "app")
}

#[test]
fn an_issuer_that_refuses_the_new_value_leaves_nothing_pending_and_is_told_again() {
    for issuer in told() {
        let (mut drive, reason) = refused(issuer.clone(), Terms::Routine);
        assert_eq!(drive.run(), End::Blocked(reason), "{issuer:?}");
        assert!(drive.world.labelled(PENDING).is_none(), "{issuer:?}");
        drive.check_blocked();
        drive.record.refused.clear();
        assert!(matches!(drive.run(), End::Done(_)), "{issuer:?}");
        drive.check_end();
        assert_eq!(drive.world.versions.len(), 2, "the version that was stored is used");
    }
    // A lost attempt may have made the pending one the only one that works.
    let (mut drive, reason) = refused(Issuer::Database { alternating: false }, Terms::Routine);
    assert_eq!(drive.run(), End::Blocked(reason));
    assert!(drive.world.labelled(PENDING).is_some());
}

#[test]
fn a_function_that_may_be_running_is_given_time_even_in_a_compromise() {
    for age in [TimeDelta::zero(), TimeDelta::hours(1)] {
        let mut world = World::new(Issuer::Managed);
        let mut pending = world.versions[0].clone();
        pending.id = "EXAMPLE2-90ab-cdef-fedc-ba9876543210".into();
        pending.stages = BTreeSet::from([PENDING.to_owned()]);
        pending.created = world.now - age;
        world.versions.push(pending.clone());
        let began = world.now;
        let mut drive = Drive::new(world, Terms::ReplaceThenRevoke, Tape::new(vec![]));
        drive.exposed_at = began + TimeDelta::seconds(1);
        drive.run_until(|drive| drive.world.labelled(PENDING).is_none());
        let waited = drive.world.now - began;
        let patience = drive.policy().rotation.patience;
        let expected = (patience - age).max(TimeDelta::zero());
        assert!(waited >= expected && waited <= expected + TimeDelta::seconds(5), "{waited}");
    }
}

#[test]
fn the_key_that_another_secret_came_to_hand_out_is_not_switched_off_by_a_routine_rotation() {
    let mut drive = Drive::new(World::new(key()), Terms::Routine, Tape::new(vec![]));
    drive.run_until(|drive| drive.record.rotation.promoted_at.is_some());
    drive.world.elsewhere.insert("AKIAOLD".into());
    let key_id = "AKIAOLD".to_owned();
    assert_eq!(drive.run(), End::Blocked(BlockReason::KeyInAnotherSecret { key_id }));
    assert!(drive.world.keys[0].active);
    drive.world.elsewhere.clear();
    assert!(matches!(drive.run(), End::Done(_)));
    drive.check_end();
}

#[test]
fn an_exposed_key_waits_for_a_replica_until_its_deadline_and_no_longer() {
    let mut drive = Drive::new(World::new(key()), Terms::ReplaceThenRevoke, Tape::new(vec![]));
    let by = drive.world.now + DEADLINE;
    drive.replace_by = Some(by);
    let (current, now) = (drive.world.current().id.clone(), drive.world.now);
    drive.world.replicas.insert("us-west-2".into(), (current, now));
    drive.world.replicas_follow = false;
    drive.run_until(|drive| drive.world.now >= by);
    assert!(drive.world.keys[0].active, "before its deadline it is given time");
    let end = drive.run();
    assert!(matches!(end, End::Blocked(BlockReason::ReplicaBehind { .. })), "{end:?}");
    assert!(!drive.world.keys[0].active);
    assert!(drive.world.now < by + TimeDelta::minutes(1));
}

#[test]
fn what_keeps_failing_without_being_refused_keeps_nothing_exposed_alive_beyond_its_deadline() {
    for issuer in [key(), Issuer::Webhook { name: "hook".into() }] {
        // Every call is lost on its way.
        let tape = Tape::new(vec![150; 400]);
        let mut drive = Drive::new(World::new(issuer.clone()), Terms::ReplaceThenRevoke, tape);
        let old = drive.world.current().value.clone();
        let by = drive.world.now + TimeDelta::seconds(60);
        drive.replace_by = Some(by);
        drive.run_until(|drive| drive.world.now >= by);
        assert_eq!(drive.world.versions.len(), 1, "nothing could follow: {issuer:?}");
        let next = drive.plan().remove(0);
        let ends = matches!(&next, Action::DeactivateKey { key_id, .. } if key_id == "AKIAOLD")
            || matches!(&next, Action::Secret { what: SecretAction::Retire { .. }, .. });
        assert!(ends, "{issuer:?}: {next:?}");
        assert!(drive.world.accepts(&old));
    }
}

#[test]
fn both_of_two_users_in_turns_die_by_the_deadline_where_neither_can_be_replaced() {
    let issuer = Issuer::Database { alternating: true };
    for terms in [Terms::ReplaceThenRevoke, Terms::RevokeFirst] {
        let mut routine = Drive::new(World::new(issuer.clone()), Terms::Routine, Tape::new(vec![]));
        let first = routine.world.current().value.clone();
        routine.run_until(|drive| drive.record.rotation.promoted_at.is_some());
        let second = routine.world.current().value.clone();
        assert!(routine.world.accepts(&first) && routine.world.accepts(&second), "its grace");
        let mut notice = Drive::new(routine.world, terms, Tape::new(vec![]));
        notice.task = "t-compromise000001".into();
        let by = notice.world.now + DEADLINE;
        notice.replace_by = Some(by);
        let version = version_id(&TaskId::from(notice.task.as_str()), 1);
        let from = notice.world.current().id.clone();
        let what = SecretAction::Prepare { version, from };
        let prepare = Action::Secret { secret: notice.world.secret.clone(), what };
        let reason = BlockReason::Refused {
            operation: "secretsmanager:PutSecretValue".into(),
            code: "AccessDeniedException".into(),
            message: String::new(),
        };
        notice.record.refused.insert(prepare.site(), reason.clone());
        if terms == Terms::ReplaceThenRevoke {
            assert_eq!(notice.run(), End::Blocked(reason.clone()));
            notice.world.pass(by);
        }
        assert_eq!(notice.run(), End::Blocked(reason), "{terms:?}");
        for value in [&first, &second] {
            assert!(!notice.world.accepts(value), "{terms:?}: {value:?}");
        }
        notice.record.refused.clear();
        assert!(matches!(notice.run(), End::Done(_)), "{terms:?}");
        notice.check_end();
    }
}
