//! Publishing to Kafka.

use async_trait::async_trait;
use thiserror::Error;

use super::message::Message;

/// Publishes messages.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Returns once every in-sync replica has the message.
    ///
    /// # Errors
    /// [`PublishError`]; the message may have been written all the same.
    async fn publish(&self, message: &Message) -> Result<(), PublishError>;
}

/// Why a message was not published.
#[derive(Debug, Error)]
pub enum PublishError {
    /// The broker does not take messages of that size: it is spilled and announced by its digest.
    #[error("a message of {bytes} bytes is too large for the broker")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Anything else: retried.
    #[error("cannot publish to {topic}")]
    Failed {
        /// The topic's name on the broker.
        topic: String,
        /// The client's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
