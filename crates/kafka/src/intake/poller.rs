//! The thread that polls a consumer: the only one that does, so that callbacks and offsets are never
//! out of step.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use severance_engine::ports::{Arrival, Clock, Coordinates, Inbox};
use tokio::sync::oneshot;

use super::context::{IntakeConsumer, IntakeContext, commit_failed, store_offsets};
use super::headers;
use super::stream::{Check, Shared};
use super::watcher::{Signal, Watcher};
use crate::SetupError;
use crate::cloud_event::{decode, record_bytes};
use crate::config::KafkaConfig;
use crate::context::Context;

/// How long one poll waits for a record: short, so that offsets are stored and a stop is seen soon.
const POLL: Duration = Duration::from_millis(100);
/// How long the buffer may be full before fetching is paused. Until then polling simply waits, which
/// keeps what was fetched ahead.
const FULL_FOR: Duration = Duration::from_secs(1);
/// How long a poll waits while paused.
const PAUSED_POLL: Duration = Duration::from_millis(10);

struct Poller {
    config: KafkaConfig,
    stream: Shared,
    inbox: Arc<dyn Inbox>,
    clock: Arc<dyn Clock>,
    runtime: tokio::runtime::Handle,
}

/// Starts the poller of a topic. The receiver resolves when its consumer is closed and dropped.
pub(super) fn spawn(
    config: &KafkaConfig,
    stream: &Shared,
    inbox: &Arc<dyn Inbox>,
    clock: &Arc<dyn Clock>,
) -> Result<oneshot::Receiver<()>, SetupError> {
    let poller = Poller {
        config: config.clone(),
        stream: Arc::clone(stream),
        inbox: Arc::clone(inbox),
        clock: Arc::clone(clock),
        runtime: tokio::runtime::Handle::current(),
    };
    let (closed, on_closed) = oneshot::channel();
    let purpose = format!("the intake of {}", stream.topic);
    // The first consumer is made here, so that a configuration that it cannot work with is told now.
    let first = poller.consumer()?;
    std::thread::Builder::new()
        .name(format!("poll-{}", stream.inbound.as_str()))
        .spawn(move || {
            poller.run(first);
            let _ = closed.send(());
        })
        .map_err(|source| SetupError::Thread { purpose, source })?;
    Ok(on_closed)
}

type Connected = (IntakeConsumer, mpsc::Receiver<Signal>, mpsc::Sender<Signal>);

/// Why a consumer is given up.
enum End {
    Stopped,
    Fatal,
}

impl Poller {
    fn consumer(&self) -> Result<Connected, SetupError> {
        let topic = &self.stream.topic;
        let (sender, checks) = mpsc::channel();
        let context = IntakeContext {
            client: Context::new(topic, &self.config, Arc::clone(&self.clock)),
            stream: Arc::clone(&self.stream),
            signals: sender.clone(),
        };
        let purpose = format!("the intake of {topic}");
        let refused = |error| crate::client::refused(&purpose, error);
        let consumer: IntakeConsumer = crate::client::consumer(&self.config, self.stream.inbound)?
            .create_with_context(context)
            .map_err(refused)?;
        consumer.subscribe(&[topic]).map_err(refused)?;
        Ok((consumer, checks, sender))
    }

    /// Polls until stopped. A consumer that failed for good is replaced by a new one.
    fn run(&self, first: Connected) {
        let mut next = Some(first);
        while let Some((consumer, checks, sender)) = next.take() {
            let consumer = Arc::new(consumer);
            let watcher = self.watch(&consumer, checks);
            let end = self.serve(&consumer, &sender);
            if matches!(end, End::Stopped) {
                self.stream.wait_for_storer();
                store_offsets(&consumer, &self.stream);
                self.commit(&consumer);
            }
            let _ = sender.send(Signal::End);
            if watcher.is_some_and(|watcher| watcher.join().is_err()) {
                tracing::error!(topic = self.stream.topic, "the watcher panicked");
            }
            // Leaves the group; may wait for the broker, which is why this thread is waited for with a
            // deadline.
            drop(consumer);
            self.stream.closed();
            if matches!(end, End::Fatal) {
                next = self.again();
            }
        }
    }

    /// Where the system has no thread left, offsets are neither checked nor stored: told, and visible as
    /// lag.
    fn watch(
        &self,
        consumer: &Arc<IntakeConsumer>,
        signals: mpsc::Receiver<Signal>,
    ) -> Option<JoinHandle<()>> {
        let watcher = Watcher {
            stream: Arc::clone(&self.stream),
            consumer: Arc::clone(consumer),
            inbox: Arc::clone(&self.inbox),
            clock: Arc::clone(&self.clock),
            runtime: self.runtime.clone(),
        };
        let name = format!("watch-{}", self.stream.inbound.as_str());
        let spawned = std::thread::Builder::new().name(name).spawn(move || watcher.run(&signals));
        spawned
            .inspect_err(|error| {
                tracing::error!(topic = self.stream.topic, %error, "cannot start the watcher");
            })
            .ok()
    }

    fn commit(&self, consumer: &IntakeConsumer) {
        match consumer.commit_consumer_state(CommitMode::Sync) {
            Ok(()) => {}
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::NoOffset) => {}
            Err(error) => commit_failed(&self.stream, &error),
        }
    }

    /// A new consumer after a fatal error, in a while.
    fn again(&self) -> Option<Connected> {
        loop {
            self.runtime.block_on(self.clock.sleep(chrono::TimeDelta::seconds(1)));
            if self.stream.is_stopping() {
                return None;
            }
            match self.consumer() {
                Ok(connected) => return Some(connected),
                Err(error) => tracing::error!(
                    topic = self.stream.topic,
                    error = &error as &dyn std::error::Error,
                    "cannot start the consumer again; trying on"
                ),
            }
        }
    }

    fn serve(&self, consumer: &IntakeConsumer, checks: &mpsc::Sender<Signal>) -> End {
        while !self.stream.is_stopping() {
            store_offsets(consumer, &self.stream);
            let patience = self.regulate(consumer);
            self.stream.polled(self.clock.now());
            match consumer.poll(patience) {
                Some(Ok(message)) => {
                    consumer.context().client.works();
                    if let Some(check) = self.take_in(&message) {
                        let _ = checks.send(Signal::Check(check));
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    consumer.context().client.works();
                    tracing::debug!(topic = self.stream.topic, partition, "caught up");
                    self.stream.reached_end(partition);
                }
                Some(Err(error)) if self.is_fatal(&error) => return End::Fatal,
                // Told by the client's error callback.
                None | Some(Err(_)) => {}
            }
        }
        End::Stopped
    }

    /// Pauses while the ledger is behind, resumes when it has caught up, and answers how long to poll.
    /// Polling goes on while paused: that is what keeps us in the group.
    fn regulate(&self, consumer: &IntakeConsumer) -> Duration {
        if self.stream.is_paused() {
            if self.stream.may_resume() {
                self.switch(consumer, false);
                return POLL;
            }
            // Partitions that came during the pause are not paused yet; pausing twice does no harm.
            self.switch(consumer, true);
            return PAUSED_POLL;
        }
        if !self.stream.wait_for_room(FULL_FOR) && !self.stream.is_stopping() {
            tracing::warn!(topic = self.stream.topic, "the ledger is behind: fetching is paused");
            self.switch(consumer, true);
            return PAUSED_POLL;
        }
        POLL
    }

    fn switch(&self, consumer: &IntakeConsumer, pause: bool) {
        let switched = consumer.assignment().and_then(|partitions| {
            if partitions.count() == 0 {
                Ok(())
            } else if pause {
                consumer.pause(&partitions)
            } else {
                consumer.resume(&partitions)
            }
        });
        match switched {
            Ok(()) => self.stream.set_paused(pause),
            Err(error) => {
                tracing::warn!(topic = self.stream.topic, pause, %error, "cannot pause or resume");
            }
        }
    }

    fn is_fatal(&self, error: &KafkaError) -> bool {
        let topic = &self.stream.topic;
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            tracing::error!(topic, %error, "the consumer failed for good; a new one is started");
            return true;
        }
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PollExceeded) {
            // We were too slow to poll, and were put out of the group; polling brings us back.
            tracing::error!(topic, "polling stood still for too long; joining the group again");
        }
        false
    }

    fn take_in(&self, message: &BorrowedMessage<'_>) -> Option<Check> {
        let now = self.clock.now();
        let (key, value) = (message.key(), message.payload());
        let (headers, unreadable) = headers::read(message.headers());
        let bytes = record_bytes(key, value, &headers);
        let parsed = match unreadable {
            None => decode(key, value, &headers, self.stream.inbound.event_types()),
            Some(malformed) => Err(malformed),
        };
        let coordinates = Coordinates {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp: timestamp(message).unwrap_or(now),
        };
        let arrival = Arrival {
            coordinates,
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            headers,
            parsed,
            received_at: now,
        };
        self.stream.push(arrival, bytes)
    }
}

fn timestamp(message: &BorrowedMessage<'_>) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(message.timestamp().to_millis()?)
}

/// Keeps the compiler honest: consumers are shared with the watcher's thread.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<BaseConsumer<IntakeContext>>();
};
