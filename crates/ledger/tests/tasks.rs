//! Claims, leases and steps.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod common;

use std::sync::Arc;

use common::{
    Rig, about, at, blocked, change, done, due, end, notice, plan, request, rotation, secret_of,
    step_again, step_to, task, unresolved, user,
};
use severance_engine::ports::{Ledger, LedgerError, Message, NewTask, Queries, Topic};
use severance_lifecycle::case::{Case, CaseState, Closing};
use severance_lifecycle::credential::{Target, TargetKind};
use severance_lifecycle::event::{ContractChange, Trigger};
use severance_lifecycle::journal::Happening;
use severance_lifecycle::policy::{Desired, Holds};
use severance_lifecycle::secret::{Issuer, SecretRef};
use severance_lifecycle::task::{BlockReason, Lane, Mode, TaskState};

fn lost<T: std::fmt::Debug>(result: &Result<T, LedgerError>) {
    assert!(matches!(result, Err(LedgerError::LeaseLost { .. })), "{result:?}");
}

#[tokio::test]
async fn tasks_come_by_lane_then_first_blow_then_deadline() {
    let rig = Rig::new().await;
    let ended = rig.planned(end("e", ContractChange::Ended, 1), 0, &["slow"]).await;
    let case = rig.open_case(notice("n"), 1).await;
    let claimed = rig.claim_cases(1).await.remove(0);
    let mut struck = task(&claimed.case, "struck");
    struck.record.accepted_at = Some(at(0));
    struck.deadline = at(10);
    let mut soon = task(&claimed.case, "soon");
    soon.deadline = at(20);
    let mut later = task(&claimed.case, "later");
    later.deadline = at(30);
    let tasks = [later, struck, soon].into_iter().map(|t| due(t, 1)).collect();
    rig.ledger.commit_plan(&claimed.lease, plan(CaseState::Open, tasks)).await.unwrap();
    let mut urgent = request(2);
    urgent.least_urgent = Lane::Compromise;
    let names = |claimed: &[severance_engine::ports::Claimed]| {
        claimed.iter().map(|c| c.task.target.label()).collect::<Vec<_>>()
    };
    let claimed = rig.ledger.claim(&urgent).await.unwrap();
    assert_eq!(names(&claimed), ["user soon", "user later", "user struck"]);
    assert!(claimed.iter().all(|c| c.task.case == case));
    let rest = rig.claim(2).await;
    assert_eq!(names(&rest), ["user slow"]);
    assert_eq!(rest[0].task.case, ended.id);
}

#[tokio::test]
async fn two_tasks_of_one_identity_are_never_leased_at_once() {
    let rig = Rig::new().await;
    rig.planned(notice("1"), 0, &["ann", "bob"]).await;
    let second = rig.planned(notice("2"), 1, &["ann"]).await;
    let first = rig.claim(2).await;
    assert_eq!(first.len(), 2, "ann once and bob");
    assert!(rig.claim(3).await.is_empty(), "ann's other task waits");
    for claimed in first {
        rig.finish(claimed, 4).await;
    }
    let next = rig.claim(5).await;
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].task.case, second.id);
}

#[tokio::test]
async fn less_urgent_work_on_an_identity_that_a_notice_waits_for_is_in_the_way() {
    let rig = Rig::new().await;
    rig.planned(end("e", ContractChange::Ended, 1), 0, &["ann", "bob"]).await;
    let lower = rig.claim(1).await;
    assert_eq!(lower.len(), 2);
    assert!(rig.ledger.in_the_way(at(2)).await.unwrap().is_empty(), "nobody waits");
    let urgent = rig.planned(notice("n"), 2, &["ann", "cid"]).await;
    let in_the_way = rig.ledger.in_the_way(at(3)).await.unwrap();
    let anns = lower.iter().find(|it| it.task.target.label() == "user ann").unwrap();
    assert_eq!(in_the_way, [anns.task.id.clone()].into());
    let again = step_again(anns.task.clone(), TaskState::Open, 3, 3);
    rig.ledger.step(&anns.lease, at(3), again).await.unwrap();
    let claimed = rig.claim(4).await;
    assert_eq!(claimed.len(), 2, "the notice's two; ann's other task waits for it now");
    assert!(claimed.iter().all(|it| it.task.case == urgent.id));
    assert!(rig.ledger.in_the_way(at(5)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_claim_is_filled_although_one_identity_has_many_tasks() {
    let rig = Rig::new().await;
    rig.open_case(notice("1"), 0).await;
    let claimed = rig.claim_cases(0).await.remove(0);
    let key = |n: usize| Target::AccessKey { key_id: format!("AKIA{n:04}"), user: user("ann") };
    let mut tasks: Vec<NewTask> =
        (0..30).map(|n| due(about(&claimed.case, key(n), Desired::Revoked), 0)).collect();
    for new in &mut tasks {
        new.task.deadline = at(1);
    }
    tasks.extend(["bob", "cid"].map(|name| due(task(&claimed.case, name), 0)));
    rig.ledger.commit_plan(&claimed.lease, plan(CaseState::Open, tasks)).await.unwrap();
    let mut few = request(1);
    few.limit = 3;
    assert_eq!(rig.ledger.claim(&few).await.unwrap().len(), 3, "ann once, bob and cid");
}

#[tokio::test]
async fn a_lease_that_ran_out_is_free_and_its_old_holder_stores_nothing() {
    let rig = Rig::new().await;
    let case = rig.planned(notice("1"), 0, &["ann"]).await;
    let old = rig.claim(0).await.remove(0);
    assert!(rig.claim(59).await.is_empty());
    let late = step_to(old.task.clone(), done(), 60);
    lost(&rig.ledger.step(&old.lease, at(60), late.clone()).await);
    // The same worker, and so the same token, claims it again.
    let new = rig.claim(60).await.remove(0);
    lost(&rig.ledger.step(&old.lease, at(61), late).await);
    lost(&rig.ledger.renew(&old.lease, at(300)).await);
    let detail = rig.ledger.case(&case.id).await.unwrap();
    assert_eq!(detail.tasks[0].task.state, TaskState::Open);
    assert!(rig.finish(new, 62).await, "the case closed");
}

#[tokio::test]
async fn a_renewed_lease_holds_for_whoever_has_it() {
    let rig = Rig::new().await;
    rig.planned(notice("1"), 0, &["ann"]).await;
    let claimed = rig.claim(0).await.remove(0);
    rig.ledger.renew(&claimed.lease, at(200)).await.unwrap();
    assert!(rig.claim(199).await.is_empty());
    assert!(rig.finish(claimed, 199).await);
}

#[tokio::test]
async fn leases_given_back_by_token_are_free_at_once() {
    let rig = Rig::new().await;
    rig.planned(notice("1"), 0, &["ann"]).await;
    rig.open_case(notice("2"), 1).await;
    assert_eq!((rig.claim(1).await.len(), rig.claim_cases(1).await.len()), (1, 1));
    rig.ledger.release_all(8).await.unwrap();
    assert!(rig.claim(2).await.is_empty(), "another token's leases stay");
    rig.ledger.release_all(7).await.unwrap();
    assert_eq!((rig.claim(2).await.len(), rig.claim_cases(2).await.len()), (1, 1));
}

#[tokio::test]
async fn leases_of_a_process_that_died_are_free_when_the_next_starts() {
    let rig = Rig::new().await;
    rig.planned(notice("1"), 0, &["ann"]).await;
    let old = rig.claim(0).await.remove(0);
    let rig = rig.crash().await;
    lost(&rig.ledger.step(&old.lease, at(1), step_to(old.task.clone(), done(), 1)).await);
    assert_eq!(rig.claim(1).await.len(), 1);
}

#[tokio::test]
async fn a_step_stores_everything_or_nothing() {
    let rig = Rig::new().await;
    let case = rig.planned(notice("1"), 0, &["ann"]).await;
    let claimed = rig.claim(0).await.remove(0);
    let mut step = step_again(claimed.task.clone(), TaskState::Open, 1, 30);
    step.task.record.changes.insert(change("ann"));
    let value = |n: usize| Some(format!(r#"{{"pad":"{}","sequence":null}}"#, "x".repeat(n)));
    let message = |n| Message {
        topic: Topic::Outcome,
        key: None,
        value: value(n).map(String::into_bytes),
        headers: Vec::new(),
    };
    step.messages = vec![message(100_000)];
    rig.ledger.limit_pages(Some(1)).await.unwrap();
    let full = rig.ledger.step(&claimed.lease, at(1), step.clone()).await;
    assert!(matches!(full, Err(LedgerError::Store { .. })), "{full:?}");
    let before = rig.ledger.case(&case.id).await.unwrap();
    assert_eq!(before.tasks[0].task, claimed.task);
    assert!(before.tasks[0].leased);
    rig.ledger.limit_pages(None).await.unwrap();

    step.messages = vec![message(1)];
    rig.ledger.step(&claimed.lease, at(1), step.clone()).await.unwrap();
    let after = rig.ledger.case(&case.id).await.unwrap();
    assert_eq!(after.tasks[0].task, step.task);
    assert_eq!((after.tasks[0].next_at, after.tasks[0].attempts), (Some(at(30)), 1));
    assert_eq!(after.tasks[0].last_reason.as_deref(), Some("because"));
    let last = after.journal.last().unwrap();
    assert_eq!(last.entry, step.journal[0]);
    let outbox = rig.ledger.outbox(at(1), 10).await.unwrap();
    let text = String::from_utf8(outbox[0].message.value.clone().unwrap()).unwrap();
    assert!(text.contains(&format!(r#""sequence":{}"#, last.sequence)), "{text}");
    assert!(rig.claim(29).await.is_empty());
    assert_eq!(rig.claim(30).await[0].attempts, 1);
}

#[tokio::test]
async fn a_case_closes_with_its_last_task_in_the_same_transaction() {
    let rig = Rig::new().await;
    let case = rig.planned(notice("1"), 0, &["ann", "bob", "cid"]).await;
    let mut claimed = rig.claim(0).await;
    let (cid, bob, ann) = (claimed.pop().unwrap(), claimed.pop().unwrap(), claimed.pop().unwrap());
    assert!(!rig.finish(ann, 1).await);
    let step = step_again(bob.task.clone(), blocked(), 2, 3);
    assert!(!rig.ledger.step(&bob.lease, at(2), step).await.unwrap());
    assert!(!rig.finish(cid, 2).await, "blocked is not given up");
    let bob = rig.claim(3).await.remove(0);
    assert!(rig.finish(bob, 4).await);
    let detail = rig.ledger.case(&case.id).await.unwrap();
    assert_eq!(detail.summary.case.state, CaseState::Closed { how: Closing::Done });
    assert_eq!(detail.summary.case.closed_at, Some(at(4)));
    assert_eq!((detail.summary.tasks, detail.summary.finished), (3, 3));
    let last = detail.journal.last().unwrap();
    assert_eq!(last.entry.what, Happening::Closed { how: Closing::Done });
    let outbox = rig.ledger.outbox(at(4), 10).await.unwrap();
    let value: serde_json::Value =
        serde_json::from_slice(outbox.last().unwrap().message.value.as_ref().unwrap()).unwrap();
    assert_eq!(value["sequence"], last.sequence);
    let counts = rig.ledger.counts().await.unwrap();
    assert_eq!((counts.cases_open, counts.cases_closed, counts.tasks_done), (0, 1, 3));
}

#[tokio::test]
async fn later_looks_and_deletions_go_on_after_the_case_closed_and_drift_reopens_it() {
    let rig = Rig::new().await;
    let case = rig.planned(notice("1"), 0, &["ann"]).await;
    let claimed = rig.claim(0).await.remove(0);
    let mut step = step_again(claimed.task.clone(), done(), 1, 100);
    let mut deletion = about(&case, Target::User { user: user("ann") }, Desired::Deleted);
    deletion.counts = false;
    step.follow_ups = vec![due(deletion, 500)];
    assert!(rig.ledger.step(&claimed.lease, at(1), step).await.unwrap());

    let look = rig.claim(100).await.remove(0);
    assert_eq!(look.task.state, done());
    let drift = step_again(look.task.clone(), TaskState::Open, 101, 102);
    assert!(!rig.ledger.step(&look.lease, at(101), drift).await.unwrap());
    let reopened = rig.ledger.case(&case.id).await.unwrap();
    assert_eq!(reopened.summary.case.state, CaseState::Open);
    assert_eq!(reopened.summary.case.closed_at, None);
    assert!(matches!(reopened.journal.last().unwrap().entry.what, Happening::Reopened { .. }));

    let again = rig.claim(102).await.remove(0);
    assert!(rig.finish(again, 103).await);
    let deletion = rig.claim(500).await.remove(0);
    assert_eq!(deletion.task.desired, Desired::Deleted);
    assert!(!rig.finish(deletion, 501).await, "it was closed before");
}

#[tokio::test]
async fn many_callers_share_few_commits() {
    let rig = Rig::new().await;
    let names: Vec<String> = (0..200).map(|n| format!("user-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let case = rig.planned(notice("1"), 0, &names).await;
    let mut all = request(0);
    all.limit = 1_000;
    let claimed = rig.ledger.claim(&all).await.unwrap();
    assert_eq!(claimed.len(), 200);
    let Rig { folder, ledger } = rig;
    let ledger = Arc::new(ledger);
    let before = ledger.commits();
    let mut steps = tokio::task::JoinSet::new();
    for claimed in claimed {
        let ledger = Arc::clone(&ledger);
        let step = step_to(claimed.task.clone(), done(), 1);
        steps.spawn(async move { ledger.step(&claimed.lease, at(1), step).await.unwrap() });
    }
    let closed = steps.join_all().await.into_iter().filter(|closed| *closed).count();
    assert_eq!(closed, 1, "exactly one of them closed the case");
    let commits = ledger.commits() - before;
    assert!(commits <= 20, "200 steps took {commits} commits");
    let state = ledger.case(&case.id).await.unwrap().summary.case.state;
    assert_eq!(state, CaseState::Closed { how: Closing::Done });
    drop(folder);
}

#[tokio::test]
async fn one_failure_does_not_spoil_the_others_of_its_commit() {
    let rig = Rig::new().await;
    rig.planned(notice("1"), 0, &["ann", "bob"]).await;
    let claimed = rig.claim(0).await;
    let stale = severance_engine::ports::TaskLease { token: 99, ..claimed[0].lease.clone() };
    let step = |n: usize| step_to(claimed[n].task.clone(), done(), 1);
    let (bad, good) = tokio::join!(
        rig.ledger.step(&stale, at(1), step(0)),
        rig.ledger.step(&claimed[1].lease, at(1), step(1)),
    );
    lost(&bad);
    good.unwrap();
    assert_eq!(rig.ledger.counts().await.unwrap().tasks_done, 1);
}

#[tokio::test]
async fn the_agenda_tells_what_is_due_and_what_comes_next() {
    let rig = Rig::new().await;
    rig.planned(end("e", ContractChange::Ended, 1), 0, &["ann", "bob"]).await;
    rig.open_case(notice("n"), 5).await;
    let agenda = rig.ledger.agenda(at(5)).await.unwrap();
    assert_eq!((agenda.urgent_due, agenda.due, agenda.next_at), (1, 3, None));
    let claimed = rig.claim(5).await;
    let agenda = rig.ledger.agenda(at(5)).await.unwrap();
    assert_eq!((agenda.urgent_due, agenda.due), (1, 1));
    assert_eq!(agenda.next_at, Some(at(65)), "when the leases end");
    let wait = step_again(claimed[0].task.clone(), TaskState::Open, 6, 30);
    rig.ledger.step(&claimed[0].lease, at(6), wait).await.unwrap();
    assert_eq!(rig.ledger.agenda(at(6)).await.unwrap().next_at, Some(at(30)));
}

#[tokio::test]
async fn what_another_case_wants_revoked_is_held() {
    let rig = Rig::new().await;
    let ended = rig.planned(end("e", ContractChange::Ended, 1), 0, &["ann"]).await;
    let mut undoing = about(&ended, Target::User { user: user("ann") }, Desired::Reinstated);
    undoing.undoes = Some(ended.id.clone());
    undoing.case = "c-reinstating".into();
    let none = Holds::default();
    assert_eq!(rig.ledger.holds(&undoing).await.unwrap(), none, "the case that is undone");

    rig.open_case(notice("n"), 1).await;
    let claimed = rig.claim_cases(1).await.remove(0);
    let key = Target::AccessKey { key_id: "AKIA1".into(), user: user("ann") };
    let tasks = vec![
        due(about(&claimed.case, key, Desired::Revoked), 1),
        due(unresolved(&claimed.case, "nobody"), 99),
    ];
    rig.ledger.commit_plan(&claimed.lease, plan(CaseState::Open, tasks)).await.unwrap();
    let held = Holds { other: true, compromise: true, ..Holds::default() };
    assert_eq!(rig.ledger.holds(&undoing).await.unwrap(), held, "a key of that user");
    let mut other = undoing.clone();
    other.target = Target::User { user: user("bob") };
    assert_eq!(rig.ledger.holds(&other).await.unwrap(), none);
}

#[tokio::test]
async fn a_rotation_hears_of_the_end_of_its_secret() {
    let rig = Rig::new().await;
    rig.open_case(end("e", ContractChange::Ended, 1), 0).await;
    let ended = rig.claim_cases(0).await.remove(0);
    let end = due(about(&ended.case, secret_of("ann"), Desired::Revoked), 0);
    rig.ledger.commit_plan(&ended.lease, plan(CaseState::Open, vec![end])).await.unwrap();
    let held = Holds { other: true, target: true, ..Holds::default() };
    rig.open_case(rotation("r", None), 1).await;
    let claimed = rig.claim_cases(1).await.remove(0);
    let rotated = about(&claimed.case, secret_of("ann"), Desired::Rotated);
    assert_eq!(rig.ledger.holds(&rotated).await.unwrap(), held);
    let other = about(&claimed.case, secret_of("bob"), Desired::Rotated);
    assert_eq!(rig.ledger.holds(&other).await.unwrap(), Holds::default());

    // Once it is proven, a case that comes later need not prove it again.
    let claimed = rig.claim(1).await.remove(0);
    assert!(rig.finish(claimed, 2).await);
    let again = rotated;
    assert_eq!(rig.ledger.holds(&again).await.unwrap(), Holds { ended: true, ..held });
}

#[tokio::test]
async fn a_rotation_hears_of_the_end_of_the_user_whose_key_its_secret_holds() {
    let rig = Rig::new().await;
    let case = rig.planned(end("e", ContractChange::Ended, 1), 0, &["ann"]).await;
    rig.open_case(rotation("r", None), 1).await;
    let claimed = rig.claim_cases(1).await.remove(0);
    let rotated = about(&claimed.case, secret_of("ann"), Desired::Rotated);
    let held = Holds { other: true, user: true, ..Holds::default() };
    assert_eq!(rig.ledger.holds(&rotated).await.unwrap(), held);
    let mut same = rotated.clone();
    same.case = case.id.clone();
    let held = Holds { user: true, ..Holds::default() };
    assert_eq!(rig.ledger.holds(&same).await.unwrap(), held, "by its own case");
    let mut again = user("ann");
    again.id = "AIDAmadeagain".into();
    let mut other = rotated.clone();
    let Target::Secret { issuer, .. } = &mut other.target else { panic!("no secret") };
    *issuer = Issuer::AccessKey { user: again };
    assert!(!rig.ledger.holds(&other).await.unwrap().user, "another user of that name");
    let other = about(&claimed.case, secret_of("bob"), Desired::Rotated);
    assert_eq!(rig.ledger.holds(&other).await.unwrap(), Holds::default());

    // Put back by a later revision: its secret may have a new key again.
    rig.open_case(end("b", ContractChange::Reinstated, 2), 200).await;
    let back = rig.claim_cases(200).await.remove(0);
    let mut undoing = about(&back.case, Target::User { user: user("ann") }, Desired::Reinstated);
    undoing.undoes = Some(case.id.clone());
    let tasks = vec![due(undoing, 200)];
    rig.ledger.commit_plan(&back.lease, plan(CaseState::Open, tasks)).await.unwrap();
    assert_eq!(rig.ledger.holds(&rotated).await.unwrap(), Holds::default());
}

#[tokio::test]
async fn a_revocation_of_a_user_that_is_only_observed_or_superseded_stops_no_rotation() {
    for (mode, state) in
        [(Mode::Observe, TaskState::Observed), (Mode::Enforce, TaskState::Superseded)]
    {
        let rig = Rig::new().await;
        rig.open_case(notice("n"), 0).await;
        let noticed = rig.claim_cases(0).await.remove(0);
        let mut revoked =
            about(&noticed.case, Target::User { user: user("ann") }, Desired::Revoked);
        (revoked.mode, revoked.state) = (mode, state);
        let tasks = vec![due(revoked, 0)];
        rig.ledger.commit_plan(&noticed.lease, plan(CaseState::Open, tasks)).await.unwrap();
        rig.open_case(rotation("r", None), 1).await;
        let claimed = rig.claim_cases(1).await.remove(0);
        let rotated = about(&claimed.case, secret_of("ann"), Desired::Rotated);
        assert!(!rig.ledger.holds(&rotated).await.unwrap().user, "{mode:?}");
    }
}

#[tokio::test]
async fn what_a_compromise_rotated_is_held_and_a_routine_rotation_holds_nothing() {
    let rig = Rig::new().await;
    let ended = rig.planned(end("e", ContractChange::Ended, 1), 0, &["ann"]).await;
    let mut undoing = about(&ended, Target::User { user: user("ann") }, Desired::Reinstated);
    undoing.undoes = Some(ended.id.clone());
    undoing.case = "c-reinstating".into();
    for (id, trigger) in [("r", Trigger::Rotation), ("n", Trigger::CompromiseNotice)] {
        rig.open_case(notice(id), 1).await;
        let claimed = rig.claim_cases(1).await.remove(0);
        let mut rotated = about(&claimed.case, secret_of("ann"), Desired::Rotated);
        rotated.trigger = trigger;
        let tasks = vec![due(rotated, 1)];
        rig.ledger.commit_plan(&claimed.lease, plan(CaseState::Open, tasks)).await.unwrap();
        let compromised = trigger == Trigger::CompromiseNotice;
        let held = Holds { other: compromised, compromise: compromised, ..Holds::default() };
        assert_eq!(rig.ledger.holds(&undoing).await.unwrap(), held, "{trigger:?}");
        let exposures = rig.ledger.exposures().await.unwrap();
        let open: Vec<_> = exposures.iter().filter(|it| it.kind == TargetKind::Secret).collect();
        assert_eq!(open.len(), usize::from(compromised), "{open:?}");
    }
}

#[tokio::test]
async fn a_later_look_queues_with_the_rest_and_is_not_urgent() {
    let rig = Rig::new().await;
    rig.planned(notice("n"), 0, &["ann"]).await;
    let mut claimed = rig.claim(1).await.remove(0);
    claimed.task.lane = Lane::Rest;
    rig.ledger.step(&claimed.lease, at(1), step_again(claimed.task, done(), 1, 50)).await.unwrap();
    assert_eq!(rig.ledger.agenda(at(60)).await.unwrap().urgent_due, 0);
    let mut urgent = request(60);
    urgent.least_urgent = Lane::Compromise;
    assert!(rig.ledger.claim(&urgent).await.unwrap().is_empty());
    assert_eq!(rig.claim(60).await.len(), 1);
}

#[tokio::test]
async fn a_deletion_is_put_off_by_a_revocation_that_had_to_be_done_again() {
    let rig = Rig::new().await;
    let case = rig.planned(notice("n"), 0, &["ann"]).await;
    let deletion = |when: i64| {
        let mut task = about(&case, Target::User { user: user("ann") }, Desired::Deleted);
        task.counts = false;
        task.delete_after = Some(at(when));
        due(task, when)
    };
    for (when, now) in [(100, 1), (200, 2), (150, 3)] {
        let claimed = rig.claim(now).await.remove(0);
        let mut step = step_again(claimed.task, TaskState::Open, now, now + 1);
        step.follow_ups = vec![deletion(when)];
        rig.ledger.step(&claimed.lease, at(now), step).await.unwrap();
    }
    let claimed = rig.claim(4).await.remove(0);
    rig.ledger.step(&claimed.lease, at(4), step_to(claimed.task, done(), 4)).await.unwrap();
    assert!(rig.claim(199).await.is_empty(), "neither the first nor an earlier one again");
    let due = rig.claim(201).await;
    assert_eq!(due[0].task.delete_after, Some(at(200)));
}

#[tokio::test]
async fn a_superseded_task_loses_its_lease_and_keeps_its_lock() {
    let rig = Rig::new().await;
    rig.planned(end("1", ContractChange::Ended, 1), 0, &["ann"]).await;
    let running = rig.claim(1).await.remove(0);
    rig.planned(end("2", ContractChange::Ended, 2), 2, &["ann"]).await;
    let until = running.lease.until;
    lost(&rig.ledger.step(&running.lease, at(3), step_to(running.task, done(), 3)).await);
    assert!(rig.claim(3).await.is_empty(), "its call may still be in flight");
    let mut later = request(3);
    later.now = until;
    later.until = until + chrono::TimeDelta::seconds(60);
    assert_eq!(rig.ledger.claim(&later).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_earlier_revision_holds_nothing_against_its_own_reinstatement() {
    let rig = Rig::new().await;
    let first = rig.planned(end("1", ContractChange::Ended, 1), 0, &["ann"]).await;
    let claimed = rig.claim(1).await.remove(0);
    rig.finish(claimed, 1).await;
    rig.planned(end("2", ContractChange::Ended, 2), 2, &["ann"]).await;
    let claimed = rig.claim(3).await.remove(0);
    rig.finish(claimed, 3).await;
    rig.open_case(end("3", ContractChange::Reinstated, 3), 4).await;
    let back = rig.claim_cases(5).await.remove(0);
    let mut undoing = about(&back.case, Target::User { user: user("ann") }, Desired::Reinstated);
    undoing.undoes = Some(first.id);
    assert_eq!(rig.ledger.holds(&undoing).await.unwrap(), Holds::default());
}

#[tokio::test]
async fn keys_that_a_finished_task_switched_off_are_known_as_dead() {
    let rig = Rig::new().await;
    let dead = async || rig.ledger.dead_keys(&user("ann")).await.unwrap();
    let case = rig.planned(end("e", ContractChange::Ended, 1), 0, &["ann", "bob"]).await;
    for mut claimed in rig.claim(1).await {
        let is_ann = claimed.task.target == Target::User { user: user("ann") };
        claimed.task.record.changes.insert(change(if is_ann { "ann" } else { "bob" }));
        let again = step_again(claimed.task.clone(), TaskState::Open, 2, 3);
        rig.ledger.step(&claimed.lease, at(2), again).await.unwrap();
    }
    assert!(dead().await.is_empty(), "switched off, and not proven dead yet");
    for claimed in rig.claim(3).await {
        rig.finish(claimed, 4).await;
    }
    assert_eq!(dead().await, ["AKIAann".to_owned()].into(), "ann's alone");

    // Put back by a later revision: from here on they are the owner's.
    rig.open_case(end("r", ContractChange::Reinstated, 2), 200).await;
    let back = rig.claim_cases(200).await.remove(0);
    let mut undoing = about(&back.case, Target::User { user: user("ann") }, Desired::Reinstated);
    undoing.undoes = Some(case.id.clone());
    rig.ledger
        .commit_plan(&back.lease, plan(CaseState::Open, vec![due(undoing, 200)]))
        .await
        .unwrap();
    assert!(dead().await.is_empty());
}

#[tokio::test]
async fn what_a_compromised_secret_held_is_not_put_back() {
    let rig = Rig::new().await;
    let ended = rig.planned(end("e", ContractChange::Ended, 1), 0, &["ann"]).await;
    let mut undoing = about(&ended, Target::User { user: user("ann") }, Desired::Reinstated);
    undoing.undoes = Some(ended.id.clone());
    undoing.case = "c-reinstating".into();
    rig.open_case(notice("n"), 1).await;
    let claimed = rig.claim_cases(1).await.remove(0);
    let secret = SecretRef {
        account: user("ann").account,
        region: "eu-west-1".into(),
        arn: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app-AbCdEf".into(),
        name: "app".into(),
    };
    let target = Target::Secret { secret, issuer: Issuer::AccessKey { user: user("ann") } };
    let rotated = due(about(&claimed.case, target, Desired::Rotated), 1);
    rig.ledger.commit_plan(&claimed.lease, plan(CaseState::Open, vec![rotated])).await.unwrap();
    let held = Holds { other: true, compromise: true, ..Holds::default() };
    assert_eq!(rig.ledger.holds(&undoing).await.unwrap(), held);
}

#[tokio::test]
async fn a_rotation_does_not_give_way_to_what_is_held_refused_or_observed() {
    let rig = Rig::new().await;
    let id = rig.open_case(notice("n"), 0).await;
    let claimed = rig.claim_cases(0).await.remove(0);
    let whole =
        |name: &str| about(&claimed.case, Target::User { user: user(name) }, Desired::Revoked);
    let mut refused = whole("bob");
    refused.state = TaskState::Blocked { reason: BlockReason::Protected };
    let mut watched = about(&claimed.case, secret_of("cid"), Desired::Revoked);
    watched.mode = Mode::Observe;
    let tasks = [whole("ann"), refused, watched].map(|task| due(task, 0)).to_vec();
    let held = CaseState::Held { credentials: 200, limit: 100 };
    rig.ledger.commit_plan(&claimed.lease, plan(held, tasks)).await.unwrap();

    let routine = Case { id: "c-routine".into(), ..claimed.case.clone() };
    let rotated = |name: &str| about(&routine, secret_of(name), Desired::Rotated);
    let heard = Holds { other: true, compromise: true, ..Holds::default() };
    for name in ["ann", "bob", "cid"] {
        assert_eq!(rig.ledger.holds(&rotated(name)).await.unwrap(), heard, "{name}");
    }
    // What is put back is another matter: a compromise names it.
    let restored = about(&routine, secret_of("cid"), Desired::Reinstated);
    assert!(rig.ledger.holds(&restored).await.unwrap().target);

    rig.ledger.release(&id, "ann", at(1)).await.unwrap();
    assert!(rig.ledger.holds(&rotated("ann")).await.unwrap().user, "it goes on");
    assert!(!rig.ledger.holds(&rotated("bob")).await.unwrap().user, "it does not");
}
