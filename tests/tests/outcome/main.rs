//! Between a call's intent and its outcome the clock is set and the disk fills: the engine over its real
//! ledger, and a model of one user's key in place of AWS.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

mod iam;
mod rig;

use std::time::Duration;

use chrono::TimeDelta;
use severance_engine::ports::CaseDetail;
use severance_lifecycle::case::{CaseState, Closing};
use severance_lifecycle::journal::Happening;
use severance_lifecycle::outcome::{CASE_CLOSED_TYPE, REVOKED_TYPE};
use severance_lifecycle::task::{TaskState, Verification};
use severance_tests::wait::until;

use crate::rig::Rig;

const LIMIT: Duration = Duration::from_mins(1);

/// Longer than any lease.
const JUMP: TimeDelta = TimeDelta::hours(1);

/// The key is proven dead, and everything that was done or told was done or told once.
async fn ended_once(rig: &Rig) {
    let closed = CaseState::Closed { how: Closing::Done };
    let case = until("the case closes", LIMIT, async || {
        Some(rig.case().await).filter(|case| case.summary.case.state == closed)
    })
    .await;
    until("everything is published", LIMIT, async || rig.outbox_is_empty().await.then_some(()))
        .await;
    assert!(!rig.iam.is_active());
    assert_eq!(rig.iam.times_called("deactivate-key"), 1, "{:?}", rig.iam.calls());
    assert_eq!(rig.iam.denies(), 1, "one deny, put again with a later cutoff");
    let counting: Vec<_> = case.tasks.iter().filter(|task| task.task.counts).collect();
    assert_eq!(counting.len(), 1);
    let probed = TaskState::Done { verification: Verification::Probed };
    assert_eq!(counting[0].task.state, probed);
    assert!(counting[0].task.verified_at.is_some());
    assert_eq!(happened(&case, |what| matches!(what, Happening::Done { .. })), 1);
    assert_eq!(happened(&case, |what| matches!(what, Happening::Closed { .. })), 1);
    for event_type in [REVOKED_TYPE, CASE_CLOSED_TYPE] {
        assert_eq!(rig.published(event_type), 1, "{event_type}");
    }
}

fn happened(case: &CaseDetail, is_it: impl Fn(&Happening) -> bool) -> usize {
    case.journal.iter().filter(|line| is_it(&line.entry.what)).count()
}

/// The key was deactivated, and the outcome is not stored.
async fn deactivated(rig: &mut Rig) -> iam::Held {
    let held = rig.iam.hold_after("deactivate-key");
    rig.notice().await;
    held.reached().await
}

#[tokio::test]
async fn the_clock_is_set_forward_between_intent_and_outcome() {
    let mut rig = Rig::new().await;
    let held = deactivated(&mut rig).await;
    rig.clock.jump(JUMP);
    held.go();
    ended_once(&rig).await;
}

#[tokio::test]
async fn the_clock_is_set_back_between_intent_and_outcome() {
    let mut rig = Rig::new().await;
    let held = deactivated(&mut rig).await;
    rig.clock.jump(-JUMP);
    held.go();
    let is_done = |case: &CaseDetail| {
        case.tasks.iter().any(|it| matches!(it.task.state, TaskState::Done { .. }))
    };
    until("the key is proven dead", LIMIT, async || is_done(&rig.case().await).then_some(())).await;
    // What the case waits for is a timer that was stored before.
    rig.clock.jump(JUMP);
    ended_once(&rig).await;
}

#[tokio::test]
async fn the_disk_fills_between_intent_and_outcome_and_has_room_again() {
    let mut rig = Rig::new().await;
    let held = deactivated(&mut rig).await;
    rig.fill_the_disk().await;
    held.go();
    until("the outcome is refused", LIMIT, async || (rig.steps_refused() > 1).then_some(())).await;
    assert_eq!(rig.iam.times_called("deny-user"), 0, "its intent is not stored");
    let case = rig.case().await;
    assert_eq!(happened(&case, |what| matches!(what, Happening::Applied { .. })), 0);
    rig.make_room().await;
    ended_once(&rig).await;
    let case = rig.case().await;
    let deactivated = |what: &Happening| matches!(what, Happening::Applied { action, .. } if action.name() == "deactivate-key");
    assert_eq!(happened(&case, deactivated), 1, "the outcome was kept until it could be stored");
}

#[tokio::test]
async fn the_disk_fills_between_intent_and_outcome_and_the_process_dies_of_it() {
    let mut rig = Rig::new().await;
    let held = deactivated(&mut rig).await;
    rig.fill_the_disk().await;
    held.go();
    until("the outcome is refused", LIMIT, async || (rig.steps_refused() > 0).then_some(())).await;
    // The file may grow again in another process.
    let rig = rig.die_and_start_again().await;
    ended_once(&rig).await;
}
