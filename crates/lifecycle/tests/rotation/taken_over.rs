//! One login without an administrator, whose rotation a compromise takes over at any moment: whoever is to
//! change the password must know the one that the server has.

use proptest::prelude::*;
use severance_lifecycle::secret::Issuer;
use severance_lifecycle::secret_view::PENDING;
use severance_lifecycle::task::Verification;

use crate::drive::{Drive, End, Tape, Terms};
use crate::world::World;

const ORDERS: [Terms; 2] = [Terms::ReplaceThenRevoke, Terms::RevokeFirst];
const DONE: End = End::Done(Verification::Probed);

fn routine(tape: Vec<u8>) -> Drive {
    let mut world = World::new(Issuer::Database { alternating: false });
    world.administered = false;
    Drive::new(world, Terms::Routine, Tape::new(tape))
}

/// A compromise of everything that is stored by now.
fn notice(routine: &mut Drive, order: Terms, tape: Vec<u8>) -> Drive {
    let empty = World::new(Issuer::Database { alternating: false });
    let world = std::mem::replace(&mut routine.world, empty);
    let mut notice = Drive::new(world, order, Tape::new(tape));
    notice.task = "t-compromise000001".into();
    // What is handed out may be refused already: that is the gap of one login.
    notice.meddled = true;
    notice
}

/// Amid the rotation: the server was told, and the old value is handed out still.
fn is_told(drive: &Drive) -> bool {
    drive.world.labelled(PENDING).is_some_and(|pending| drive.world.accepts(&pending.value))
}

/// The compromise ends well, and so does the rotation that it took over.
fn ends(mut routine: Drive, mut notice: Drive, what: &str) {
    assert_eq!(notice.run(), DONE, "{what}");
    notice.check_end();
    routine.world = notice.world;
    routine.meddled = true;
    assert_eq!(routine.run(), DONE, "{what}");
    routine.check_end();
}

#[test]
fn an_exposed_value_that_the_server_has_already_is_replaced() {
    for order in ORDERS {
        let mut routine = routine(vec![]);
        routine.run_until(is_told);
        let notice = notice(&mut routine, order, vec![]);
        ends(routine, notice, &format!("{order:?}"));
    }
}

#[test]
fn a_fault_at_any_call_of_the_takeover_changes_nothing() {
    // One of each kind of fault, at each place of the tape.
    let faults = [120, 135, 150, 165, 185, 193];
    for (order, fault, place) in ORDERS
        .into_iter()
        .flat_map(|order| faults.map(|fault| (order, fault)))
        .flat_map(|(order, fault)| (2..40).map(move |place| (order, fault, place)))
    {
        let mut routine = routine(vec![]);
        routine.run_until(is_told);
        let tape = [vec![0; place], vec![fault]].concat();
        let notice = notice(&mut routine, order, tape);
        ends(routine, notice, &format!("{order:?}: {fault} at {place}"));
    }
}

#[test]
fn a_second_compromise_takes_over_the_first() {
    for looks in 1..60 {
        let mut routine = routine(vec![]);
        routine.run_until(is_told);
        let mut first = notice(&mut routine, Terms::ReplaceThenRevoke, vec![]);
        if first.run_for(looks) {
            return;
        }
        let mut second = notice(&mut first, Terms::ReplaceThenRevoke, vec![]);
        second.task = "t-compromise000002".into();
        ends(first, second, &format!("after {looks} looks"));
    }
    panic!("the first never ended");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn wherever_a_rotation_stopped_the_compromise_ends_it(
        order in prop::sample::select(ORDERS.to_vec()),
        before in prop::collection::vec(0_u8..200, 0..30),
        looks in 1_u32..40,
        tape in prop::collection::vec(0_u8..200, 0..60),
    ) {
        let mut routine = routine(before);
        if !routine.run_for(looks) {
            let notice = notice(&mut routine, order, tape);
            ends(routine, notice, "");
        }
    }
}
