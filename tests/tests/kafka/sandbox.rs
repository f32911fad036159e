//! The sandbox's Kafka on a chosen port.

use severance_sandbox::kafka::{KafkaError, KafkaOptions, MockKafka};

use severance_kafka::KafkaConfig;

use crate::broker::{PATIENCE, eventually};
use crate::fake_ledger::FakeLedger;
use crate::intake::intake;
use crate::records::{Publisher, ids};

#[tokio::test]
async fn a_chosen_port_is_what_clients_are_told_and_keep_using() {
    let options = KafkaOptions { port: Some(0), ..KafkaOptions::default() };
    let kafka = MockKafka::start(&options).unwrap();
    kafka.create_topic("credential.compromise-notice", 2).unwrap();
    kafka.create_topic("credential.compromise-notice", 2).unwrap();
    let config = KafkaConfig { brokers: kafka.bootstrap().into(), ..KafkaConfig::default() };
    let publisher = Publisher::new(&config);
    publisher.notices(&ids(0..10)).await;
    let ledger = FakeLedger::new();
    let intake = intake(&config, &ledger);
    eventually("ten events", || ledger.ids().len() == 10).await;
    assert!(intake.stop(PATIENCE).await);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let options = KafkaOptions { port: Some(port), ..KafkaOptions::default() };
    let refused = MockKafka::start(&options).err().unwrap();
    assert!(
        matches!(&refused, KafkaError::Port { address, .. } if address.ends_with(&port.to_string()))
    );
}
