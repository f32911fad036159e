//! A rotation of a secret whose user is revoked meanwhile: nothing new is made for it.

use severance_lifecycle::policy::Holds;
use severance_lifecycle::secret::Issuer;
use severance_lifecycle::secret_view::PENDING;
use severance_lifecycle::task::BlockReason;

use crate::drive::{Drive, End, Tape, Terms};
use crate::world::{World, user};

const ALL: [Terms; 3] = [Terms::Routine, Terms::ReplaceThenRevoke, Terms::RevokeFirst];

fn revoked() -> End {
    End::Blocked(BlockReason::UserIsRevoked { user: user().name })
}

fn drive(terms: Terms) -> Drive {
    Drive::new(World::new(Issuer::AccessKey { user: user() }), terms, Tape::new(vec![]))
}

/// Another case has the user revoked: what is handed out is refused from then on, and that is meant.
fn hold_user(drive: &mut Drive) {
    drive.holds = Holds { other: true, user: true, ..Holds::default() };
    drive.meddled = true;
}

/// What the user's own task does.
fn revoke_user(drive: &mut Drive) {
    hold_user(drive);
    let now = drive.world.now;
    for key in drive.world.keys.iter_mut().filter(|key| key.active) {
        (key.active, key.switched) = (false, now);
    }
}

#[test]
fn a_revoked_user_gets_no_new_key_and_the_one_in_quarantine_stays() {
    for terms in ALL {
        let mut drive = drive(terms);
        revoke_user(&mut drive);
        assert_eq!(drive.run(), revoked(), "{terms:?}");
        assert_eq!(drive.world.keys_made, 0, "{terms:?}");
        assert!(drive.world.keys.iter().any(|key| key.id == "AKIAOLD"), "deleted for room");
    }
}

#[test]
fn what_is_exposed_dies_though_nothing_may_follow_it() {
    for terms in [Terms::ReplaceThenRevoke, Terms::RevokeFirst] {
        let mut drive = drive(terms);
        let old = drive.world.current().value.clone();
        hold_user(&mut drive);
        assert_eq!(drive.run(), revoked(), "{terms:?}");
        assert_eq!(drive.world.keys_made, 0, "{terms:?}");
        assert!(!drive.world.will_accept(&old), "{terms:?}");
        assert!(drive.record.dead_at.is_some(), "{terms:?}");
        assert!(!drive.world.denies.is_empty(), "its sessions too");
    }
}

#[test]
fn a_revocation_in_the_middle_of_a_rotation_leaves_no_key_of_ours_active() {
    let amid: [fn(&Drive) -> bool; 2] = [
        |drive| drive.world.labelled(PENDING).is_some(),
        |drive| drive.record.rotation.promoted_at.is_some(),
    ];
    for (is_amid, terms) in amid.into_iter().flat_map(|it| ALL.map(|terms| (it, terms))) {
        let mut drive = drive(terms);
        drive.run_until(is_amid);
        revoke_user(&mut drive);
        assert_eq!(drive.run(), revoked(), "{terms:?}");
        assert_eq!(drive.world.keys_made, 1, "{terms:?}");
        assert!(drive.world.keys.iter().all(|key| !key.active), "{terms:?}");
    }
}

#[test]
fn once_the_user_is_put_back_the_rotation_goes_on() {
    let mut drive = drive(Terms::Routine);
    revoke_user(&mut drive);
    assert_eq!(drive.run(), revoked());
    drive.holds = Holds::default();
    let now = drive.world.now;
    for key in &mut drive.world.keys {
        (key.active, key.switched) = (true, now);
    }
    assert!(matches!(drive.run(), End::Done(_)));
    drive.check_end();
    assert_eq!(drive.world.keys_made, 1);
}
