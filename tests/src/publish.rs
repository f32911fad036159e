//! A Kafka producer as the systems around Severance have one.

use futures::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;

use crate::events::Event;

/// Publishes events.
#[derive(Clone)]
pub struct Publisher(FutureProducer);

impl Publisher {
    /// A producer for these brokers; connects in the background.
    ///
    /// # Panics
    /// When librdkafka refuses the address.
    pub fn new(brokers: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("linger.ms", "0").set("acks", "all");
        Self(config.create().expect("a producer"))
    }

    /// Publishes in structured mode, and returns once the broker has it.
    ///
    /// # Panics
    /// When the broker refuses it.
    pub async fn publish(&self, event: &Event) {
        let value = event.body.to_string();
        let content_type = Header {
            key: "content-type",
            value: Some("application/cloudevents+json; charset=utf-8"),
        };
        let headers = OwnedHeaders::new().insert(content_type);
        let record = FutureRecord::to(event.topic).key(&event.id).payload(&value).headers(headers);
        let sent = self.0.send(record, Timeout::Never).await;
        sent.unwrap_or_else(|(error, _)| panic!("cannot publish {}: {error}", event.id));
    }

    /// Publishes these very bytes, and returns once the broker has them.
    ///
    /// # Panics
    /// When the broker refuses them.
    pub async fn publish_bytes(
        &self,
        topic: &str,
        key: &[u8],
        value: &[u8],
        headers: &[(&str, Option<&[u8]>)],
    ) {
        let mut all = OwnedHeaders::new();
        for &(key, value) in headers {
            all = all.insert(Header { key, value });
        }
        let record = FutureRecord::to(topic).key(key).payload(value).headers(all);
        let sent = self.0.send(record, Timeout::Never).await;
        sent.unwrap_or_else(|(error, _)| panic!("cannot publish to {topic}: {error}"));
    }

    /// Publishes all at once, and returns once the broker has them.
    pub async fn publish_all(&self, events: &[Event]) {
        join_all(events.iter().map(|event| self.publish(event))).await;
    }
}
