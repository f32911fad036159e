//! The thread that compares offsets with what the broker still holds, and measures lag. Its questions
//! to the broker wait, which neither a callback nor the poller may.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::Offset;
use severance_engine::ports::{Clock, Inbox};
use severance_lifecycle::finding::Finding;
use tokio::runtime::Handle;

use super::context::IntakeConsumer;
use super::stream::{Check, Position, Shared};

/// How long a question to the broker may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long until a check that failed is made again.
const AGAIN: Duration = Duration::from_millis(500);

/// What the watcher is told.
pub(super) enum Signal {
    /// A check to make.
    Check(Check),
    /// The consumer is about to be dropped.
    End,
}

/// What the watcher works with.
pub(super) struct Watcher {
    pub(super) stream: Shared,
    pub(super) consumer: Arc<IntakeConsumer>,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) runtime: Handle,
}

/// What the broker holds of a partition, and where the group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    committed: Option<i64>,
    low: i64,
    high: i64,
}

impl Watcher {
    /// Works until it is told to end.
    pub(super) fn run(self, signals: &Receiver<Signal>) {
        let mut waiting: Vec<Check> = Vec::new();
        let mut suspects = BTreeMap::new();
        loop {
            let patience = if waiting.is_empty() { self.stream.health_every } else { AGAIN };
            let first = match signals.recv_timeout(patience) {
                Ok(signal) => Some(signal),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            for signal in first.into_iter().chain(signals.try_iter()) {
                match signal {
                    Signal::Check(check) => waiting.push(check),
                    Signal::End => return,
                }
            }
            waiting.retain(|check| !self.check(check));
            if waiting.is_empty() {
                self.measure(&mut suspects);
            }
        }
    }

    /// Makes a check; `true`: it is made, or of no use any more. Until then the partition's offsets are
    /// not stored, so that a crash makes it again.
    fn check(&self, check: &Check) -> bool {
        let Ok(first) = self.stream.first_of(check) else { return true };
        let held = match self.held(check) {
            Ok(held) => held,
            Err(error) => {
                let (topic, partition) = (&self.stream.topic, check.partition);
                tracing::warn!(topic, partition, %error, "cannot compare offsets yet");
                return false;
            }
        };
        let expected = check.expected.or(held.committed);
        let lost = check.rewound || is_lost(expected, first, held);
        if lost && !self.alarm(check.partition, expected, held) {
            return false;
        }
        self.stream.checked(check, held.committed);
        true
    }

    fn held(&self, check: &Check) -> KafkaResult<Held> {
        let committed = match check.expected {
            Some(_) => None,
            None => self.committed(check.partition)?,
        };
        // After the commit is known: what the broker holds may only shrink meanwhile.
        let (low, high) =
            self.consumer.fetch_watermarks(&self.stream.topic, check.partition, PATIENCE)?;
        Ok(Held { committed, low, high })
    }

    fn committed(&self, partition: i32) -> KafkaResult<Option<i64>> {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.stream.topic, partition);
        let list = self.consumer.committed_offsets(list, PATIENCE)?;
        let offset = list.find_partition(&self.stream.topic, partition).map(|e| e.offset());
        Ok(match offset {
            Some(Offset::Offset(offset)) => Some(offset),
            _ => None,
        })
    }

    /// Tells of lost offsets; `true`: the ledger has the alarm.
    fn alarm(&self, partition: i32, expected: Option<i64>, held: Held) -> bool {
        let topic = self.stream.topic.clone();
        tracing::error!(
            topic,
            partition,
            expected,
            low = held.low,
            high = held.high,
            "the broker does not hold what should come next (retention, a topic that was made anew, a \
             lost log): events may have been missed"
        );
        let finding = Finding::OffsetsLost { topic, partition };
        match self.runtime.block_on(self.inbox.alarm(&finding, self.clock.now())) {
            Ok(()) => {
                self.stream.count(|counters| counters.offsets_lost += 1);
                true
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, partition, "the ledger did not take the alarm; trying on");
                false
            }
        }
    }

    /// Measures lag. Watermarks, not the client's statistics: those freeze while paused. Where the
    /// broker has deleted what should arrive next, or its log ends before it, and nothing has arrived
    /// since the last measurement, it never will.
    fn measure(&self, suspects: &mut BTreeMap<i32, Position>) {
        for position in self.stream.positions() {
            let topic = &self.stream.topic;
            let Ok((low, high)) =
                self.consumer.fetch_watermarks(topic, position.partition, PATIENCE)
            else {
                continue;
            };
            self.stream.measured(&position, low, high);
            let beyond = position.expected.is_some_and(|expected| expected > high);
            if !beyond && position.expected.is_none_or(|expected| low <= expected) {
                suspects.remove(&position.partition);
                continue;
            }
            let again = suspects.insert(position.partition, position) == Some(position);
            let held = Held { committed: None, low, high };
            if again && self.alarm(position.partition, position.expected, held) {
                if beyond {
                    self.stream.begin_again(&position);
                } else {
                    self.stream.skip_to(&position, low);
                }
            }
        }
    }
}

/// Whether records between the offset that should come first and what the broker holds are gone.
fn is_lost(expected: Option<i64>, first: Option<i64>, held: Held) -> bool {
    let Some(expected) = expected else { return false };
    // It did arrive: it was deleted only after we had it.
    if first == Some(expected) {
        return false;
    }
    // Beyond the end: the topic was made anew, or a broker lost its log.
    expected < held.low || expected > held.high
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: Held = Held { committed: None, low: 10, high: 20 };

    #[test]
    fn only_an_offset_that_the_broker_does_not_hold_is_lost() {
        for inside in [10, 15, 20] {
            assert!(!is_lost(Some(inside), None, HELD), "{inside}");
        }
        for outside in [0, 9, 21] {
            assert!(is_lost(Some(outside), None, HELD), "{outside}");
        }
        assert!(!is_lost(None, None, HELD), "a group without a commit begins at the beginning");
    }

    #[test]
    fn what_arrived_before_it_was_deleted_is_not_lost() {
        assert!(!is_lost(Some(5), Some(5), HELD));
        assert!(is_lost(Some(5), Some(10), HELD));
    }
}
