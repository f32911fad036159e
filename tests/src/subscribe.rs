//! A Kafka consumer as the systems behind Severance have one.

use std::time::Duration;

use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{Headers as _, Message as _, OwnedMessage};
use rdkafka::metadata::MetadataTopic;
use rdkafka::topic_partition_list::Offset;
use rdkafka::{ClientConfig, TopicPartitionList};
use serde_json::Value;

/// How long a record that must come is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// Reads one topic from its beginning.
pub struct Subscriber {
    consumer: StreamConsumer,
    topic: &'static str,
}

impl Subscriber {
    /// A consumer of all partitions of a topic.
    ///
    /// # Panics
    /// When the broker does not know the topic.
    pub fn new(brokers: &str, topic: &'static str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("group.id", "tests");
        let consumer: StreamConsumer = config.create().expect("a consumer");
        let known = consumer.fetch_metadata(Some(topic), PATIENCE).expect("the broker's topics");
        let mut list = TopicPartitionList::new();
        for partition in known.topics().iter().flat_map(MetadataTopic::partitions) {
            list.add_partition_offset(topic, partition.id(), Offset::Beginning).expect("an offset");
        }
        assert!(list.count() > 0, "{topic} has no partitions");
        consumer.assign(&list).expect("its partitions");
        Self { consumer, topic }
    }

    /// The next record that fits; those before it are let go.
    ///
    /// # Panics
    /// When none comes.
    pub async fn next(&self, what: &str, fits: impl Fn(&Record) -> bool) -> Record {
        let reading = async {
            loop {
                let message = self.consumer.recv().await.expect("a record");
                let record = Record(message.detach());
                if fits(&record) {
                    return record;
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, reading).await;
        found.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain for {what} on {}", self.topic))
    }
}

/// A record as it was read.
#[derive(Debug)]
pub struct Record(OwnedMessage);

impl Record {
    /// Its key.
    pub fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    /// Its value.
    pub fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    /// Its headers, in order.
    pub fn headers(&self) -> Vec<(&str, Option<&[u8]>)> {
        let headers = self.0.headers();
        headers.map(|all| all.iter().map(|it| (it.key, it.value)).collect()).unwrap_or_default()
    }

    /// The header of that name, as text; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let headers = self.headers();
        let found = headers.iter().find(|(key, _)| *key == name).and_then(|(_, value)| *value);
        std::str::from_utf8(found.unwrap_or_default()).expect("a header of text")
    }

    /// Its value as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(self.value().unwrap_or_default()).unwrap_or_default()
    }
}
