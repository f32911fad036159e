//! The publisher of the outbox.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use severance_engine::ports::{Clock, Headers, Message, PublishError, Publisher};

use crate::SetupError;
use crate::cloud_event::record_bytes;
use crate::config::KafkaConfig;
use crate::context::Context;

/// What the producer is for, in log lines.
const PURPOSE: &str = "outbox";

/// Publishes outbound messages and waits until every in-sync replica has them.
pub struct KafkaPublisher {
    /// Replaced by a new one after a fatal error, which a producer does not recover from.
    producer: RwLock<FutureProducer<Context>>,
    /// Shared by every producer; it tells of troubles that come and go.
    context: Context,
    config: KafkaConfig,
}

impl KafkaPublisher {
    /// A publisher; connects in the background.
    ///
    /// # Errors
    /// [`SetupError`] where the configuration is wrong.
    pub fn new(config: &KafkaConfig, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        config.validate()?;
        let context = Context::new(PURPOSE, config, clock);
        let producer = RwLock::new(producer(config, context.clone())?);
        Ok(Self { producer, context, config: config.clone() })
    }

    /// Waits until what was handed over is on its way or refused, at most so long. Blocks: call it on a
    /// blocking thread.
    ///
    /// # Errors
    /// The client's error where the time was not enough; the outbox still has those messages.
    pub fn flush(&self, patience: Duration) -> Result<(), KafkaError> {
        self.current().flush(patience)
    }

    fn current(&self) -> FutureProducer<Context> {
        self.producer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts anew after a fatal error. (librdkafka: an idempotent producer that can no longer keep its
    /// promise refuses everything from then on.)
    fn replace_if_failed(&self, used: &FutureProducer<Context>) {
        let Some((error, why)) = used.client().fatal_error() else { return };
        let mut current = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if current.client().fatal_error().is_none() {
            return; // Somebody else was here first.
        }
        tracing::error!(%error, "the producer failed for good ({why}); a new one is started");
        match producer(&self.config, self.context.clone()) {
            Ok(new) => *current = new,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "cannot start a producer"
                );
            }
        }
    }
}

#[async_trait]
impl Publisher for KafkaPublisher {
    async fn publish(&self, message: &Message) -> Result<(), PublishError> {
        let topic = self.config.topics.outbound(message.topic);
        let producer = self.current();
        let (key, value) = (message.key.as_deref(), message.value.as_deref());
        let sent = send(&producer, topic, key, value, &message.headers).await;
        if sent.is_err() {
            self.replace_if_failed(&producer);
        }
        match sent {
            Ok(_) => {
                self.context.works();
                Ok(())
            }
            Err(error) if is_too_large(&error) => {
                Err(PublishError::TooLarge { bytes: record_bytes(key, value, &message.headers) })
            }
            Err(error) => {
                Err(PublishError::Failed { topic: topic.to_owned(), source: Box::new(error) })
            }
        }
    }
}

/// A producer.
pub(crate) fn producer(
    config: &KafkaConfig,
    context: Context,
) -> Result<FutureProducer<Context>, SetupError> {
    let purpose = context.purpose();
    crate::client::producer(config)?
        .create_with_context(context)
        .map_err(|error| crate::client::refused(&purpose, error))
}

/// Sends one record; the partition and the offset that it got.
pub(crate) async fn send(
    producer: &FutureProducer<Context>,
    topic: &str,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &Headers,
) -> Result<(i32, i64), KafkaError> {
    let mut record = FutureRecord::<[u8], [u8]>::to(topic);
    record.key = key;
    record.payload = value;
    if !headers.is_empty() {
        let mut owned = OwnedHeaders::new_with_capacity(headers.len());
        for (name, value) in headers {
            owned = owned.insert(Header { key: name, value: value.as_deref() });
        }
        record = record.headers(owned);
    }
    // The wait for room in the client's queue; the delivery itself has `delivery.timeout.ms`.
    let delivery = producer.send(record, Duration::from_secs(5)).await;
    delivery.map(|at| (at.partition, at.offset)).map_err(|(error, _)| error)
}

/// Refused by the client before it is sent (`message.max.bytes`) or by the broker or topic.
fn is_too_large(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize)
    )
}
