//! Values that name somebody's key and do not hold it: a key's id is no secret.

use chrono::TimeDelta;
use severance_lifecycle::secret::Issuer;
use severance_lifecycle::task::BlockReason;

use crate::drive::{Drive, End, Tape, Terms};
use crate::world::{Value, World, user};

fn drive(forged: bool, active: bool, terms: Terms) -> Drive {
    let mut world = World::new(Issuer::AccessKey { user: user() });
    let current = world.current().id.clone();
    world.forged.extend(forged.then_some(current));
    world.keys[0].active = active;
    let mut drive = Drive::new(world, terms, Tape::new(vec![]));
    // What is handed out does not work to begin with.
    drive.meddled = !active;
    drive
}

fn not_held(end: &End) -> bool {
    matches!(end, End::Blocked(BlockReason::NotHeld { credential, .. }) if credential == "access key AKIAOLD")
}

#[test]
fn whoever_writes_anothers_key_id_into_a_secret_is_handed_no_key_of_theirs() {
    for terms in [Terms::Routine, Terms::ReplaceThenRevoke, Terms::RevokeFirst] {
        for vouched in [true, false] {
            let mut drive = drive(true, true, terms);
            drive.record.rotation.vouched = vouched;
            let end = drive.run();
            let killed = terms == Terms::RevokeFirst;
            assert_eq!(drive.world.keys[0].active, !killed, "{terms:?}");
            assert!(not_held(&end), "{terms:?}: {end:?}");
            assert_eq!(drive.world.keys_made, 0, "{terms:?}");
        }
    }
}

#[test]
fn a_key_that_does_not_work_proves_nothing_and_is_followed_only_where_it_is_exposed_and_vouched_for()
 {
    for (terms, vouched, follows) in [
        (Terms::Routine, true, false),
        (Terms::Routine, false, false),
        (Terms::ReplaceThenRevoke, false, false),
        (Terms::ReplaceThenRevoke, true, true),
        (Terms::RevokeFirst, false, false),
        (Terms::RevokeFirst, true, true),
    ] {
        let mut drive = drive(false, false, terms);
        drive.record.rotation.vouched = vouched;
        drive.world.keys[0].switched -= TimeDelta::days(1);
        let end = drive.run();
        assert_eq!(drive.world.keys_made, u32::from(follows), "{terms:?} {vouched}: {end:?}");
        assert_eq!(not_held(&end), !follows, "{terms:?} {vouched}: {end:?}");
    }
}

#[test]
fn a_secret_that_holds_what_it_names_is_replaced_whoever_vouches_for_it() {
    for terms in [Terms::Routine, Terms::ReplaceThenRevoke, Terms::RevokeFirst] {
        let mut drive = drive(false, true, terms);
        let end = drive.run();
        assert!(matches!(end, End::Done(_)), "{terms:?}: {end:?}");
        assert_eq!(drive.world.keys_made, 1);
        drive.check_end();
    }
}

#[test]
fn another_users_key_in_the_value_proves_nothing_of_this_one() {
    let mut drive = drive(false, true, Terms::Routine);
    // It works, and is none of the user's: the value was changed after the user was found by it.
    drive.world.strangers.insert("AKIAOLD".into());
    let end = drive.run();
    assert!(not_held(&end), "{end:?}");
    assert_eq!(drive.world.keys_made, 0);
}

#[test]
fn a_value_that_is_put_right_is_followed() {
    let mut drive = drive(true, true, Terms::Routine);
    assert!(not_held(&drive.run()));
    drive.world.forged.clear();
    drive.world.pass(drive.world.now + TimeDelta::minutes(6));
    let end = drive.run();
    assert!(matches!(end, End::Done(_)), "{end:?}");
}

#[test]
fn the_try_comes_before_the_blow() {
    let mut drive = drive(false, true, Terms::RevokeFirst);
    drive.run_until(|drive| !drive.world.keys[0].active);
    assert!(drive.record.rotation.possessed);
}

#[test]
fn whoever_writes_anothers_login_into_a_secret_is_handed_no_password_of_it() {
    for terms in [Terms::Routine, Terms::ReplaceThenRevoke, Terms::RevokeFirst] {
        for alternating in [true, false] {
            let mut world = World::new(Issuer::Database { alternating });
            world.logins.insert("app".into(), Some(99));
            let mut drive = Drive::new(world, terms, Tape::new(vec![]));
            drive.meddled = true;
            let end = drive.run();
            assert!(
                matches!(&end, End::Blocked(BlockReason::NotHeld { credential, .. }) if credential == "login app"),
                "{terms:?} {alternating}: {end:?}"
            );
            let untouched = [("app".to_owned(), Some(99))].into();
            assert_eq!(drive.world.logins, untouched, "{terms:?} {alternating}");
            assert_eq!(drive.world.versions.len(), 1, "{terms:?} {alternating}");
        }
    }
}

#[test]
fn a_value_that_names_another_login_by_now_is_not_the_next_ones_model() {
    let mut world = World::new(Issuer::Database { alternating: false });
    world.logins.insert("victim".into(), Some(99));
    let mut drive = Drive::new(world, Terms::Routine, Tape::new(vec![]));
    drive.run_until(|drive| drive.record.rotation.possessed);
    drive.world.put_by_hand("swapped", Value::Login { user: "victim".into(), password: 0 });
    drive.meddled = true;
    let end = drive.run();
    assert_eq!(drive.world.logins["victim"], Some(99), "{end:?}");
    let made = drive.world.versions.iter().filter(|it| it.id.starts_with("severance-"));
    for version in made {
        assert!(
            matches!(&version.value, Value::Login { user, .. } if user == "app"),
            "{version:?}"
        );
    }
}

#[test]
fn a_version_that_passes_for_one_of_ours_has_no_administrator_set_its_password() {
    for terms in [Terms::Routine, Terms::ReplaceThenRevoke, Terms::RevokeFirst] {
        for (alternating, user) in [(false, "app"), (true, "app_clone")] {
            let mut world = World::new(Issuer::Database { alternating });
            world.logins.insert("app".into(), Some(99));
            let chosen = Value::Login { user: user.into(), password: 7 };
            // Made after whatever is exposed.
            world.pass(world.now + TimeDelta::seconds(1));
            world.put_pending("severance-t-fedcba9876543210-0001", chosen);
            let mut drive = Drive::new(world, terms, Tape::new(vec![]));
            drive.exposed_at -= TimeDelta::seconds(1);
            drive.meddled = true;
            let end = drive.run();
            let untouched = [("app".to_owned(), Some(99))].into();
            assert_eq!(drive.world.logins, untouched, "{terms:?} {user}: {end:?}");
        }
    }
}

#[test]
fn another_credential_that_works_does_not_have_the_named_one_switched_off() {
    let mut drive = drive(true, true, Terms::Routine);
    assert!(not_held(&drive.run()));
    let theirs = drive.world.make_key(false).unwrap();
    drive.world.put_by_hand("by-hand", Value::Key(theirs));
    drive.meddled = true;
    drive.world.pass(drive.world.now + TimeDelta::days(1));
    let end = drive.run();
    assert!(drive.world.keys[0].active, "{end:?}");
}

#[test]
fn the_right_half_in_another_version_proves_it() {
    let mut drive = drive(true, true, Terms::Routine);
    assert!(not_held(&drive.run()));
    drive.world.put_by_hand("put-right", Value::Key("AKIAOLD".into()));
    drive.world.pass(drive.world.now + TimeDelta::minutes(6));
    let end = drive.run();
    assert!(matches!(end, End::Done(_)), "{end:?}");
    assert_eq!(drive.world.keys_made, 1);
}
