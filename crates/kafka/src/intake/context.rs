//! What the client calls back during a rebalance and after a commit. Nothing here waits.

use std::error::Error;
use std::sync::mpsc::Sender;

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionListElem;

use super::stream::Shared;
use super::watcher::Signal;
use crate::context::Context;

/// The context of an intake consumer.
pub(super) struct IntakeContext {
    pub(super) client: Context,
    pub(super) stream: Shared,
    pub(super) signals: Sender<Signal>,
}

/// An intake consumer.
pub(super) type IntakeConsumer = BaseConsumer<IntakeContext>;

impl ClientContext for IntakeContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = Context::ENABLE_REFRESH_OAUTH_TOKEN;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.client.log(level, facility, line);
    }

    fn stats(&self, statistics: Statistics) {
        self.client.stats(statistics);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.client.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.client.error(error, reason);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.client.generate_oauth_token(config)
    }
}

impl ConsumerContext for IntakeContext {
    /// What the ledger has is stored and on its way to the broker before the partitions go. The commit
    /// does not wait; the client lets the revoke wait for it instead.
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(list) = rebalance {
            let partitions = partitions(list);
            tracing::info!(topic = self.stream.topic, ?partitions, "partitions revoked");
            store_offsets(consumer, &self.stream);
            match consumer.commit_consumer_state(CommitMode::Async) {
                Ok(()) => {}
                Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::NoOffset) => {}
                // Not fatal: the next owner reads from the last commit on, and the ledger drops what
                // it has.
                Err(error) => commit_failed(&self.stream, &error),
            }
            self.stream.revoked(&partitions);
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                self.client.works();
                let partitions = partitions(list);
                tracing::info!(topic = self.stream.topic, ?partitions, "partitions assigned");
                for check in self.stream.assigned(partitions.into_iter()) {
                    // The watcher ends only after the consumer.
                    let _ = self.signals.send(Signal::Check(check));
                }
            }
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => {
                tracing::warn!(topic = self.stream.topic, %error, "a rebalance failed");
            }
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        match result {
            Ok(()) => {}
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::NoOffset) => {}
            Err(error) => commit_failed(&self.stream, &error),
        }
    }
}

/// Stores the offsets of what the ledger has. Called on the polling thread only, so that no rebalance
/// can come between.
pub(super) fn store_offsets(consumer: &IntakeConsumer, stream: &Shared) {
    for (partition, offset) in stream.to_store() {
        if let Err(error) = consumer.store_offset(&stream.topic, partition, offset) {
            // It means "not yours any more": the next owner reads it again.
            tracing::debug!(topic = stream.topic, partition, offset, %error, "offset not stored");
        }
    }
}

/// Told once, here.
pub(super) fn commit_failed(stream: &Shared, error: &KafkaError) {
    stream.count(|counters| counters.commit_failures += 1);
    tracing::warn!(topic = stream.topic, %error, "offsets were not committed; records may come again");
}

fn partitions(list: &TopicPartitionList) -> Vec<i32> {
    list.elements().iter().map(TopicPartitionListElem::partition).collect()
}
