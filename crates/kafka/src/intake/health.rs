//! How the intake is doing, for `/readyz` and for metrics.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

/// The whole intake.
#[derive(Clone, Debug, Serialize)]
pub struct IntakeHealth {
    /// Each inbound topic, urgent first.
    pub topics: Vec<TopicHealth>,
    /// When this was asked.
    pub at: DateTime<Utc>,
}

impl IntakeHealth {
    /// Whether every topic is polled (within `patience`) by a member of its group, and the ledger takes
    /// what comes. A member without a partition is ready too: others have them.
    pub fn ready(&self, patience: TimeDelta) -> bool {
        self.topics.iter().all(|topic| {
            let polled = topic.last_poll.is_some_and(|at| self.at - at <= patience);
            polled && topic.joined && !topic.ledger_failing && !topic.storer_ended
        })
    }
}

/// One inbound topic.
#[allow(clippy::struct_excessive_bools, reason = "independent facts, each told by its own name")]
#[derive(Clone, Debug, Serialize)]
pub struct TopicHealth {
    /// What it carries: `compromise-notice`, `contract-end`, `rotation`.
    pub carries: &'static str,
    /// Its name.
    pub topic: String,
    /// Our consumer group.
    pub group: String,
    /// Whether the group has given us an assignment, be it empty.
    pub joined: bool,
    /// Whether fetching is paused because the ledger is behind.
    pub paused: bool,
    /// Whether the ledger refused the last batch.
    pub ledger_failing: bool,
    /// Whether nothing hands records to the ledger any more. Final: it takes a new start.
    pub storer_ended: bool,
    /// Records that wait for the ledger.
    pub buffered: usize,
    /// When the consumer was last polled.
    pub last_poll: Option<DateTime<Utc>>,
    /// Our partitions.
    pub partitions: Vec<PartitionHealth>,
    /// What has happened since the start.
    pub counters: Counters,
}

/// One partition that is ours.
#[derive(Clone, Debug, Serialize)]
pub struct PartitionHealth {
    /// The partition.
    pub partition: i32,
    /// The next offset that the ledger does not have.
    pub next: Option<i64>,
    /// Records that the broker has and the ledger has not, when last measured.
    pub lag: Option<i64>,
}

/// Counts since the start, per topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Records read.
    pub records: u64,
    /// Batches that the ledger took.
    pub batches: u64,
    /// Events that opened a case.
    pub accepted: u64,
    /// Events that were known already.
    pub duplicates: u64,
    /// Events with a known key and other content.
    pub conflicts: u64,
    /// Records on their way to the dead-letter topic.
    pub dead_lettered: u64,
    /// Batches that the ledger refused; each was tried again.
    pub ledger_failures: u64,
    /// Commits of offsets that failed; the records come again.
    pub commit_failures: u64,
    /// Assignments that began with, or ran into, offsets that fell out of retention.
    pub offsets_lost: u64,
    /// Rebalances.
    pub rebalances: u64,
}
