//! What the publisher promises.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, OwnedMessage};
use rdkafka::topic_partition_list::Offset;
use severance_engine::ports::{Message, PublishError, Publisher as _, Topic};
use severance_kafka::{KafkaConfig, KafkaPublisher, PublishEventError, reach};
use severance_sandbox::kafka::{KafkaFault, KafkaRequest};

use crate::broker::{Kafka, Need, PATIENCE, clock};
use crate::records::{Publisher, notice};

fn message(value: Option<Vec<u8>>) -> Message {
    let headers = vec![
        ("ce_id".to_owned(), Some(b"1".to_vec())),
        ("twice".to_owned(), Some(b"a".to_vec())),
        ("twice".to_owned(), None),
    ];
    Message { topic: Topic::DeadLetter, key: Some(b"key".to_vec()), value, headers }
}

fn read_one(config: &KafkaConfig, topic: &str) -> OwnedMessage {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &config.brokers)
        .set("group.id", "reader")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    consumer.poll(PATIENCE).unwrap().unwrap().detach()
}

#[tokio::test]
async fn a_message_arrives_with_its_key_and_every_header_in_order() {
    let Some(kafka) = Kafka::for_test(1, &[]).await else { return };
    let publisher = KafkaPublisher::new(&kafka.config, clock()).unwrap();
    publisher.publish(&message(None)).await.unwrap();
    let found = read_one(&kafka.config, &kafka.config.topics.dead_letter);
    assert_eq!(found.key(), Some(&b"key"[..]));
    assert_eq!(found.payload(), None);
    let headers: Vec<_> = found.headers().unwrap().iter().map(|h| (h.key, h.value)).collect();
    assert_eq!(headers, [("ce_id", Some(&b"1"[..])), ("twice", Some(b"a")), ("twice", None)]);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_told_apart() {
    let Some(mut kafka) = Kafka::for_test(1, &[]).await else { return };
    kafka.config.properties.0.insert("message.max.bytes".into(), "2000".into());
    let publisher = KafkaPublisher::new(&kafka.config, clock()).unwrap();
    let refused = publisher.publish(&message(Some(vec![0; 3000]))).await.unwrap_err();
    assert!(matches!(refused, PublishError::TooLarge { bytes } if bytes > 3000), "{refused}");
}

#[tokio::test]
async fn a_broker_that_finds_a_message_too_large_or_refuses_it_is_told_apart() {
    let Some(kafka) = Kafka::for_test(1, &[Need::Faults]).await else { return };
    let publisher = KafkaPublisher::new(&kafka.config, clock()).unwrap();
    kafka.mock().inject(KafkaRequest::Produce, KafkaFault::TooLarge, 1).unwrap();
    let refused = publisher.publish(&message(None)).await.unwrap_err();
    assert!(matches!(refused, PublishError::TooLarge { .. }), "{refused}");
    kafka.mock().inject(KafkaRequest::Produce, KafkaFault::NotAuthorized, 1).unwrap();
    let refused = publisher.publish(&message(None)).await.unwrap_err();
    assert!(matches!(refused, PublishError::Failed { .. }), "{refused}");
    // The outbox tries again, and must get through with the same publisher.
    kafka.mock().inject(KafkaRequest::Produce, KafkaFault::RequestTimedOut, 2).unwrap();
    let trying = tokio::time::timeout(PATIENCE, async {
        while publisher.publish(&message(None)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    trying.await.expect("it is published in the end");
}

#[tokio::test]
async fn an_event_that_the_worker_would_refuse_is_not_published() {
    let Some(kafka) = Kafka::for_test(1, &[]).await else { return };
    let mut event = notice("a");
    event.data["severity"] = "apocalyptic".into();
    let inbound = severance_kafka::Inbound::CompromiseNotice;
    let mode = severance_kafka::ContentMode::Binary;
    let publisher = Publisher::new(&kafka.config);
    let refused = publisher.0.publish(inbound, &event, mode, None).await.unwrap_err();
    let PublishEventError::Invalid(malformed) = refused else { panic!("{refused}") };
    assert_eq!(malformed.field, "data.severity");
}

#[tokio::test]
async fn reaching_names_the_topic_that_is_missing() {
    let Some(mut kafka) = Kafka::for_test(2, &[]).await else { return };
    kafka.config.topics.outcome = "no-such-topic".into();
    let config = kafka.config.clone();
    let reached = tokio::task::spawn_blocking(move || reach(&config, clock(), PATIENCE));
    let reached = reached.await.unwrap().unwrap();
    for topic in reached.topics {
        assert_eq!(topic.partitions.is_ok(), topic.name != "no-such-topic", "{topic:?}");
    }
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named() {
    let config = KafkaConfig { brokers: "127.0.0.1:1".into(), ..KafkaConfig::default() };
    let asked =
        tokio::task::spawn_blocking(move || reach(&config, clock(), Duration::from_secs(1)));
    let refused = asked.await.unwrap().unwrap_err().to_string();
    assert!(refused.contains("127.0.0.1:1"), "{refused}");
}
