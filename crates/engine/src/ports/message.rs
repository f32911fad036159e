//! Outbound messages, as the outbox keeps them.

use serde::{Deserialize, Serialize};
use severance_lifecycle::outcome::OutboundEvent;

/// Which outbound topic. Names on the broker are configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// `credential.outcome`
    Outcome,
    /// `credential.escalation`
    Escalation,
    /// `credential.dead-letter`
    DeadLetter,
}

/// What is wrong with a dead letter's record and where it was (KIP-1191), by these headers, in this order,
/// after the record's own.
pub const DLQ_HEADERS: [&str; 4] =
    ["__dlq.errors.topic", "__dlq.errors.partition", "__dlq.errors.offset", "__dlq.errors.message"];

/// Headers in order; Kafka allows a name twice and a value that is null.
pub type Headers = Vec<(String, Option<Vec<u8>>)>;

/// One outbound message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Where to.
    pub topic: Topic,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value.
    pub value: Option<Vec<u8>>,
    /// The record's headers.
    pub headers: Headers,
}

/// A message that waits in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Its number, in order of writing.
    pub id: i64,
    /// The message.
    pub message: Message,
    /// How often publishing it failed.
    pub attempts: u32,
}

/// CloudEvents `source` of everything that the worker publishes.
pub const SOURCE: &str = "/severance";

impl Message {
    /// An outbound CloudEvent in binary content mode (CloudEvents Kafka protocol binding 1.0.2): the
    /// attributes are headers, the data is the value.
    pub fn event(topic: Topic, event: &OutboundEvent) -> Self {
        let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
        Self {
            topic,
            key: Some(event.key.clone().into_bytes()),
            value: Some(event.data.to_string().into_bytes()),
            headers: vec![
                header("ce_specversion", "1.0"),
                header("ce_id", &event.id),
                header("ce_source", SOURCE),
                header("ce_type", event.event_type),
                header("ce_time", &event.time.to_rfc3339()),
                header("content-type", "application/json"),
            ],
        }
    }
}
