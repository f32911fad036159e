//! Others who make an earlier version current, or take its label off, while a user's places for keys are full.

use chrono::TimeDelta;
use severance_lifecycle::ids::TaskId;
use severance_lifecycle::secret::{Issuer, version_id};
use severance_lifecycle::secret_view::{CURRENT, PREVIOUS};
use severance_lifecycle::task::BlockReason;

use crate::drive::{Drive, End, Tape, Terms};
use crate::world::{Value, Version, World, user};

const EARLIER: &str = "EXAMPLE0-90ab-cdef-fedc-ba9876543210";

/// A user with two keys of one secret: the one that is current, and the one before it.
fn full() -> (World, String) {
    let mut world = World::new(Issuer::AccessKey { user: user() });
    let earlier = world.make_key(true).unwrap();
    let mut version = world.versions[0].clone();
    version.id = EARLIER.into();
    version.created -= TimeDelta::days(90);
    version.value = Value::Key(earlier.clone());
    version.stages = [PREVIOUS.to_owned()].into();
    world.versions.push(version);
    world.keys_made = 0;
    (world, earlier)
}

fn routine(world: World) -> Drive {
    let mut drive = Drive::new(world, Terms::Routine, Tape::new(vec![]));
    drive.meddled = true;
    drive
}

fn is_active(drive: &Drive, key: &str) -> bool {
    drive.world.keys.iter().any(|it| it.id == key && it.active)
}

#[test]
fn an_earlier_key_that_others_made_current_gives_way_to_a_new_one_and_each_has_its_grace() {
    let (mut world, earlier) = full();
    let theirs = TimeDelta::days(80);
    // So that it is in its grace still, and not gone at once.
    world.versions[0].created = world.now;
    let mut drive = routine(world);
    assert!(!drive.run_for(1));
    drive.world.pass(drive.world.now + TimeDelta::minutes(5));
    drive.world.move_label(CURRENT, EARLIER);
    let back = drive.world.now;
    let grace = drive.policy().rotation.grace;
    drive.run_until(|drive| !is_active(drive, "AKIAOLD"));
    assert!(drive.world.now - back >= grace, "whoever read it before has it cached");
    assert!(is_active(&drive, &earlier), "it is handed out");
    let end = drive.run();
    assert!(matches!(end, End::Done(_)), "{end:?}");
    drive.check_end();
    assert!(!is_active(&drive, &earlier), "it was handed out before the new one");
    assert!(drive.world.now - back < theirs);
}

#[test]
fn an_earlier_key_is_this_secrets_own_when_its_version_has_lost_its_label() {
    let (world, earlier) = full();
    let mut drive = routine(world);
    assert!(!drive.run_for(1));
    // Its version is not looked at any more.
    drive.world.versions.retain(|version| version.id != EARLIER);
    assert!(matches!(drive.run(), End::Done(_)));
    drive.check_end();
    assert!(!is_active(&drive, &earlier));
}

#[test]
fn a_key_in_what_somebody_else_had_pending_is_not_this_secrets_own() {
    let (mut world, earlier) = full();
    world.versions[1].stages = [severance_lifecycle::secret_view::PENDING.to_owned()].into();
    let mut drive = routine(world);
    let end = drive.run();
    let End::Blocked(BlockReason::NoRoomForKey { keys }) = end else { panic!("{end:?}") };
    assert_eq!(keys.len(), 2);
    assert!(is_active(&drive, &earlier) && is_active(&drive, "AKIAOLD"));
    // A person says which is not needed: it goes on by itself.
    drive.world.keys.retain(|key| key.id != earlier);
    assert!(matches!(drive.run(), End::Done(_)));
    drive.check_end();
}

#[test]
fn a_leftover_keys_grace_counts_from_the_handing_out_of_what_followed_it() {
    let (mut world, earlier) = full();
    // Another task of ours made what is current long before it could be handed out.
    let other = TaskId::from("t-fedcba9876543210");
    world.versions[0] = Version { id: version_id(&other, 1), ..world.versions[0].clone() };
    let began = world.now;
    let mut drive = routine(world);
    drive.run_until(|drive| !is_active(drive, &earlier));
    assert!(drive.world.now - began >= drive.policy().rotation.grace);
    assert!(matches!(drive.run(), End::Done(_)));
}

#[test]
fn a_roll_back_in_the_grace_has_the_grace_begin_again() {
    let mut drive = routine(World::new(Issuer::AccessKey { user: user() }));
    drive.run_until(|drive| drive.record.rotation.promoted_at.is_some());
    let ours = drive.world.current().id.clone();
    let old = drive.world.labelled(PREVIOUS).unwrap().id.clone();
    let grace = drive.policy().rotation.grace;
    drive.world.pass(drive.world.now + grace - TimeDelta::minutes(1));
    drive.world.move_label(CURRENT, &old);
    let back = drive.world.now;
    drive.run_until(|drive| !is_active(drive, "AKIAOLD"));
    assert!(drive.world.now - back >= grace, "clients have read it once more");
    assert!(matches!(drive.run(), End::Done(_)));
    assert_eq!(drive.world.current().id, ours);
}

#[test]
fn what_a_later_rotation_replaced_is_not_the_earlier_ones_to_end() {
    let mut first = routine(World::new(Issuer::AccessKey { user: user() }));
    assert!(matches!(first.run(), End::Done(_)));
    let Value::Key(good) = first.world.current().value.clone() else { panic!("no key") };
    first.world.keys.retain(|key| key.id == good);
    let mut world = std::mem::replace(&mut first.world, World::new(Issuer::Managed));
    world.keys_made = 0;
    let mut second = routine(world);
    second.task = "t-fedcba9876543210".into();
    second.run_until(|drive| drive.record.rotation.promoted_at.is_some());
    first.world = second.world;
    // The second asked for a longer grace than this one's.
    first.world.pass(first.world.now + first.policy().rotation.grace * 2);
    assert!(matches!(first.run(), End::Done(_)));
    assert!(is_active(&first, &good), "the second's to end");
}

#[test]
fn an_old_key_that_is_stored_once_more_has_its_grace_from_when_it_is_replaced_again() {
    let mut drive = routine(World::new(Issuer::AccessKey { user: user() }));
    let grace = drive.policy().rotation.grace;
    drive.run_until(|drive| drive.record.rotation.grace_from.is_some());
    drive.world.pass(drive.world.now + grace - TimeDelta::minutes(1));
    drive.world.put_by_hand("rolled-back", Value::Key("AKIAOLD".into()));
    let back = drive.world.now;
    drive.run_until(|drive| !is_active(drive, "AKIAOLD"));
    assert!(drive.world.now - back >= grace, "{}", drive.world.now - back);
}
