//! What the intake survives: brokers and coordinators that go, commits that fail.

use severance_kafka::Inbound;
use severance_sandbox::kafka::{KafkaFault, KafkaRequest};

use crate::broker::{Kafka, Need, PATIENCE, eventually};
use crate::fake_ledger::FakeLedger;
use crate::intake::intake;
use crate::records::{Publisher, committed, ids};

#[tokio::test]
async fn a_broker_that_stops_and_starts_loses_nothing() {
    let Some(kafka) = Kafka::for_test(2, &[Need::Faults]).await else { return };
    let publisher = Publisher::new(&kafka.config);
    let ledger = FakeLedger::new();
    let intake = intake(&kafka.config, &ledger);
    publisher.notices(&ids(0..50)).await;
    eventually("50 events", || ledger.ids().len() == 50).await;
    kafka.mock().stop_broker(None).unwrap();
    // Published while the broker is away: the producer holds them until it is back.
    let more = ids(50..100);
    let publishing = publisher.notices(&more);
    let starting = async { kafka.mock().start_broker(None).unwrap() };
    tokio::join!(publishing, starting);
    eventually("100 events", || ledger.ids().len() == 100).await;
    assert!(intake.stop(PATIENCE).await);
    let next = (0..2).filter_map(|p| committed(&kafka.config, Inbound::CompromiseNotice, p));
    assert_eq!(next.sum::<i64>(), 100);
}

#[tokio::test]
async fn a_coordinator_that_moves_or_forgets_us_loses_nothing() {
    let faults = [
        (KafkaRequest::Heartbeat, KafkaFault::NotCoordinator),
        (KafkaRequest::Heartbeat, KafkaFault::UnknownMember),
        (KafkaRequest::OffsetCommit, KafkaFault::NotCoordinator),
        (KafkaRequest::OffsetCommit, KafkaFault::RebalanceInProgress),
        (KafkaRequest::OffsetFetch, KafkaFault::CoordinatorLoading),
        (KafkaRequest::Fetch, KafkaFault::Disconnect),
        (KafkaRequest::Fetch, KafkaFault::NotLeader),
        (KafkaRequest::ListOffsets, KafkaFault::NotLeader),
    ];
    let survive = faults.map(|(request, fault)| survives(request, fault));
    futures::future::join_all(survive).await;
}

/// The fault meets the start, the middle, and what the next intake begins with.
async fn survives(request: KafkaRequest, fault: KafkaFault) {
    let Some(kafka) = Kafka::for_test(1, &[Need::Faults]).await else { return };
    let publisher = Publisher::new(&kafka.config);
    let ledger = FakeLedger::new();
    kafka.mock().inject(request, fault, 3).unwrap();
    let first = intake(&kafka.config, &ledger);
    publisher.notices(&ids(0..20)).await;
    eventually("20 events", || ledger.ids().len() == 20).await;
    kafka.mock().inject(request, fault, 2).unwrap();
    publisher.notices(&ids(20..40)).await;
    eventually("40 events", || ledger.ids().len() == 40).await;
    assert_eq!(ledger.ids(), ids(0..40), "after {request:?} {fault:?}");
    assert!(first.stop(PATIENCE).await);
    let second = intake(&kafka.config, &ledger);
    publisher.notices(&ids(40..41)).await;
    eventually("one more", || ledger.ids().len() == 41).await;
    assert!(second.stop(PATIENCE).await);
}

#[tokio::test]
async fn an_intake_may_start_before_its_broker() {
    let Some(kafka) = Kafka::for_test(1, &[Need::Faults]).await else { return };
    let publisher = Publisher::new(&kafka.config);
    publisher.notices(&ids(0..5)).await;
    kafka.mock().stop_broker(None).unwrap();
    let ledger = FakeLedger::new();
    let intake = intake(&kafka.config, &ledger);
    eventually("it polls", || intake.health().topics[0].last_poll.is_some()).await;
    assert!(!intake.health().ready(chrono::TimeDelta::seconds(30)), "it has joined no group");
    kafka.mock().start_broker(None).unwrap();
    eventually("five events", || ledger.ids().len() == 5).await;
    assert!(intake.stop(PATIENCE).await);
}
