//! Intake and publishing over Kafka: CloudEvents, offsets, rebalances, dead letters.
//!
//! Intake reads each inbound topic with a consumer and a group of its own, decodes every record, hands
//! batches to the ledger ([`Inbox`](severance_engine::ports::Inbox)) and stores a record's offset only
//! after the ledger has it. Delivery is at least once and effects are idempotent: what a crash makes
//! arrive twice, the ledger drops.

#![forbid(unsafe_code)]

mod client;
mod cloud_event;
mod config;
mod context;
mod intake;
mod oauth;
mod publish_event;
mod publisher;
mod reach;
mod schema;
mod secret;

pub use cloud_event::{ContentMode, Outgoing, decode, encode};
pub use config::{Inbound, IntakeConfig, KafkaConfig, Properties, Security, TopicNames};
pub use intake::{Counters, Intake, IntakeHealth, PartitionHealth, TopicHealth, start};
pub use publish_event::{EventPublisher, PublishEventError, PublishedAt};
pub use publisher::KafkaPublisher;
pub use reach::{Reached, TopicReached, reach};
pub use schema::schemas;
pub use secret::Secret;

use rdkafka::error::KafkaError;
use thiserror::Error;

/// Why a Kafka client cannot be set up. Never carries a secret.
#[derive(Debug, Error)]
pub enum SetupError {
    /// A setting of ours is wrong.
    #[error("kafka.{setting}: {why}")]
    Setting {
        /// The setting's path below `kafka`.
        setting: String,
        /// What is wrong with it.
        why: String,
    },
    /// A librdkafka property is unknown, has a value that it cannot have, or is one that Severance
    /// must set itself.
    #[error("kafka.properties: {name}: {why}")]
    Property {
        /// The property.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The client library refused to start a client.
    #[error("cannot start the Kafka client for {purpose}")]
    Client {
        /// What the client is for.
        purpose: String,
        /// The library's error.
        #[source]
        source: KafkaError,
    },
    /// The operating system refused a thread.
    #[error("cannot start a thread for {purpose}")]
    Thread {
        /// What the thread is for.
        purpose: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The brokers did not answer.
    #[error("cannot reach Kafka at {brokers}")]
    Unreachable {
        /// The bootstrap addresses.
        brokers: String,
        /// The library's error.
        #[source]
        source: KafkaError,
    },
}
