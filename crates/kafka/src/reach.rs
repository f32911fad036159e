//! Whether Kafka can be reached and has the topics: what `severance check` asks.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use severance_engine::ports::Clock;

use crate::SetupError;
use crate::client::{observer, refused};
use crate::config::KafkaConfig;
use crate::context::Context;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// How many brokers the cluster has.
    pub brokers: usize,
    /// Our topics, inbound ones first.
    pub topics: Vec<TopicReached>,
}

/// One of our topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicReached {
    /// Its name.
    pub name: String,
    /// How many partitions it has, or why it cannot be used (it does not exist, or may not be seen).
    pub partitions: Result<usize, String>,
}

/// Asks the brokers for our topics; nothing is created. Blocks for at most `patience` per question: call
/// it on a blocking thread.
///
/// # Errors
/// [`SetupError::Unreachable`] where no broker answers; others where the configuration is wrong.
pub fn reach(
    config: &KafkaConfig,
    clock: Arc<dyn Clock>,
    patience: Duration,
) -> Result<Reached, SetupError> {
    config.validate()?;
    let client: BaseConsumer<Context> = observer(config)?
        .create_with_context(Context::new("check", config, clock))
        .map_err(|error| refused("check", error))?;
    // A token is asked for through the client's queue: it is served before the first question.
    let _ = client.poll(Duration::ZERO);
    let unreachable = |source| SetupError::Unreachable { brokers: config.brokers.clone(), source };
    let cluster = client.fetch_metadata(None, patience).map_err(unreachable)?;
    let mut topics = Vec::new();
    for (_, name) in config.topics.all() {
        let found = cluster.topics().iter().find(|topic| topic.name() == name);
        let partitions = match found {
            None => Err("there is no such topic, or it may not be seen".to_owned()),
            Some(topic) => match topic.error() {
                Some(error) => Err(rdkafka::types::RDKafkaErrorCode::from(error).to_string()),
                None => Ok(topic.partitions().len()),
            },
        };
        topics.push(TopicReached { name: name.to_owned(), partitions });
    }
    Ok(Reached { brokers: cluster.brokers().len(), topics })
}
