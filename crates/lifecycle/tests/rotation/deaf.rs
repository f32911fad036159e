//! Issuers that say yes and do nothing, and secrets that are gone: neither makes a task go round without an
//! end, nor keeps alive what can be ended.

use chrono::TimeDelta;
use severance_lifecycle::finding::Finding;
use severance_lifecycle::policy::Holds;
use severance_lifecycle::secret::Issuer;
use severance_lifecycle::secret_view::PREVIOUS;
use severance_lifecycle::task::BlockReason;

use crate::drive::{Drive, End, Tape, Terms};
use crate::world::{World, user};

const TERMS: [Terms; 3] = [Terms::Routine, Terms::ReplaceThenRevoke, Terms::RevokeFirst];

fn told() -> [Issuer; 3] {
    [
        Issuer::Webhook { name: "hook".into() },
        Issuer::Database { alternating: true },
        Issuer::Database { alternating: false },
    ]
}

#[test]
fn an_issuer_that_never_takes_the_new_value_has_a_person_asked() {
    for issuer in told() {
        let mut world = World::new(issuer.clone());
        world.deaf = true;
        let mut drive = Drive::new(world, Terms::Routine, Tape::new(vec![]));
        let began = drive.world.now;
        let end = drive.run();
        assert!(
            matches!(end, End::Blocked(BlockReason::NewNotAccepted { .. })),
            "{issuer:?}: {end:?}"
        );
        assert!(drive.world.now - began < TimeDelta::minutes(15), "{issuer:?}");
        // Mended: it is told again by itself.
        drive.world.deaf = false;
        drive.world.pass(drive.world.now + TimeDelta::minutes(6));
        assert!(matches!(drive.run(), End::Done(_)), "{issuer:?}");
        drive.check_end();
    }
}

#[test]
fn an_issuer_that_goes_on_accepting_the_old_value_has_a_person_asked() {
    for (issuer, terms) in told()[..2].iter().flat_map(|it| TERMS.map(|terms| (it.clone(), terms)))
    {
        let mut drive = Drive::new(World::new(issuer.clone()), terms, Tape::new(vec![]));
        if terms == Terms::RevokeFirst {
            drive.world.deaf = true;
        } else {
            drive.run_until(|drive| drive.world.labelled(PREVIOUS).is_some());
            drive.world.deaf = true;
        }
        // What is handed out may never have been taken.
        drive.meddled = true;
        let end = drive.run();
        let asked = matches!(
            end,
            End::Blocked(BlockReason::OldStillAccepted { .. } | BlockReason::NewNotAccepted { .. })
        );
        assert!(asked, "{issuer:?} {terms:?}: {end:?}");
        let told = drive.record.rotation.told.iter();
        let told: u32 = told.filter(|(what, _)| what.starts_with("retire")).map(|it| it.1).sum();
        assert!((1..20).contains(&told), "told {told} times: {issuer:?} {terms:?}");
        drive.world.deaf = false;
        drive.world.pass(drive.world.now + TimeDelta::minutes(6));
        assert!(matches!(drive.run(), End::Done(_)), "{issuer:?} {terms:?}");
        drive.check_end();
    }
}

#[test]
fn an_issuer_that_accepts_the_old_value_still_is_told_ever_more_slowly() {
    let mut drive = routine_that_is_replaced(Issuer::Webhook { name: "hook".into() });
    drive.world.deaf = true;
    let told = |drive: &Drive| {
        let told = drive.record.rotation.told.iter();
        told.filter(|(what, _)| what.starts_with("retire")).map(|(_, times)| *times).sum::<u32>()
    };
    let mut at = Vec::new();
    for times in 1..=5 {
        drive.run_until(|drive| told(drive) == times);
        at.push(drive.world.now);
    }
    let pauses: Vec<_> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses[0] >= drive.policy().proof.interval, "{pauses:?}");
    assert!(pauses.windows(2).all(|pair| pair[0] < pair[1]), "{pauses:?}");
    let end = drive.run();
    assert!(matches!(end, End::Blocked(BlockReason::OldStillAccepted { .. })), "{end:?}");
}

#[test]
fn an_issuer_that_answers_no_try_of_the_old_value_has_a_person_asked() {
    for issuer in &told()[..2] {
        let mut drive = routine_that_is_replaced(issuer.clone());
        drive.world.mute = true;
        let end = drive.run();
        let End::Blocked(BlockReason::ProbeInconclusive { why, .. }) = end else {
            panic!("{issuer:?}: {end:?}")
        };
        assert_eq!(why, "timeout");
        drive.world.mute = false;
        drive.world.pass(drive.world.now + TimeDelta::minutes(6));
        assert!(matches!(drive.run(), End::Done(_)), "{issuer:?}");
        drive.check_end();
    }
}

fn routine_that_is_replaced(issuer: Issuer) -> Drive {
    let mut drive = Drive::new(World::new(issuer), Terms::Routine, Tape::new(vec![]));
    drive.run_until(|drive| drive.world.labelled(PREVIOUS).is_some());
    drive
}

#[test]
fn the_exposed_key_of_a_secret_that_somebody_deleted_for_good_dies_by_its_deadline() {
    for terms in [Terms::ReplaceThenRevoke, Terms::RevokeFirst] {
        let world = World::new(Issuer::AccessKey { user: user() });
        let mut drive = Drive::new(world, terms, Tape::new(vec![]));
        let by = drive.world.now + TimeDelta::minutes(15);
        drive.replace_by = Some(by);
        assert!(!drive.run_for(1));
        drive.world.gone = true;
        drive.meddled = true;
        if terms == Terms::ReplaceThenRevoke {
            assert_eq!(drive.run(), End::Blocked(BlockReason::NotFound));
            assert!(drive.world.keys[0].active, "it may come back");
            drive.world.pass(by);
        }
        assert_eq!(drive.run(), End::Blocked(BlockReason::NotFound), "{terms:?}");
        assert!(!drive.world.keys[0].active, "{terms:?}");
        assert!(drive.record.dead_at.is_some(), "and is proven dead: {terms:?}");
    }
}

#[test]
fn keys_of_a_secret_that_somebody_deleted_in_the_grace_are_named() {
    for terms in TERMS {
        let mut drive =
            Drive::new(World::new(Issuer::AccessKey { user: user() }), terms, Tape::new(vec![]));
        drive.run_until(|drive| drive.record.rotation.promoted_at.is_some());
        drive.world.gone = true;
        drive.meddled = true;
        assert_eq!(drive.run(), End::Blocked(BlockReason::NotFound));
        let left: Vec<_> = drive
            .findings()
            .into_iter()
            .filter_map(|finding| match finding {
                Finding::KeysOfMissingSecret { keys, .. } => Some(keys),
                _ => None,
            })
            .collect();
        let new = drive.world.keys.last().unwrap().id.clone();
        // What is exposed dies by itself.
        let expected = match terms {
            Terms::Routine => vec!["AKIAOLD".to_owned(), new],
            _ => vec![new],
        };
        assert_eq!(left, [expected], "{terms:?}");
    }
}

#[test]
fn an_exposed_secret_that_is_hidden_ends_and_is_replaced_once_it_is_restored() {
    let world = World::new(Issuer::AccessKey { user: user() });
    let mut drive = Drive::new(world, Terms::ReplaceThenRevoke, Tape::new(vec![]));
    drive.replace_by = Some(drive.world.now + TimeDelta::days(1));
    drive.meddled = true;
    assert!(!drive.run_for(1));
    drive.world.deleted_at = Some(drive.world.now);
    let end = drive.run();
    assert!(matches!(end, End::Done(_)), "nobody waits for a successor: {end:?}");
    assert!(!drive.world.keys[0].active);
    drive.world.deleted_at = None;
    assert!(matches!(drive.run(), End::Done(_)));
    drive.check_end();
}

#[test]
fn a_secret_that_is_restored_after_its_end_was_proven_is_rotated() {
    let world = World::new(Issuer::AccessKey { user: user() });
    let mut drive = Drive::new(world, Terms::Routine, Tape::new(vec![]));
    drive.holds = Holds { other: true, target: true, ..Holds::default() };
    assert_eq!(drive.run(), End::Blocked(BlockReason::EndedByAnotherCase), "it is to be hidden");
    drive.holds.ended = true;
    drive.world.deleted_at = Some(drive.world.now);
    assert_eq!(drive.run(), End::Blocked(BlockReason::EndedByAnotherCase));
    drive.world.deleted_at = None;
    assert!(matches!(drive.run(), End::Done(_)));
    drive.check_end();
}
