//! Messages that wait: their order, their failures, their size.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod common;

use common::{Rig, at, malformed};
use severance_engine::ports::{Headers, Inbox, Ledger, LedgerError, Message, OutboxEntry, Topic};
use severance_lifecycle::finding::Finding;

async fn ids(rig: &Rig, now: i64) -> Vec<i64> {
    let entries = rig.ledger.outbox(at(now), 1_000).await.unwrap();
    entries.into_iter().map(|entry: OutboxEntry| entry.id).collect()
}

async fn alarm(rig: &Rig) {
    let finding = Finding::OffsetsLost { topic: "t".into(), partition: 0 };
    rig.ledger.alarm(&finding, at(0)).await.unwrap();
}

#[tokio::test]
async fn a_persons_call_is_not_stuck_behind_dead_letters() {
    let rig = Rig::new().await;
    rig.accept((0..500).map(|n| malformed(n, b"x")).collect()).await;
    alarm(&rig).await;
    let first = rig.ledger.outbox(at(0), 2).await.unwrap();
    assert_eq!(first[0].message.topic, Topic::Escalation);
    assert_eq!((first[1].message.topic, first[1].id), (Topic::DeadLetter, 1));
}

#[tokio::test]
async fn messages_of_a_topic_leave_in_order_and_published_ones_are_gone() {
    let rig = Rig::new().await;
    rig.accept((0..4).map(|n| malformed(n, b"x")).collect()).await;
    assert_eq!(ids(&rig, 0).await, [1, 2, 3, 4]);
    rig.ledger.published(&[1, 3]).await.unwrap();
    let rig = rig.crash().await;
    assert_eq!(ids(&rig, 0).await, [2, 4]);
}

#[tokio::test]
async fn a_message_that_failed_waits_and_is_counted() {
    let rig = Rig::new().await;
    rig.accept((0..2).map(|n| malformed(n, b"x")).collect()).await;
    rig.ledger.defer(1, at(30), "broker down").await.unwrap();
    assert_eq!(ids(&rig, 29).await, [2]);
    let again = rig.ledger.outbox(at(30), 9).await.unwrap();
    assert_eq!((again[0].id, again[0].attempts, again[1].id), (1, 1, 2));
}

#[tokio::test]
async fn one_reading_is_bounded_in_bytes_but_never_empty() {
    let rig = Rig::new().await;
    let large = vec![0; 3 * 1024 * 1024];
    rig.accept((0..3).map(|n| malformed(n, &large)).collect()).await;
    assert_eq!(ids(&rig, 0).await, [1]);
    rig.ledger.published(&[1]).await.unwrap();
    assert_eq!(ids(&rig, 0).await, [2]);
}

#[tokio::test]
async fn a_message_too_large_for_the_broker_is_announced_in_its_place() {
    let rig = Rig::new().await;
    rig.accept(vec![malformed(0, &[7; 1_000]), malformed(1, b"x")]).await;
    rig.ledger.defer(1, at(900), "too large").await.unwrap();
    let headers: Headers = vec![("digest".into(), Some(b"abc".to_vec()))];
    let announcement = Message {
        topic: Topic::DeadLetter,
        key: None,
        value: Some(b"see the ledger".to_vec()),
        headers,
    };
    rig.ledger.spill(1, &announcement).await.unwrap();
    let entries = rig.ledger.outbox(at(0), 9).await.unwrap();
    assert_eq!((entries[0].id, entries[0].attempts), (1, 0));
    assert_eq!(entries[0].message, announcement);
    // Were it refused too, another one takes its place, and what was spilled first stays.
    rig.ledger.spill(1, &announcement).await.unwrap();
    let entries = rig.ledger.outbox(at(0), 9).await.unwrap();
    assert_eq!(entries[0].message, announcement);
    let unknown = rig.ledger.spill(99, &announcement).await;
    assert!(matches!(unknown, Err(LedgerError::NotFound { .. })));
}
