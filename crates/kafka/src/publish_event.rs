//! Publishing an inbound event: what `severance publish` and the demo do.

use std::sync::Arc;

use severance_engine::ports::{Clock, Headers};
use severance_lifecycle::event::Malformed;

use rdkafka::error::KafkaError;
use rdkafka::producer::FutureProducer;
use thiserror::Error;

use crate::SetupError;
use crate::cloud_event::{ContentMode, Outgoing, decode, encode};
use crate::config::{Inbound, KafkaConfig, TopicNames};
use crate::context::Context;

/// Publishes events to the inbound topics.
pub struct EventPublisher {
    producer: FutureProducer<Context>,
    topics: TopicNames,
}

/// Where a record ended up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedAt {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// Why an event was not published.
#[derive(Debug, Error)]
pub enum PublishEventError {
    /// The worker would refuse it.
    #[error("the event is not valid")]
    Invalid(#[source] Malformed),
    /// The broker or the client refused it.
    #[error("cannot publish to {topic}")]
    Failed {
        /// The topic.
        topic: String,
        /// The client's error.
        #[source]
        source: KafkaError,
    },
}

impl EventPublisher {
    /// A publisher; connects in the background.
    ///
    /// # Errors
    /// [`SetupError`] where the configuration is wrong.
    pub fn new(config: &KafkaConfig, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        config.validate()?;
        let producer = crate::publisher::producer(config, Context::new("publish", config, clock))?;
        Ok(Self { producer, topics: config.topics.clone() })
    }

    /// Publishes an event after reading it as the worker will. `key` decides the partition: events with
    /// one key keep their order (the contract's name, for contract ends).
    ///
    /// # Errors
    /// [`PublishEventError`]
    pub async fn publish(
        &self,
        inbound: Inbound,
        event: &Outgoing,
        mode: ContentMode,
        key: Option<&str>,
    ) -> Result<PublishedAt, PublishEventError> {
        let (value, headers) = encode(event, mode);
        let key = key.map(str::as_bytes);
        decode(key, Some(&value), &headers, inbound.event_types())
            .map_err(PublishEventError::Invalid)?;
        self.publish_record(inbound, key, Some(&value), &headers).await
    }

    /// Publishes a record as it is, valid or not.
    ///
    /// # Errors
    /// [`PublishEventError::Failed`]
    pub async fn publish_record(
        &self,
        inbound: Inbound,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &Headers,
    ) -> Result<PublishedAt, PublishEventError> {
        let topic = self.topics.inbound(inbound).to_owned();
        match crate::publisher::send(&self.producer, &topic, key, value, headers).await {
            Ok((partition, offset)) => Ok(PublishedAt { topic, partition, offset }),
            Err(source) => Err(PublishEventError::Failed { topic, source }),
        }
    }
}
