//! What the intake promises while the broker is well.

use std::sync::Arc;
use std::time::Duration;

use severance_engine::ports::{Headers, Inbox};
use severance_kafka::{ContentMode, Inbound, Intake, KafkaConfig, start};
use severance_lifecycle::event::Trigger;
use severance_lifecycle::finding::Finding;

use crate::broker::{Kafka, Need, PATIENCE, clock, eventually};
use crate::fake_ledger::{Entry, FakeLedger};
use crate::records::{Publisher, committed, contract_end, ids, notice, rotation};

pub(crate) fn intake(config: &KafkaConfig, ledger: &Arc<FakeLedger>) -> Intake {
    let inbox: Arc<dyn Inbox> = Arc::clone(ledger) as _;
    start(config, &inbox, &clock()).unwrap()
}

#[tokio::test]
async fn both_modes_and_all_topics_are_read_from_their_beginning() {
    let Some(kafka) = Kafka::for_test(1, &[]).await else { return };
    let publisher = Publisher::new(&kafka.config);
    for (inbound, event, mode) in [
        (Inbound::CompromiseNotice, notice("a"), ContentMode::Binary),
        (Inbound::CompromiseNotice, notice("b"), ContentMode::Structured),
        (Inbound::ContractEnd, contract_end("c"), ContentMode::Binary),
        (Inbound::ContractEnd, contract_end("d"), ContentMode::Structured),
        (Inbound::Rotation, rotation("e"), ContentMode::Binary),
        (Inbound::Rotation, rotation("f"), ContentMode::Structured),
    ] {
        publisher.0.publish(inbound, &event, mode, None).await.unwrap();
    }
    let ledger = FakeLedger::new();
    let intake = intake(&kafka.config, &ledger);
    eventually("six events", || ledger.entries().len() == 6).await;
    let mut found = ledger.ids();
    found.sort();
    assert_eq!(found, ["a", "b", "c", "d", "e", "f"]);
    eventually("ready, without lag", || {
        let health = intake.health();
        let level = |topic: &severance_kafka::TopicHealth| {
            topic.partitions.iter().all(|p| p.lag == Some(0)) && !topic.partitions.is_empty()
        };
        health.ready(chrono::TimeDelta::seconds(30)) && health.topics.iter().all(level)
    })
    .await;
    assert!(intake.stop(PATIENCE).await);
}

#[tokio::test]
async fn a_poison_record_is_dead_lettered_and_stops_nothing() {
    let Some(kafka) = Kafka::for_test(1, &[]).await else { return };
    let publisher = Publisher::new(&kafka.config);
    publisher.notices(&ids(0..1)).await;
    let large = vec![b'x'; 900 * 1024];
    let binary: Headers = vec![("ce_specversion".into(), Some(b"1.0".to_vec()))];
    let poison: [(Option<&[u8]>, Headers, &str); 5] = [
        (None, Headers::new(), "value"),
        (Some(b"{"), Headers::new(), "content-type"),
        (Some(b"\xff\xfe"), binary.clone(), "type"),
        (Some(&large), binary, "type"),
        (Some(b"[]"), structured("application/cloudevents-batch+json"), "content-type"),
    ];
    for (value, headers, _) in &poison {
        let topic = Inbound::CompromiseNotice;
        publisher.0.publish_record(topic, Some(b"key"), *value, headers).await.unwrap();
    }
    publisher.notices(&ids(1..2)).await;

    let ledger = FakeLedger::new();
    let intake = intake(&kafka.config, &ledger);
    eventually("all seven", || ledger.entries().len() == 7).await;
    let event = |id: &str| Entry::Event { trigger: Trigger::CompromiseNotice, id: id.into() };
    let dead = poison.iter().map(|(_, _, field)| Entry::DeadLetter { field: (*field).into() });
    let mut expected = vec![event("00000")];
    expected.extend(dead);
    expected.push(event("00001"));
    assert_eq!(ledger.entries(), expected);
    assert!(intake.stop(PATIENCE).await);
    assert_eq!(committed(&kafka.config, Inbound::CompromiseNotice, 0), Some(7));
}

fn structured(content_type: &str) -> Headers {
    vec![("content-type".into(), Some(content_type.as_bytes().to_vec()))]
}

#[tokio::test]
async fn a_crash_between_the_ledger_and_the_offsets_redelivers_and_loses_nothing() {
    let Some(kafka) = Kafka::for_test(1, &[]).await else { return };
    Publisher::new(&kafka.config).notices(&ids(0..20)).await;
    let ledger = FakeLedger::that_holds_its_answers();
    let crashing = intake(&kafka.config, &ledger);
    eventually("a batch stored and not answered", || ledger.unanswered() == 1).await;
    let stored = ledger.ids().len();
    // As a crash leaves it: the ledger has a batch, and its offsets are stored nowhere.
    assert!(!crashing.stop(Duration::from_secs(2)).await, "it cannot have drained");
    assert_eq!(committed(&kafka.config, Inbound::CompromiseNotice, 0), None);

    ledger.answer(1_000);
    let again = intake(&kafka.config, &ledger);
    eventually("all twenty", || ledger.ids().len() == 20).await;
    assert_eq!(ledger.ids(), ids(0..20));
    eventually("the stored ones again", || ledger.duplicates() >= stored).await;
    assert!(again.stop(PATIENCE).await);
}

#[tokio::test]
async fn while_the_ledger_fails_nothing_is_stored_and_nothing_is_skipped() {
    let Some(kafka) = Kafka::for_test(1, &[]).await else { return };
    Publisher::new(&kafka.config).notices(&ids(0..20)).await;
    let ledger = FakeLedger::new();
    ledger.fail(true);
    let intake = intake(&kafka.config, &ledger);
    eventually("three failures", || ledger.failures() >= 3).await;
    assert!(!intake.health().ready(chrono::TimeDelta::seconds(30)));
    assert_eq!(committed(&kafka.config, Inbound::CompromiseNotice, 0), None);
    ledger.fail(false);
    eventually("all twenty", || ledger.ids().len() == 20).await;
    assert_eq!(ledger.ids(), ids(0..20));
    assert_eq!(ledger.duplicates(), 0);
    assert!(intake.stop(PATIENCE).await);
    assert_eq!(committed(&kafka.config, Inbound::CompromiseNotice, 0), Some(20));
}

#[tokio::test]
async fn a_ledger_that_is_behind_pauses_the_topic_and_loses_no_record() {
    let Some(mut kafka) = Kafka::for_test(1, &[]).await else { return };
    kafka.config.intake.batch_records = 5;
    Publisher::new(&kafka.config).notices(&ids(0..200)).await;
    let ledger = FakeLedger::that_holds_its_answers();
    let intake = intake(&kafka.config, &ledger);
    eventually("a pause", || intake.health().topics[0].paused).await;
    assert!(intake.health().topics[0].buffered <= 15, "the buffer is bounded");
    ledger.answer(1_000);
    eventually("all of them", || ledger.ids().len() == 200).await;
    assert_eq!(ledger.ids(), ids(0..200));
    assert_eq!(ledger.duplicates(), 0);
    assert!(intake.stop(PATIENCE).await);
}

#[tokio::test]
async fn notices_are_stored_before_contract_ends_and_those_before_rotations_when_all_wait() {
    let Some(kafka) = Kafka::for_test(3, &[]).await else { return };
    let publisher = Publisher::new(&kafka.config);
    publisher.rotations(&ids(0..1_000)).await;
    publisher.contract_ends(&ids(0..1_000)).await;
    publisher.notices(&ids(0..700)).await;
    let ledger = FakeLedger::new();
    let intake = intake(&kafka.config, &ledger);
    eventually("everything", || ledger.ids().len() == 2_700).await;
    let triggers = ledger.entries().into_iter().map(|entry| match entry {
        Entry::Event { trigger, .. } => Some(trigger),
        Entry::DeadLetter { .. } => None,
    });
    let runs: Vec<_> = triggers.collect::<Vec<_>>().chunk_by(|a, b| a == b).map(run).collect();
    let urgent_first = [
        (Some(Trigger::CompromiseNotice), 700),
        (Some(Trigger::ContractEnd), 1_000),
        (Some(Trigger::Rotation), 1_000),
    ];
    assert_eq!(runs, urgent_first);
    assert!(intake.stop(PATIENCE).await);
}

/// What is the same in a row, and how many.
fn run(same: &[Option<Trigger>]) -> (Option<Trigger>, usize) {
    (same[0], same.len())
}

#[tokio::test]
async fn a_backlog_of_rotations_that_the_ledger_refuses_holds_up_no_other_topic() {
    let Some(kafka) = Kafka::for_test(1, &[]).await else { return };
    let publisher = Publisher::new(&kafka.config);
    publisher.rotations(&ids(0..500)).await;
    let ledger = FakeLedger::that_refuses(Trigger::Rotation);
    let intake = intake(&kafka.config, &ledger);
    eventually("rotations are refused", || ledger.failures() > 0).await;
    publisher.contract_ends(&["end".to_owned()]).await;
    publisher.notices(&["notice".to_owned()]).await;
    eventually("the others are taken", || ledger.ids().len() == 2).await;
    ledger.take_all();
    eventually("the rotations, too", || ledger.ids().len() == 502).await;
    assert!(intake.stop(PATIENCE).await);
}

#[tokio::test]
async fn a_stop_finishes_the_batch_at_the_ledger_and_commits_it() {
    let Some(mut kafka) = Kafka::for_test(1, &[]).await else { return };
    kafka.config.intake.batch_records = 5;
    Publisher::new(&kafka.config).notices(&ids(0..20)).await;
    let ledger = FakeLedger::that_holds_its_answers();
    let first = intake(&kafka.config, &ledger);
    eventually("a batch at the ledger", || ledger.unanswered() == 1).await;
    let taken = ledger.ids().len();
    let stop = tokio::spawn(first.stop(PATIENCE));
    ledger.answer(1);
    assert!(stop.await.unwrap());
    assert_eq!(ledger.ids().len(), taken, "no further batch is taken");
    let next = i64::try_from(taken).unwrap();
    assert_eq!(committed(&kafka.config, Inbound::CompromiseNotice, 0), Some(next));

    ledger.answer(1_000);
    let second = intake(&kafka.config, &ledger);
    eventually("all twenty", || ledger.ids().len() == 20).await;
    assert_eq!(ledger.duplicates(), 0, "what was committed does not come again");
    assert!(second.stop(PATIENCE).await);
}

#[tokio::test]
async fn members_share_the_partitions_and_nothing_is_lost_as_they_come_and_go() {
    let Some(kafka) = Kafka::for_test(4, &[]).await else { return };
    let publisher = Publisher::new(&kafka.config);
    let ledger = FakeLedger::new();
    let partitions = |intake: &Intake| intake.health().topics[0].partitions.len();

    let first = intake(&kafka.config, &ledger);
    publisher.notices(&ids(0..100)).await;
    eventually("the first has all partitions", || partitions(&first) == 4).await;
    let second = intake(&kafka.config, &ledger);
    publisher.notices(&ids(100..200)).await;
    eventually("both have two", || partitions(&first) == 2 && partitions(&second) == 2).await;
    publisher.notices(&ids(200..300)).await;
    eventually("300 events", || ledger.ids().len() == 300).await;
    assert!(first.stop(PATIENCE).await);
    publisher.notices(&ids(300..400)).await;
    eventually("the second has all partitions", || partitions(&second) == 4).await;
    eventually("400 events", || ledger.ids().len() == 400).await;
    let mut found = ledger.ids();
    found.sort();
    assert_eq!(found, ids(0..400));
    assert!(second.stop(PATIENCE).await);
}

#[tokio::test]
async fn offsets_that_fell_out_of_retention_raise_an_alarm() {
    let Some(mut kafka) = Kafka::for_test(1, &[Need::Forgetting]).await else { return };
    kafka.config.properties.0.insert("compression.type".into(), "none".into());
    let publisher = Publisher::new(&kafka.config);
    let ledger = FakeLedger::new();
    publisher.notices(&ids(0..1)).await;
    let first = intake(&kafka.config, &ledger);
    eventually("the first event", || ledger.ids().len() == 1).await;
    assert!(first.stop(PATIENCE).await);
    assert_eq!(ledger.alarms(), []);

    // More than the sandbox keeps of a partition: what was committed is forgotten.
    let filler: Vec<u8> = (0_u32..225_000).flat_map(u32::to_le_bytes).collect();
    for _ in 0..8 {
        let topic = Inbound::CompromiseNotice;
        publisher.0.publish_record(topic, None, Some(&filler), &Headers::new()).await.unwrap();
    }
    publisher.notices(&ids(1..2)).await;
    let second = intake(&kafka.config, &ledger);
    eventually("an alarm", || !ledger.alarms().is_empty()).await;
    let topic = kafka.config.topics.compromise_notice.clone();
    assert_eq!(ledger.alarms(), [Finding::OffsetsLost { topic, partition: 0 }]);
    eventually("the event after it", || ledger.ids() == ids(0..2)).await;
    assert!(second.stop(PATIENCE).await);
    assert_eq!(committed(&kafka.config, Inbound::CompromiseNotice, 0), Some(10));
}
