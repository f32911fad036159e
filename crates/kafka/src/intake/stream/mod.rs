//! What the poller, the storer and the watcher of one topic share.

mod polling;
mod storing;
mod watching;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use severance_engine::ports::Arrival;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::gate::Gate;
use super::health::{Counters, PartitionHealth, TopicHealth};
use crate::config::{Inbound, KafkaConfig};

/// One inbound topic's records on their way to the ledger.
pub(super) struct Stream {
    pub(super) inbound: Inbound,
    pub(super) topic: String,
    group: String,
    gate: Gate,
    /// The most records of a batch.
    batch_records: usize,
    /// The most bytes of the buffer, and of a batch.
    buffer_bytes: usize,
    /// How long a batch yields to more urgent topics.
    pub(super) patience: Duration,
    /// How often lag is measured.
    pub(super) health_every: Duration,
    state: Mutex<State>,
    /// Tells the storer that records wait, or that it should stop.
    filled: Notify,
    stop: CancellationToken,
    /// Tells the poller that the buffer has room, that a batch was accepted, or that the storer ended.
    drained: Condvar,
}

#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "four facts that do not depend on each other")]
struct State {
    buffer: VecDeque<Fetched>,
    bytes: usize,
    at_ledger: usize,
    partitions: BTreeMap<i32, Partition>,
    generations: u64,
    joined: bool,
    paused: bool,
    ledger_failing: bool,
    storer_ended: bool,
    last_poll: Option<DateTime<Utc>>,
    counters: Counters,
}

/// A record in the buffer.
pub(super) struct Fetched {
    pub(super) arrival: Arrival,
    pub(super) bytes: usize,
    generation: u64,
}

/// A partition that is ours, in one assignment of it.
#[derive(Debug)]
struct Partition {
    /// Which assignment: what belongs to an earlier one is not stored.
    generation: u64,
    /// The next offset that should arrive.
    expected: Option<i64>,
    /// The first offset that arrived.
    first: Option<i64>,
    /// The next offset that the ledger does not have.
    accepted: Option<i64>,
    /// What was stored of it.
    stored: Option<i64>,
    /// Whether offsets may be stored: not before the watcher has compared with what the broker holds.
    checked: bool,
    /// Whether its end has been reached since the assignment.
    caught_up: bool,
    lag: Option<i64>,
}

/// A partition whose offsets the watcher should compare with what the broker holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) partition: i32,
    pub(super) generation: u64,
    /// The offset that should have arrived; `None`: the group's committed one.
    pub(super) expected: Option<i64>,
    /// Something arrived whose offset is before the one that should have: whatever the broker holds
    /// now, it is not what it held.
    pub(super) rewound: bool,
}

/// What the watcher needs of a partition to measure its lag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) partition: i32,
    pub(super) generation: u64,
    /// The next offset that should arrive.
    pub(super) expected: Option<i64>,
}

/// The assignment does not hold any more.
pub(super) struct Gone;

impl Stream {
    pub(super) fn new(inbound: Inbound, config: &KafkaConfig, gate: Gate) -> Self {
        Self {
            inbound,
            topic: config.topics.inbound(inbound).to_owned(),
            group: config.group_of(inbound),
            gate,
            batch_records: config.intake.batch_records,
            buffer_bytes: config.intake.buffer_bytes,
            patience: Duration::from_secs(config.intake.yield_seconds.into()),
            health_every: Duration::from_secs(config.intake.health_seconds.max(1).into()),
            state: Mutex::default(),
            filled: Notify::new(),
            stop: CancellationToken::new(),
            drained: Condvar::new(),
        }
    }

    /// A panic while it is locked leaves plain data; it is used on.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stop(&self) {
        // Under the lock, so that nobody who is about to wait misses it.
        let state = self.state();
        self.stop.cancel();
        drop(state);
        self.drained.notify_all();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    pub(super) fn health(&self) -> TopicHealth {
        let state = self.state();
        let partition = |(id, p): (&i32, &Partition)| PartitionHealth {
            partition: *id,
            next: p.accepted.or(p.stored),
            lag: p.lag,
        };
        TopicHealth {
            carries: self.inbound.as_str(),
            topic: self.topic.clone(),
            group: self.group.clone(),
            joined: state.joined,
            paused: state.paused,
            ledger_failing: state.ledger_failing,
            storer_ended: state.storer_ended,
            buffered: state.buffer.len() + state.at_ledger,
            last_poll: state.last_poll,
            partitions: state.partitions.iter().map(partition).collect(),
            counters: state.counters,
        }
    }

    fn tell_gate(&self, state: &State) {
        let waiting = !state.buffer.is_empty() || state.at_ledger > 0;
        self.gate.set_busy(self.inbound, waiting && !state.ledger_failing);
        if state.joined {
            let behind = state.partitions.values().any(|p| !p.caught_up);
            self.gate.set_behind(self.inbound, behind);
        }
    }
}

impl Partition {
    fn new(generation: u64) -> Self {
        Self {
            generation,
            expected: None,
            first: None,
            accepted: None,
            stored: None,
            checked: false,
            caught_up: false,
            lag: None,
        }
    }

    /// The topic was made anew, or a broker lost its log: the numbers begin again, and what the ledger
    /// has of the old ones says nothing of the new.
    fn begin_again(&mut self, generation: u64) {
        *self = Self { checked: true, caught_up: self.caught_up, ..Self::new(generation) };
    }
}

/// Shared by the three.
pub(super) type Shared = Arc<Stream>;

#[cfg(test)]
mod tests {
    use severance_engine::ports::{Acceptance, Coordinates};
    use severance_lifecycle::event::Malformed;

    use super::*;

    fn arrival(offset: i64) -> Arrival {
        let at = DateTime::UNIX_EPOCH;
        Arrival {
            coordinates: Coordinates { topic: "t".into(), partition: 0, offset, timestamp: at },
            key: None,
            value: None,
            headers: Vec::new(),
            parsed: Err(Malformed::new("data", "a test's")),
            received_at: at,
        }
    }

    #[tokio::test]
    async fn offsets_that_begin_again_are_checked_and_what_was_stored_before_does_not_count() {
        let stream = Stream::new(Inbound::ALL[0], &KafkaConfig::default(), Gate::new());
        let [check] = stream.assigned([0].into_iter())[..] else { panic!("one partition") };
        stream.checked(&check, Some(7));
        assert_eq!(stream.push(arrival(7), 1), None);
        let old = stream.take().await.unwrap_or_default();
        let check = stream.push(arrival(0), 1);
        assert!(check.is_some_and(|check| check.rewound && check.expected == Some(8)), "{check:?}");
        stream.accepted(&old, &[Acceptance::DeadLettered]);
        assert_eq!(stream.to_store(), [], "the old topic's offset is none of the new one's");
        let new = stream.take().await.unwrap_or_default();
        stream.accepted(&new, &[Acceptance::DeadLettered]);
        assert_eq!(stream.to_store(), [], "not before it was told");
        if let Some(check) = check {
            stream.checked(&check, None);
        }
        assert_eq!(stream.to_store(), [(0, 0)]);
    }

    #[test]
    fn an_intake_whose_storer_ended_is_not_ready() {
        let stream = Stream::new(Inbound::ALL[0], &KafkaConfig::default(), Gate::new());
        let now = DateTime::UNIX_EPOCH;
        stream.polled(now);
        stream.assigned(std::iter::empty());
        let ready = || {
            let health = super::super::IntakeHealth { topics: vec![stream.health()], at: now };
            health.ready(chrono::TimeDelta::seconds(1))
        };
        assert!(ready());
        stream.storer_ended();
        assert!(!ready());
    }
}
