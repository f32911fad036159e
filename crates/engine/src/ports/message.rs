//! Outbound messages, as the outbox keeps them.

use serde::{Deserialize, Serialize};

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
