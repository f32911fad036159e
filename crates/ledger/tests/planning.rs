//! Plans, contract revisions, and what people may tell.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod common;

use common::{
    Rig, about, at, blocked, change, done, due, end, notice, plan, secret_of, step_again, step_to,
    task, unresolved, user,
};
use severance_engine::ports::{
    CaseFilter, ClaimedCase, Ledger, LedgerError, NewTask, PlanCommit, PlanPortion, Queries,
    TaskFilter, Topic,
};
use severance_lifecycle::case::{CaseState, Closing};
use severance_lifecycle::credential::Target;
use severance_lifecycle::event::ContractChange;
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::CaseId;
use severance_lifecycle::journal::Happening;
use severance_lifecycle::policy::Desired;
use severance_lifecycle::task::{BlockReason, TaskState};

async fn state(rig: &Rig, case: &CaseId) -> CaseState {
    rig.ledger.case(case).await.unwrap().summary.case.state
}

const SUPERSEDED: CaseState = CaseState::Closed { how: Closing::Superseded };

#[tokio::test]
async fn a_plan_stored_twice_adds_nothing() {
    let rig = Rig::new().await;
    rig.open_case(notice("1"), 0).await;
    let claimed = rig.claim_cases(0).await.remove(0);
    let stored = plan(CaseState::Open, vec![due(task(&claimed.case, "ann"), 0)]);
    rig.ledger.commit_plan(&claimed.lease, stored.clone()).await.unwrap();
    let again = rig.ledger.commit_plan(&claimed.lease, stored).await;
    assert!(matches!(again, Err(LedgerError::LeaseLost { .. })));
    assert_eq!(rig.ledger.counts().await.unwrap().tasks_open, 1);
    assert!(rig.claim_cases(1_000).await.is_empty(), "planned");
}

#[tokio::test]
async fn a_case_is_planned_by_one_at_a_time_and_again_when_the_lease_ran_out() {
    let rig = Rig::new().await;
    rig.open_case(notice("1"), 0).await;
    let old = rig.claim_cases(0).await.remove(0);
    assert!(rig.claim_cases(59).await.is_empty());
    let new = rig.claim_cases(60).await.remove(0);
    let late = rig.ledger.commit_plan(&old.lease, plan(CaseState::Open, Vec::new())).await;
    assert!(matches!(late, Err(LedgerError::LeaseLost { .. })));
    let tasks = vec![due(task(&new.case, "ann"), 0)];
    rig.ledger.commit_plan(&new.lease, plan(CaseState::Open, tasks)).await.unwrap();
}

fn portion(tasks: Vec<NewTask>) -> PlanPortion {
    PlanPortion { tasks, journal: Vec::new(), messages: Vec::new() }
}

#[tokio::test]
async fn portions_of_a_plan_wait_until_the_rest_of_it_is_stored() {
    let rig = Rig::new().await;
    rig.open_case(notice("1"), 0).await;
    let ClaimedCase { lease, case, .. } = rig.claim_cases(0).await.remove(0);
    let tasks = |names: &[&str]| names.iter().map(|name| due(task(&case, name), 5)).collect();
    rig.ledger.plan_portion(&lease, portion(tasks(&["ann", "bob"]))).await.unwrap();
    rig.ledger.plan_portion(&lease, portion(tasks(&["bob", "cid"]))).await.unwrap();
    assert_eq!(rig.ledger.counts().await.unwrap().tasks_open, 3);
    assert!(rig.claim(50).await.is_empty(), "the rest is not known");
    let rest = PlanCommit { in_portions: true, ..plan(CaseState::Open, tasks(&["dan"])) };
    rig.ledger.commit_plan(&lease, rest).await.unwrap();
    assert!(rig.claim(4).await.is_empty(), "they keep their timers");
    assert_eq!(rig.claim(5).await.len(), 4);
    let late = rig.ledger.plan_portion(&lease, portion(tasks(&["eve"]))).await;
    assert!(matches!(late, Err(LedgerError::LeaseLost { .. })), "{late:?}");
}

#[tokio::test]
async fn portions_of_a_case_that_is_held_wait_for_its_release() {
    let rig = Rig::new().await;
    let id = rig.open_case(notice("1"), 0).await;
    let ClaimedCase { lease, case, .. } = rig.claim_cases(0).await.remove(0);
    rig.ledger.plan_portion(&lease, portion(vec![due(task(&case, "ann"), 0)])).await.unwrap();
    let held = CaseState::Held { credentials: 2, limit: 1 };
    let rest = vec![due(task(&case, "bob"), 0)];
    let rest = PlanCommit { in_portions: true, ..plan(held, rest) };
    rig.ledger.commit_plan(&lease, rest).await.unwrap();
    assert!(rig.claim(50).await.is_empty(), "held");
    rig.ledger.release(&id, "ann", at(60)).await.unwrap();
    assert_eq!(rig.claim(60).await.len(), 2);
}

/// How many tasks are due.
async fn claim_all(rig: &Rig, now: i64) -> usize {
    let mut all = 0;
    loop {
        match rig.claim(now).await.len() {
            0 => return all,
            some => all += some,
        }
    }
}

#[tokio::test]
async fn a_large_case_is_let_go_in_portions_and_the_rest_of_it_is_not_forgotten() {
    let rig = Rig::new().await;
    let id = rig.open_case(notice("1"), 0).await;
    let ClaimedCase { lease, case, admits, .. } = rig.claim_cases(0).await.remove(0);
    assert!(!admits, "it is not planned");
    let tasks = (0..1_201).map(|n| due(task(&case, &format!("u{n}")), 0)).collect();
    rig.ledger.plan_portion(&lease, portion(tasks)).await.unwrap();
    let held = CaseState::Held { credentials: 1_201, limit: 1 };
    let rest = PlanCommit { in_portions: true, ..plan(held, Vec::new()) };
    rig.ledger.commit_plan(&lease, rest).await.unwrap();
    rig.ledger.release(&id, "ann", at(60)).await.unwrap();
    assert_eq!(claim_all(&rig, 60).await, 500);
    let ClaimedCase { lease, admits, .. } = rig.claim_cases(60).await.remove(0);
    assert!(admits, "more of it waits");
    assert!(rig.ledger.admit(&lease, at(60)).await.unwrap());
    // Whoever let them go died: the next one finds that more waits.
    let ClaimedCase { lease: next, admits, .. } = rig.claim_cases(120).await.remove(0);
    assert!(admits);
    let late = rig.ledger.admit(&lease, at(120)).await;
    assert!(matches!(late, Err(LedgerError::LeaseLost { .. })), "{late:?}");
    assert!(!rig.ledger.admit(&next, at(120)).await.unwrap(), "that was the rest");
    rig.ledger.commit_plan(&next, plan(CaseState::Open, Vec::new())).await.unwrap();
    assert_eq!(claim_all(&rig, 60).await, 701);
    assert!(rig.claim_cases(1_000).await.is_empty(), "nothing waits any more");
}

#[tokio::test]
async fn a_plan_that_did_not_come_to_its_end_begins_anew() {
    let rig = Rig::new().await;
    rig.open_case(notice("1"), 0).await;
    let old = rig.claim_cases(0).await.remove(0);
    let half = portion(vec![due(task(&old.case, "ann"), 0), due(task(&old.case, "bob"), 0)]);
    rig.ledger.plan_portion(&old.lease, half).await.unwrap();
    let new = rig.claim_cases(60).await.remove(0);
    assert_eq!(
        rig.ledger.counts().await.unwrap().tasks_open,
        0,
        "what was planned is looked up anew"
    );
    let half = portion(vec![due(task(&old.case, "ann"), 0)]);
    let late = rig.ledger.plan_portion(&old.lease, half).await;
    assert!(matches!(late, Err(LedgerError::LeaseLost { .. })), "{late:?}");
    let rest = plan(CaseState::Open, vec![due(task(&new.case, "bob"), 0)]);
    rig.ledger.commit_plan(&new.lease, rest).await.unwrap();
    assert_eq!(rig.claim(61).await.len(), 1);
}

#[tokio::test]
async fn planning_that_failed_is_tried_again_and_counted() {
    let rig = Rig::new().await;
    rig.open_case(notice("1"), 0).await;
    let claimed = rig.claim_cases(0).await.remove(0);
    assert_eq!((claimed.attempts, claimed.unresolved.is_none()), (0, true));
    let mut failed = plan(CaseState::Accepted, Vec::new());
    failed.again_at = Some(at(30));
    rig.ledger.commit_plan(&claimed.lease, failed).await.unwrap();
    assert!(rig.claim_cases(29).await.is_empty());
    assert_eq!(rig.claim_cases(30).await[0].attempts, 1);
}

#[tokio::test]
async fn a_plan_with_nothing_to_do_closes_the_case_and_says_so() {
    let rig = Rig::new().await;
    let case = rig.open_case(notice("1"), 0).await;
    let claimed = rig.claim_cases(0).await.remove(0);
    let how = Closing::NothingToDo;
    let nothing = plan(CaseState::Closed { how }, Vec::new());
    rig.ledger.commit_plan(&claimed.lease, nothing).await.unwrap();
    assert_eq!(state(&rig, &case).await, CaseState::Closed { how });
    assert_eq!(rig.ledger.outbox(at(0), 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_plan_cannot_close_over_open_tasks() {
    let rig = Rig::new().await;
    let case = rig.open_case(notice("1"), 0).await;
    let claimed = rig.claim_cases(0).await.remove(0);
    let closing = CaseState::Closed { how: Closing::NothingToDo };
    let wrong = plan(closing, vec![due(task(&claimed.case, "ann"), 0)]);
    let refused = rig.ledger.commit_plan(&claimed.lease, wrong).await;
    assert!(matches!(refused, Err(LedgerError::Conflict { .. })));
    assert_eq!(state(&rig, &case).await, CaseState::Accepted);
    assert_eq!(rig.ledger.counts().await.unwrap().tasks_open, 0);
}

#[tokio::test]
async fn what_was_not_found_is_looked_up_again_and_never_worked_on() {
    let rig = Rig::new().await;
    let case = rig.open_case(notice("1"), 0).await;
    let claimed = rig.claim_cases(0).await.remove(0);
    let nobody = unresolved(&claimed.case, "nobody");
    let mut first = plan(CaseState::Open, vec![due(nobody.clone(), 100)]);
    first.again_at = Some(at(100));
    rig.ledger.commit_plan(&claimed.lease, first).await.unwrap();
    assert!(rig.claim(1_000).await.is_empty());
    assert!(rig.claim_cases(99).await.is_empty());

    let again = rig.claim_cases(100).await.remove(0);
    let Target::Unresolved { selector } = nobody.target.clone() else { unreachable!() };
    assert_eq!((again.unresolved, again.attempts), (Some(vec![selector]), 1));
    let mut found = plan(CaseState::Open, vec![due(task(&again.case, "ann"), 100)]);
    found.resolved = vec![nobody.id];
    rig.ledger.commit_plan(&again.lease, found).await.unwrap();
    let detail = rig.ledger.case(&case).await.unwrap();
    assert_eq!((detail.tasks.len(), detail.summary.blocked), (1, 0));
    let ann = rig.claim(101).await.remove(0);
    assert!(rig.finish(ann, 102).await);
}

#[tokio::test]
async fn what_only_waits_for_its_secrets_to_be_listed_is_told_apart() {
    let rig = Rig::new().await;
    rig.open_case(notice("1"), 0).await;
    let claimed = rig.claim_cases(0).await.remove(0);
    assert!(claimed.looked_on.is_empty());
    let mut looked_on = unresolved(&claimed.case, "ann");
    looked_on.state = TaskState::Blocked { reason: BlockReason::SecretsNotListed };
    let secret = about(&claimed.case, secret_of("app"), Desired::Rotated);
    let key = Target::AccessKey { key_id: "AKIAann".into(), user: user("ann") };
    let tasks = vec![
        due(unresolved(&claimed.case, "nobody"), 100),
        due(looked_on.clone(), 100),
        due(secret.clone(), 0),
        due(about(&claimed.case, key, Desired::Revoked), 0),
    ];
    let mut first = plan(CaseState::Open, tasks);
    first.again_at = Some(at(100));
    rig.ledger.commit_plan(&claimed.lease, first).await.unwrap();
    let again = rig.claim_cases(100).await.remove(0);
    assert_eq!(again.unresolved.map(|selectors| selectors.len()), Some(2));
    assert_eq!(again.looked_on, [looked_on.id].into());
    // What they hand out, or did, is what is looked for.
    assert_eq!((again.secrets, again.keys), (vec![secret], ["AKIAann".to_owned()].into()));
}

#[tokio::test]
async fn retrying_what_was_not_found_makes_its_case_due_at_once() {
    let rig = Rig::new().await;
    rig.open_case(notice("1"), 0).await;
    let claimed = rig.claim_cases(0).await.remove(0);
    let nobody = unresolved(&claimed.case, "nobody");
    let mut first = plan(CaseState::Open, vec![due(nobody.clone(), 9_000)]);
    first.again_at = Some(at(9_000));
    rig.ledger.commit_plan(&claimed.lease, first).await.unwrap();
    assert_eq!(rig.ledger.retry(Some(&nobody.id), "ann", at(5)).await.unwrap(), 1);
    assert_eq!(rig.claim_cases(5).await.len(), 1);
}

#[tokio::test]
async fn a_held_case_waits_for_a_person() {
    let rig = Rig::new().await;
    let case = rig.open_case(notice("1"), 0).await;
    let claimed = rig.claim_cases(0).await.remove(0);
    let held = CaseState::Held { credentials: 200, limit: 100 };
    let tasks = vec![due(task(&claimed.case, "ann"), 0)];
    rig.ledger.commit_plan(&claimed.lease, plan(held, tasks)).await.unwrap();
    assert!(rig.claim(500).await.is_empty());
    assert_eq!(rig.ledger.agenda(at(500)).await.unwrap().due, 0);
    assert_eq!(rig.ledger.counts().await.unwrap().cases_held, 1);

    rig.ledger.release(&case, "ann", at(500)).await.unwrap();
    assert_eq!(rig.claim(500).await.len(), 1);
    let twice = rig.ledger.release(&case, "ann", at(501)).await;
    assert!(matches!(twice, Err(LedgerError::Conflict { .. })));
    let unknown = rig.ledger.release(&"c-none".into(), "ann", at(501)).await;
    assert!(matches!(unknown, Err(LedgerError::NotFound { .. })));
    let journal = rig.ledger.case(&case).await.unwrap().journal;
    let by = "ann".to_owned();
    assert!(journal.iter().any(|line| line.entry.what == Happening::Released { by: by.clone() }));
}

/// A case with ann planned and in hand, and a name that was not found, looked up again at 100.
async fn growing(rig: &Rig) -> (CaseId, ClaimedCase) {
    let case = rig.open_case(notice("1"), 0).await;
    let claimed = rig.claim_cases(0).await.remove(0);
    let mut ann = task(&claimed.case, "ann");
    ann.credentials = 3;
    let nobody = due(unresolved(&claimed.case, "nobody"), 100);
    let mut first = plan(CaseState::Open, vec![due(ann, 0), nobody]);
    first.again_at = Some(at(100));
    rig.ledger.commit_plan(&claimed.lease, first).await.unwrap();
    (case, rig.claim_cases(100).await.remove(0))
}

#[tokio::test]
async fn a_case_that_is_planned_again_knows_what_its_tasks_come_to() {
    let rig = Rig::new().await;
    let (_, again) = growing(&rig).await;
    let nobody = unresolved(&again.case, "nobody");
    let ann = task(&again.case, "ann");
    let known = [(ann.id, 3), (nobody.id, nobody.credentials)];
    assert_eq!(again.known, known.into_iter().collect());
}

#[tokio::test]
async fn a_case_that_grew_too_large_goes_on_with_what_it_had_and_holds_what_was_added() {
    let rig = Rig::new().await;
    let (case, again) = growing(&rig).await;
    let nobody = unresolved(&again.case, "nobody");
    let held = CaseState::Held { credentials: 200, limit: 100 };
    let mut grown = plan(held.clone(), vec![due(task(&again.case, "bob"), 100)]);
    grown.resolved = vec![nobody.id];
    rig.ledger.commit_plan(&again.lease, grown).await.unwrap();
    assert_eq!(state(&rig, &case).await, held);
    let ann = rig.claim(100).await;
    assert_eq!(ann.len(), 1, "bob waits");
    assert_eq!(ann[0].task.target, Target::User { user: user("ann") });
    assert!(!rig.finish(ann.into_iter().next().unwrap(), 101).await, "bob is still to be done");
    assert_eq!(state(&rig, &case).await, held, "a person is still to look");
    assert!(rig.claim(500).await.is_empty());

    let rig = rig.crash().await;
    rig.ledger.release(&case, "ann", at(500)).await.unwrap();
    let bob = rig.claim(500).await.remove(0);
    assert!(rig.finish(bob, 501).await);
}

#[tokio::test]
async fn a_release_is_remembered_with_its_size_and_leaves_running_timers_alone() {
    let rig = Rig::new().await;
    let (case, again) = growing(&rig).await;
    let ann = rig.claim(100).await.remove(0);
    let waits = step_again(ann.task.clone(), TaskState::Open, 100, 900);
    rig.ledger.step(&ann.lease, at(100), waits).await.unwrap();
    let held = CaseState::Held { credentials: 200, limit: 100 };
    let grown = plan(held, vec![due(task(&again.case, "bob"), 100)]);
    rig.ledger.commit_plan(&again.lease, grown).await.unwrap();
    rig.ledger.release(&case, "ann", at(500)).await.unwrap();
    let released = rig.ledger.case(&case).await.unwrap().summary.case;
    assert_eq!((released.state, released.released), (CaseState::Open, 200));
    let bob = rig.claim(500).await;
    assert_eq!(bob.len(), 1, "ann waits for her own time");
    let again = rig.claim_cases(500).await.remove(0);
    assert_eq!(again.case.released, 200, "whoever plans it again knows");
}

#[tokio::test]
async fn blocked_tasks_are_retried_at_once_when_asked() {
    let rig = Rig::new().await;
    let case = rig.planned(notice("1"), 0, &["ann", "bob"]).await;
    for claimed in rig.claim(0).await {
        let step = step_again(claimed.task.clone(), blocked(), 1, 9_000);
        rig.ledger.step(&claimed.lease, at(1), step).await.unwrap();
    }
    assert!(rig.claim(2).await.is_empty());
    let tasks = rig.ledger.tasks(&TaskFilter::default()).await.unwrap();
    assert_eq!(rig.ledger.retry(Some(&tasks[0].task.id), "ann", at(2)).await.unwrap(), 1);
    let first = rig.claim(2).await.remove(0);
    assert_eq!((first.task.id.clone(), first.attempts), (tasks[0].task.id.clone(), 0));
    assert_eq!(rig.ledger.retry(None, "ann", at(3)).await.unwrap(), 1, "the other one");
    assert_eq!(rig.claim(3).await.len(), 1);
    let unknown = rig.ledger.retry(Some(&"t-none".into()), "ann", at(3)).await;
    assert!(matches!(unknown, Err(LedgerError::NotFound { .. })));
    rig.finish(first, 4).await;
    let finished = rig.ledger.retry(Some(&tasks[0].task.id), "ann", at(5)).await;
    assert!(matches!(finished, Err(LedgerError::Conflict { .. })));
    let journal = rig.ledger.case(&case.id).await.unwrap().journal;
    let retried =
        journal.iter().filter(|l| matches!(l.entry.what, Happening::Retried { .. })).count();
    assert_eq!(retried, 2);
}

#[tokio::test]
async fn a_higher_revision_takes_the_place_of_a_case_in_flight() {
    let rig = Rig::new().await;
    let first = rig.planned(end("1", ContractChange::Ended, 1), 0, &["ann"]).await;
    let claimed = rig.claim(0).await.remove(0);
    let second = rig.open_case(end("2", ContractChange::Extended, 2), 1).await;
    assert_eq!(state(&rig, &first.id).await, SUPERSEDED);
    let step = rig.ledger.step(&claimed.lease, at(2), step_to(claimed.task.clone(), done(), 2));
    assert!(matches!(step.await, Err(LedgerError::LeaseLost { .. })));
    let detail = rig.ledger.case(&first.id).await.unwrap();
    assert_eq!(detail.tasks[0].task.state, TaskState::Superseded);
    let by = Happening::Superseded { by: second.clone() };
    assert_eq!(detail.journal.iter().filter(|l| l.entry.what == by).count(), 2);
    assert!(rig.claim(1_000).await.is_empty());
    assert_eq!(state(&rig, &second).await, CaseState::Accepted);
    assert!(rig.ledger.case(&second).await.unwrap().findings.is_empty(), "nothing was revoked");
}

#[tokio::test]
async fn the_highest_revision_holds_whatever_the_order_of_arrival() {
    let rig = Rig::new().await;
    let second = rig.open_case(end("2", ContractChange::Extended, 2), 0).await;
    let first = rig.open_case(end("1", ContractChange::Ended, 1), 1).await;
    assert_eq!(state(&rig, &first).await, SUPERSEDED);
    let planned: Vec<_> = rig.claim_cases(5).await.into_iter().map(|c| c.case.id).collect();
    assert_eq!(planned, [second]);
}

#[tokio::test]
async fn the_same_revision_with_other_content_is_for_a_person() {
    let rig = Rig::new().await;
    let first = rig.open_case(end("1", ContractChange::Ended, 1), 0).await;
    let other = rig.open_case(end("2", ContractChange::Extended, 1), 1).await;
    assert_eq!(state(&rig, &first).await, CaseState::Accepted, "stays in force");
    let closed = CaseState::Closed { how: Closing::NothingToDo };
    assert_eq!(state(&rig, &other).await, closed);
    let findings = rig.ledger.case(&other).await.unwrap().findings;
    assert_eq!(findings, [Finding::RevisionConflict { revision: 1 }]);
    let outbox = rig.ledger.outbox(at(1), 9).await.unwrap();
    assert_eq!(outbox[0].message.topic, Topic::Escalation);
}

/// Revokes ann in a contract end and closes its case, with a deletion to come.
async fn revoked(rig: &Rig) -> CaseId {
    let case = rig.planned(end("1", ContractChange::Ended, 1), 0, &["ann"]).await;
    let claimed = rig.claim(0).await.remove(0);
    let mut step = step_again(claimed.task.clone(), done(), 1, 100);
    step.task.record.changes.insert(change("ann"));
    let mut deletion = about(&case, Target::User { user: user("ann") }, Desired::Deleted);
    deletion.counts = false;
    step.follow_ups = vec![due(deletion, 500)];
    assert!(rig.ledger.step(&claimed.lease, at(1), step).await.unwrap());
    case.id
}

#[tokio::test]
async fn a_reinstatement_gets_what_earlier_cases_changed_and_stops_their_deletions() {
    let rig = Rig::new().await;
    let first = revoked(&rig).await;
    rig.open_case(end("2", ContractChange::Reinstated, 2), 2).await;
    let claimed = rig.claim_cases(2).await.remove(0);
    assert_eq!(claimed.undo.len(), 1);
    assert_eq!(claimed.undo[0].case, first);
    let done = CaseState::Closed { how: Closing::Done };
    assert_eq!(state(&rig, &first).await, done, "what was done stays done");
    assert!(rig.claim(1_000).await.is_empty(), "neither a later look nor the deletion");
}

#[tokio::test]
async fn a_reinstatement_gets_each_target_of_one_user_until_that_target_was_put_back() {
    let rig = Rig::new().await;
    rig.open_case(end("1", ContractChange::Ended, 1), 0).await;
    let claimed = rig.claim_cases(0).await.remove(0);
    let changed = |target, desired| {
        let mut task = about(&claimed.case, target, desired);
        task.record.changes.insert(change("ann"));
        due(task, 0)
    };
    let tasks = vec![
        changed(Target::User { user: user("ann") }, Desired::Revoked),
        changed(secret_of("ann"), Desired::Rotated),
    ];
    rig.ledger.commit_plan(&claimed.lease, plan(CaseState::Open, tasks)).await.unwrap();
    rig.open_case(end("2", ContractChange::Reinstated, 2), 2).await;
    let again = rig.claim_cases(2).await.remove(0);
    assert_eq!(again.undo.len(), 2, "both share a lock and are two");
    let mut back = about(&again.case, Target::User { user: user("ann") }, Desired::Reinstated);
    back.undoes = Some(claimed.case.id.clone());
    back.state = done();
    let tasks = vec![due(back, 2)];
    rig.ledger.commit_plan(&again.lease, plan(CaseState::Open, tasks)).await.unwrap();
    rig.open_case(end("3", ContractChange::Reinstated, 3), 3).await;
    let last = rig.claim_cases(3).await.remove(0);
    let left: Vec<_> = last.undo.iter().map(|task| task.desired).collect();
    assert_eq!(left, [Desired::Rotated], "what was put back is its owner's");
}

#[tokio::test]
async fn an_extension_after_the_revocation_is_told_and_undoes_nothing() {
    let rig = Rig::new().await;
    let first = revoked(&rig).await;
    let second = rig.open_case(end("2", ContractChange::Extended, 2), 2).await;
    let finding = Finding::ExtendedAfterRevocation { revoked_by: first };
    assert_eq!(rig.ledger.case(&second).await.unwrap().findings, [finding]);
    assert!(rig.claim_cases(2).await[0].undo.is_empty());
}

#[tokio::test]
async fn contracts_of_the_same_name_in_two_zones_are_two() {
    let rig = Rig::new().await;
    let first = rig.open_case(end("1", ContractChange::Ended, 1), 0).await;
    let mut other = end("2", ContractChange::Ended, 2);
    if let severance_lifecycle::event::Payload::ContractEnd(end) = &mut other.payload {
        end.zone = "globex".into();
    }
    rig.open_case(other, 1).await;
    assert_eq!(state(&rig, &first).await, CaseState::Accepted);
}

#[tokio::test]
async fn cases_and_tasks_are_found_by_their_filters() {
    let rig = Rig::new().await;
    let closed = rig.planned(notice("1"), 0, &["ann"]).await;
    let ann = rig.claim(0).await.remove(0);
    rig.finish(ann, 1).await;
    let open = rig.planned(end("2", ContractChange::Ended, 1), 2, &["bob", "cid"]).await;
    let list = async |filter: CaseFilter| -> Vec<CaseId> {
        rig.ledger.cases(&filter).await.unwrap().into_iter().map(|s| s.case.id).collect()
    };
    let all = CaseFilter::default();
    assert_eq!(list(all.clone()).await, [open.id.clone(), closed.id.clone()]);
    assert_eq!(
        list(CaseFilter { limit: Some(1), ..all.clone() }).await,
        std::slice::from_ref(&open.id)
    );
    let state = |state: &str| CaseFilter { state: Some(state.into()), ..all.clone() };
    assert_eq!(list(state("closed")).await, std::slice::from_ref(&closed.id));
    assert_eq!(list(state("open")).await, std::slice::from_ref(&open.id));
    let event = CaseFilter { event_id: Some("1".into()), ..all.clone() };
    assert_eq!(list(event).await, std::slice::from_ref(&closed.id));
    let zone = |zone: &str| CaseFilter { zone: Some(zone.into()), ..all.clone() };
    assert_eq!(list(zone("acme")).await.len(), 2, "of it, or with a task in it");
    assert!(list(zone("globex")).await.is_empty());

    let tasks = rig.ledger.tasks(&TaskFilter::default()).await.unwrap();
    assert_eq!(tasks.len(), 3);
    assert_eq!(tasks[2].task.case, closed.id, "finished last");
    let of = TaskFilter { case: Some(open.id), ..TaskFilter::default() };
    assert_eq!(rig.ledger.tasks(&of).await.unwrap().len(), 2);
    let exposures = rig.ledger.exposures().await.unwrap();
    assert_eq!(exposures.len(), 1);
    assert_eq!((exposures[0].open, exposures[0].blocked), (2, false));
    assert_eq!(exposures[0].oldest, at(-10));
}

#[tokio::test]
async fn a_note_is_kept_with_the_case_and_escalated_where_it_asks_for_a_person() {
    let rig = Rig::new().await;
    let case = rig.open_case(notice("1"), 0).await;
    let finding = Finding::Drift { what: "a key".into() };
    let what = Happening::Found { finding: finding.clone() };
    rig.ledger.note(&case, at(1), what.clone()).await.unwrap();
    assert_eq!(rig.ledger.case(&case).await.unwrap().findings, [finding]);
    assert_eq!(rig.ledger.outbox(at(1), 9).await.unwrap().len(), 1);
    let unknown = rig.ledger.note(&"c-none".into(), at(1), what).await;
    assert!(matches!(unknown, Err(LedgerError::NotFound { .. })));
}
