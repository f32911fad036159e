//! People who hand out a key of their own in the grace, or end what was handed out; and places that are full.

use chrono::TimeDelta;
use severance_lifecycle::decide::{Standing, Way};
use severance_lifecycle::secret::Issuer;
use severance_lifecycle::secret_view::{CURRENT, PENDING, PREVIOUS};
use severance_lifecycle::task::Verification;

use crate::drive::{Drive, End, Tape, Terms};
use crate::world::{Value, World, user};

const THEIRS: &str = "PERSON01-90ab-cdef-fedc-ba9876543210";

/// A routine rotation in its grace, and the key that it made.
fn in_grace() -> (Drive, String) {
    let world = World::new(Issuer::AccessKey { user: user() });
    let mut drive = Drive::new(world, Terms::Routine, Tape::new(vec![]));
    drive.run_until(|drive| drive.world.labelled(PREVIOUS).is_some());
    drive.meddled = true;
    let Value::Key(new) = drive.world.current().value.clone() else { panic!("it holds a key") };
    (drive, new)
}

/// A person deletes the old key, makes one by hand, and stores it.
fn take_over(drive: &mut Drive) -> String {
    drive.world.pass(drive.world.now + TimeDelta::minutes(5));
    drive.world.keys.retain(|key| key.id != "AKIAOLD");
    let key = drive.world.make_key(false).unwrap();
    let mut version = drive.world.current().clone();
    (version.id, version.created) = (THEIRS.into(), drive.world.now);
    version.stages.clear();
    version.value = Value::Key(key.clone());
    drive.world.versions.push(version);
    drive.world.move_label(CURRENT, THEIRS);
    key
}

fn is_active(drive: &Drive, key: &str) -> bool {
    drive.world.keys.iter().any(|it| it.id == key && it.active)
}

#[test]
fn a_key_of_ours_that_a_persons_followed_ends_after_its_grace() {
    let (mut drive, new) = in_grace();
    let theirs = take_over(&mut drive);
    let taken = drive.world.now;
    let grace = drive.policy().rotation.grace;
    drive.run_until(|drive| !is_active(drive, &new));
    assert!(drive.world.now - taken >= grace, "whoever read it has it cached");
    assert!(matches!(drive.run(), End::Done(_)));
    drive.check_end();
    assert!(is_active(&drive, &theirs));
    assert_eq!(drive.world.current().id, THEIRS);
    assert!(drive.world.labelled(PENDING).is_none(), "nothing of ours is about to follow");
}

#[test]
fn a_later_rotation_takes_the_place_of_a_key_of_ours_that_a_persons_followed() {
    let (mut drive, new) = in_grace();
    let theirs = take_over(&mut drive);
    let empty = World::new(Issuer::AccessKey { user: user() });
    let mut world = std::mem::replace(&mut drive.world, empty);
    world.keys_made = 0;
    world.keys.iter_mut().for_each(|key| key.ours = true);
    let mut later = Drive::new(world, Terms::Routine, Tape::new(vec![]));
    later.task = "t-later00000000001".into();
    later.meddled = true;
    let end = later.run();
    assert!(matches!(end, End::Done(_)), "{end:?}");
    later.check_end();
    assert!(!is_active(&later, &new) && !is_active(&later, &theirs));
}

#[test]
fn a_new_key_that_somebody_switched_off_is_replaced_before_the_old_one_ends() {
    let (mut drive, new) = in_grace();
    let now = drive.world.now;
    let key = drive.world.keys.iter_mut().find(|key| key.id == new).unwrap();
    (key.active, key.switched) = (false, now);
    drive.world.keys_made = 0;
    let spoilt = drive.world.current().id.clone();
    drive.run_until(|drive| drive.world.current().id != spoilt);
    assert!(is_active(&drive, "AKIAOLD"), "all that works meanwhile");
    assert!(drive.world.now - now < TimeDelta::minutes(5), "nobody waits for a grace");
    assert!(matches!(drive.run(), End::Done(_)));
    drive.check_end();
}

#[test]
fn a_new_key_that_somebody_switched_off_is_replaced_though_the_grace_is_over() {
    let (mut drive, new) = in_grace();
    // The look that finds it handed out, and the grace after it.
    drive.run_until(|drive| drive.record.rotation.promoted_at.is_some());
    let now = drive.world.now;
    assert!(now - drive.record.rotation.promoted_at.unwrap() >= drive.policy().rotation.grace);
    let key = drive.world.keys.iter_mut().find(|key| key.id == new).unwrap();
    (key.active, key.switched) = (false, now);
    drive.world.keys_made = 0;
    let spoilt = drive.world.current().id.clone();
    drive.run_until(|drive| drive.world.current().id != spoilt);
    assert!(is_active(&drive, "AKIAOLD"), "all that works meanwhile");
    assert!(matches!(drive.run(), End::Done(_)));
    drive.check_end();
}

#[test]
fn an_old_key_that_another_case_ended_needs_no_grace() {
    let (mut drive, _) = in_grace();
    let now = drive.world.now;
    let old = drive.world.keys.iter_mut().find(|key| key.id == "AKIAOLD").unwrap();
    (old.active, old.switched) = (false, now);
    assert!(matches!(drive.run(), End::Done(_)));
    drive.check_end();
    assert!(drive.world.now - now < drive.policy().rotation.grace);
}

#[test]
fn an_old_key_that_made_room_was_tried_all_the_same() {
    let mut world = World::new(Issuer::AccessKey { user: user() });
    world.make_key(false).unwrap();
    let mut drive = Drive::new(world, Terms::RevokeFirst, Tape::new(vec![]));
    assert_eq!(drive.run(), End::Done(Verification::Probed));
    drive.check_end();
    assert!(drive.world.keys.iter().all(|key| key.id != "AKIAOLD"), "its place was needed");
    let standing = Standing::Closed { verification: Verification::Probed };
    let id = Some("AKIAOLD".to_owned());
    let way = Way { way: "access-key".into(), id, standing };
    assert!(drive.ways().contains(&way), "{:?}", drive.ways());
}
