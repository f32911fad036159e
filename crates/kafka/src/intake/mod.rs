//! Intake: one consumer and one group per inbound topic, each on a thread of its own.
//!
//! ```text
//!  poller (thread)            storer (task)                watcher (thread)
//!  poll, decode, buffer ───▶  take a batch,                committed offsets against what the
//!  pause and resume           Inbox::accept, retry         broker still holds, lag, alarms
//!  store offsets        ◀───  mark accepted
//! ```
//!
//! The three share a [`Stream`](stream::Stream). Nothing waits inside a callback of the client, and no
//! offset is stored before the ledger has the record.

mod context;
mod gate;
mod headers;
mod health;
mod poller;
mod storer;
mod stream;
mod watcher;

use std::sync::Arc;
use std::time::Duration;

use severance_engine::ports::{Clock, Inbox};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use health::{Counters, IntakeHealth, PartitionHealth, TopicHealth};

use crate::SetupError;
use crate::config::{Inbound, KafkaConfig};
use gate::Gate;
use stream::Stream;

/// The running intake.
///
/// Dropping it stops the intake without waiting; [`Intake::stop`] drains it.
pub struct Intake {
    lanes: Vec<Lane>,
    clock: Arc<dyn Clock>,
}

/// What runs for one topic.
struct Lane {
    stream: Arc<Stream>,
    storer: Option<JoinHandle<()>>,
    /// Resolves when the consumer is closed and dropped.
    closed: Option<oneshot::Receiver<()>>,
}

/// Starts the intake of every inbound topic. Call it inside a Tokio runtime.
///
/// # Errors
/// [`SetupError`] where the configuration is wrong or a thread cannot be started. Brokers that are away
/// are no error: they are waited for.
pub fn start(
    config: &KafkaConfig,
    inbox: &Arc<dyn Inbox>,
    clock: &Arc<dyn Clock>,
) -> Result<Intake, SetupError> {
    config.validate()?;
    let gate = Gate::new();
    let mut intake = Intake { lanes: Vec::new(), clock: Arc::clone(clock) };
    for inbound in Inbound::ALL {
        let stream = Arc::new(Stream::new(inbound, config, gate.clone()));
        let closed = poller::spawn(config, &stream, inbox, clock)?;
        let storer = storer::spawn(Arc::clone(&stream), Arc::clone(inbox), Arc::clone(clock));
        intake.lanes.push(Lane { stream, storer: Some(storer), closed: Some(closed) });
    }
    Ok(intake)
}

impl Intake {
    /// How the intake is doing.
    pub fn health(&self) -> IntakeHealth {
        let topics = self.lanes.iter().map(|lane| lane.stream.health()).collect();
        IntakeHealth { topics, at: self.clock.now() }
    }

    /// Stops: no more records are taken; the batch that is at the ledger is finished, its offsets are
    /// stored and committed, and the groups are left. Returns `true` if all of it was done within
    /// `patience`; else what is left is given up: the records come again, and the ledger drops them.
    pub async fn stop(mut self, patience: Duration) -> bool {
        let mut lanes = std::mem::take(&mut self.lanes);
        for lane in &lanes {
            lane.stream.stop();
        }
        // A ledger that does not answer must not cost us the commit of what it did take.
        let stored =
            tokio::time::timeout(patience * 3 / 4, finish_storing(&mut lanes)).await.is_ok();
        for storer in lanes.iter_mut().filter_map(|lane| lane.storer.take()) {
            storer.abort();
        }
        let closed = tokio::time::timeout(patience / 4, finish_closing(&mut lanes)).await.is_ok();
        if !(stored && closed) {
            tracing::warn!(?patience, "the intake did not drain in time; some records come again");
        }
        stored && closed
    }
}

async fn finish_storing(lanes: &mut [Lane]) {
    for lane in lanes {
        if let Some(storer) = &mut lane.storer {
            let _ = storer.await;
        }
        lane.storer = None;
    }
}

async fn finish_closing(lanes: &mut [Lane]) {
    for lane in lanes {
        if let Some(closed) = &mut lane.closed {
            let _ = closed.await;
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        for lane in &self.lanes {
            lane.stream.stop();
        }
    }
}
