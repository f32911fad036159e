//! What arrives: accepted once, kept as it came, and never lost or doubled by a crash.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod common;

use common::{Rig, arrival, at, end, malformed, notice, rotation};
use severance_engine::ports::{Acceptance, Inbox, Ledger, Queries, Topic};
use severance_lifecycle::event::{Cause, ContractChange, Payload, Trigger};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::CaseId;
use severance_lifecycle::journal::Happening;

#[tokio::test]
async fn the_same_event_again_is_a_duplicate_also_within_one_batch() {
    let rig = Rig::new().await;
    let event = notice("1");
    let case = CaseId::of(&event.key);
    let answers = rig.accept(vec![arrival(&event, 1, 0), arrival(&event, 2, 0)]).await;
    assert_eq!(
        answers,
        [Acceptance::Accepted { case: case.clone() }, Acceptance::Duplicate { case: case.clone() },]
    );
    let again = rig.accept(vec![arrival(&event, 1, 1)]).await;
    assert_eq!(again, [Acceptance::Duplicate { case }]);
    let counts = rig.ledger.counts().await.unwrap();
    assert_eq!((counts.accepted, counts.duplicates, counts.cases_open), (1, 2, 1));
}

#[tokio::test]
async fn what_the_policy_asks_for_again_is_dropped_and_counts_as_no_duplicate() {
    let rig = Rig::new().await;
    let mut event = rotation("age-1", None);
    event.key.source = severance_lifecycle::rotation_schedule::SOURCE.to_owned();
    let case = CaseId::of(&event.key);
    let accepted = rig.accept(vec![arrival(&event, 0, 0)]).await;
    assert_eq!(accepted, [Acceptance::Accepted { case: case.clone() }]);
    let again = rig.accept(vec![arrival(&event, 0, 900)]).await;
    assert_eq!(again, [Acceptance::Duplicate { case }]);
    let counts = rig.ledger.counts().await.unwrap();
    assert_eq!((counts.accepted, counts.duplicates, counts.cases_open), (1, 0, 1));
}

#[tokio::test]
async fn a_large_batch_of_all_sorts_is_answered_record_by_record() {
    let rig = Rig::new().await;
    let events: Vec<_> = (0..600).map(|n| notice(&n.to_string())).collect();
    let mut other = events[7].clone();
    other.digest = "other".into();
    let known = rig.accept(vec![arrival(&events[3], 0, 0)]).await;
    let mut batch: Vec<_> = (0..).zip(&events).map(|(n, event)| arrival(event, n, 1)).collect();
    batch.insert(300, malformed(9_000, b"?"));
    batch.push(arrival(&other, 9_001, 1));
    let answers = rig.accept(batch.clone()).await;
    let case = |n: usize| CaseId::of(&events[n].key);
    let mut expected: Vec<_> = (0..600).map(|n| Acceptance::Accepted { case: case(n) }).collect();
    assert_eq!(known, [expected[3].clone()]);
    expected[3] = Acceptance::Duplicate { case: case(3) };
    expected.insert(300, Acceptance::DeadLettered);
    expected.push(Acceptance::Conflict { case: case(7) });
    assert_eq!(answers, expected);
    // A rotation among them: the same answers, all at once.
    batch.push(arrival(&rotation("r", None), 9_003, 2));
    let again = rig.accept(batch.clone()).await;
    assert!(matches!(again.last(), Some(Acceptance::Accepted { .. })));
    batch.pop();
    // A contract's end among them: the same answers, one by one.
    batch.push(arrival(&end("e", ContractChange::Ended, 1), 9_002, 2));
    let again = rig.accept(batch).await;
    let duplicates = again.iter().filter(|it| matches!(it, Acceptance::Duplicate { .. })).count();
    assert_eq!(duplicates, 600);
    assert!(matches!(again.last(), Some(Acceptance::Accepted { .. })));
    let counts = rig.ledger.counts().await.unwrap();
    assert_eq!((counts.accepted, counts.duplicates, counts.cases_open), (602, 1_201, 602));
    assert_eq!((counts.conflicts, counts.dead_lettered), (1, 1));
    let journal = rig.ledger.case(&case(599)).await.unwrap().journal;
    assert!(matches!(journal[0].entry.what, Happening::Accepted), "{journal:?}");
}

#[tokio::test]
async fn a_crash_between_commit_and_reply_is_a_duplicate() {
    let rig = Rig::new().await;
    let event = notice("1");
    rig.accept(vec![arrival(&event, 1, 0)]).await;
    let after = rig.power_cut().await;
    let answers = after.accept(vec![arrival(&event, 1, 1)]).await;
    assert_eq!(answers, [Acceptance::Duplicate { case: CaseId::of(&event.key) }]);
    assert_eq!(after.claim_cases(5).await.len(), 1);
}

#[tokio::test]
async fn other_content_under_a_known_id_is_kept_shown_and_escalated_once() {
    let rig = Rig::new().await;
    let event = notice("1");
    let mut other = event.clone();
    other.digest = "other".into();
    rig.accept(vec![arrival(&event, 1, 0)]).await;
    let case = CaseId::of(&event.key);
    for _ in 0..2 {
        let answers = rig.accept(vec![arrival(&other, 2, 1)]).await;
        assert_eq!(answers, [Acceptance::Conflict { case: case.clone() }]);
    }
    let finding = Finding::ContentConflict { case: case.clone(), digest: "other".into() };
    assert_eq!(rig.ledger.case(&case).await.unwrap().findings, [finding]);
    let outbox = rig.ledger.outbox(at(2), 10).await.unwrap();
    assert_eq!(outbox.len(), 1);
    assert_eq!(outbox[0].message.topic, Topic::Escalation);
    assert_eq!(rig.ledger.counts().await.unwrap().conflicts, 1);
}

#[tokio::test]
async fn a_malformed_record_leaves_as_it_came_with_what_is_wrong_and_only_once() {
    let rig = Rig::new().await;
    for _ in 0..2 {
        let answers = rig.accept(vec![malformed(41, b"\xffraw")]).await;
        assert_eq!(answers, [Acceptance::DeadLettered]);
    }
    let outbox = rig.ledger.outbox(at(0), 10).await.unwrap();
    assert_eq!(outbox.len(), 1, "the record was delivered twice, not written twice");
    let message = &outbox[0].message;
    assert_eq!(message.topic, Topic::DeadLetter);
    assert_eq!(message.key.as_deref(), Some(&b"key"[..]));
    assert_eq!(message.value.as_deref(), Some(&b"\xffraw"[..]));
    let text = |text: &str| Some(text.as_bytes().to_vec());
    assert_eq!(
        message.headers,
        [
            ("h".to_owned(), None),
            ("__dlq.errors.topic".to_owned(), text("credential.events")),
            ("__dlq.errors.partition".to_owned(), text("0")),
            ("__dlq.errors.offset".to_owned(), text("41")),
            ("__dlq.errors.message".to_owned(), text("data.reporter: is missing")),
        ]
    );
    assert_eq!(rig.ledger.counts().await.unwrap().dead_lettered, 1);
}

#[tokio::test]
async fn a_topic_made_anew_dead_letters_the_same_offset_again() {
    let rig = Rig::new().await;
    let mut later = malformed(0, b"two");
    later.coordinates.timestamp = at(100);
    rig.accept(vec![malformed(0, b"one"), later]).await;
    assert_eq!(rig.ledger.outbox(at(0), 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_batch_is_stored_whole_or_not_at_all() {
    let rig = Rig::new().await;
    rig.ledger.limit_pages(Some(1)).await.unwrap();
    let large = |offset| malformed(offset, &vec![0; 200_000]);
    let refused = rig.ledger.accept(vec![arrival(&notice("1"), 1, 0), large(2)]).await;
    assert!(refused.is_err());
    rig.ledger.limit_pages(None).await.unwrap();
    let counts = rig.ledger.counts().await.unwrap();
    assert_eq!((counts.accepted, counts.dead_lettered, counts.outbox), (0, 0, 0));
    let answers = rig.accept(vec![arrival(&notice("1"), 1, 0), large(2)]).await;
    assert!(matches!(answers[..], [Acceptance::Accepted { .. }, Acceptance::DeadLettered]));
}

#[tokio::test]
async fn a_time_in_the_future_is_noted_with_the_case() {
    let rig = Rig::new().await;
    let mut event = notice("1");
    if let Payload::CompromiseNotice(notice) = &mut event.payload {
        notice.discovered_at = at(500);
    }
    let case = rig.open_case(event, 0).await;
    let detail = rig.ledger.case(&case).await.unwrap();
    assert_eq!(detail.findings, [Finding::ClampedTime { field: "data.discovered_at".into() }]);
    assert_eq!(detail.journal[0].entry.what, Happening::Accepted);
    assert!(rig.ledger.outbox(at(1), 10).await.unwrap().is_empty(), "shown, not escalated");
}

#[tokio::test]
async fn an_alarm_without_a_case_is_escalated() {
    let rig = Rig::new().await;
    let finding = Finding::OffsetsLost { topic: "t".into(), partition: 3 };
    rig.ledger.alarm(&finding, at(0)).await.unwrap();
    let outbox = rig.ledger.outbox(at(0), 10).await.unwrap();
    assert_eq!(outbox[0].message.topic, Topic::Escalation);
}

#[tokio::test]
async fn a_contract_end_in_the_future_waits_for_its_time_across_a_restart() {
    let rig = Rig::new().await;
    rig.open_case(common::end_at("1", 1_000, 1), 0).await;
    assert!(rig.claim_cases(999).await.is_empty());
    let agenda = rig.ledger.agenda(at(0)).await.unwrap();
    assert_eq!((agenda.next_at, agenda.due), (Some(at(1_000)), 0));
    let rig = rig.crash().await;
    assert!(rig.claim_cases(999).await.is_empty());
    assert_eq!(rig.claim_cases(1_000).await.len(), 1);
}

#[tokio::test]
async fn compromise_is_planned_before_contract_ends_that_are_due_longer() {
    let rig = Rig::new().await;
    let ended = rig.open_case(end("e", ContractChange::Ended, 1), 0).await;
    let second = rig.open_case(notice("n2"), 6).await;
    let first = rig.open_case(notice("n1"), 5).await;
    let order: Vec<_> = rig.claim_cases(10).await.into_iter().map(|c| c.case.id).collect();
    assert_eq!(order, [first, second, ended]);
}

#[tokio::test]
async fn a_rotation_is_kept_whole_and_what_is_odd_about_it_is_shown() {
    let rig = Rig::new().await;
    let event = rotation("r", None);
    let case = rig.open_case(event.clone(), 0).await;
    let detail = rig.ledger.case(&case).await.unwrap();
    assert_eq!(detail.findings, [Finding::ShortGrace { seconds: 300 }]);
    assert!(rig.ledger.outbox(at(1), 10).await.unwrap().is_empty(), "shown, not escalated");
    let claimed = rig.claim_cases(0).await.remove(0);
    assert_eq!((claimed.event, claimed.case.trigger), (event, Trigger::Rotation));
    assert_eq!(claimed.case.cause, Some(Cause::OwnerChange));
    assert_eq!(claimed.case.grace, Some(chrono::TimeDelta::minutes(5)));
    assert_eq!(claimed.case.ticket.as_deref(), Some("CHG-1"));
}

#[tokio::test]
async fn a_rotation_again_is_a_duplicate_and_with_other_content_a_conflict() {
    let rig = Rig::new().await;
    let event = rotation("r", None);
    let case = CaseId::of(&event.key);
    let mut other = event.clone();
    other.digest = "other".into();
    let batch = vec![arrival(&event, 1, 0), arrival(&event, 2, 0), arrival(&other, 3, 0)];
    let answers = rig.accept(batch).await;
    assert_eq!(
        answers,
        [
            Acceptance::Accepted { case: case.clone() },
            Acceptance::Duplicate { case: case.clone() },
            Acceptance::Conflict { case: case.clone() },
        ]
    );
    let found = rig.ledger.case(&case).await.unwrap().findings;
    let conflict = Finding::ContentConflict { case, digest: "other".into() };
    assert!(found.contains(&conflict), "{found:?}");
}

#[tokio::test]
async fn a_rotation_that_may_not_begin_yet_waits_for_its_time_across_a_restart() {
    let rig = Rig::new().await;
    rig.open_case(rotation("r", Some(1_000)), 0).await;
    assert!(rig.claim_cases(999).await.is_empty());
    let rig = rig.crash().await;
    let agenda = rig.ledger.agenda(at(0)).await.unwrap();
    assert_eq!((agenda.next_at, agenda.due), (Some(at(1_000)), 0));
    let claimed = rig.claim_cases(1_000).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].case.noticed_at, at(1_000), "its clock starts when it may begin");
}

#[tokio::test]
async fn rotations_are_planned_after_everything_else() {
    let rig = Rig::new().await;
    let rotation = rig.open_case(rotation("r", None), 0).await;
    let ended = rig.open_case(end("e", ContractChange::Ended, 1), 5).await;
    let noticed = rig.open_case(notice("n"), 6).await;
    let order: Vec<_> = rig.claim_cases(10).await.into_iter().map(|c| c.case.id).collect();
    assert_eq!(order, [noticed, ended, rotation]);
}
