//! The poller's side: records come in, partitions come and go.

use std::sync::PoisonError;
use std::time::Duration;

use chrono::{DateTime, Utc};
use severance_engine::ports::Arrival;

use super::{Check, Counters, Fetched, Partition, State, Stream};

impl Stream {
    /// Puts a record into the buffer. Answers with a check where offsets before it are missing.
    pub(in super::super) fn push(&self, arrival: Arrival, bytes: usize) -> Option<Check> {
        let mut state = self.state();
        let (id, offset) = (arrival.coordinates.partition, arrival.coordinates.offset);
        let State { partitions, generations, .. } = &mut *state;
        let partition = partitions.get_mut(&id)?;
        // Beyond: what lies between was deleted, or is no record. Before: the numbers began again.
        let gap = partition.expected.filter(|expected| offset != *expected && partition.checked);
        let rewound = gap.is_some_and(|expected| offset < expected);
        if rewound {
            *generations += 1;
            partition.begin_again(*generations);
        }
        let generation = partition.generation;
        partition.expected = Some(offset + 1);
        partition.first.get_or_insert(offset);
        if gap.is_some() {
            // Not stored until it was looked at (and told).
            partition.checked = false;
        }
        state.buffer.push_back(Fetched { arrival, bytes, generation });
        state.bytes += bytes;
        state.counters.records += 1;
        self.tell_gate(&state);
        drop(state);
        self.filled.notify_one();
        gap.map(|expected| Check { partition: id, generation, expected: Some(expected), rewound })
    }

    pub(in super::super) fn polled(&self, at: DateTime<Utc>) {
        self.state().last_poll = Some(at);
    }

    /// New partitions; the checks that the watcher should make of them.
    pub(in super::super) fn assigned(&self, partitions: impl Iterator<Item = i32>) -> Vec<Check> {
        let mut state = self.state();
        state.joined = true;
        state.counters.rebalances += 1;
        let mut checks = Vec::new();
        for partition in partitions {
            state.generations += 1;
            let generation = state.generations;
            state.partitions.insert(partition, Partition::new(generation));
            checks.push(Check { partition, generation, expected: None, rewound: false });
        }
        self.tell_gate(&state);
        checks
    }

    /// Partitions that are not ours any more. What the ledger has not seen of them is forgotten: their
    /// next owner reads it.
    pub(in super::super) fn revoked(&self, partitions: &[i32]) {
        let mut state = self.state();
        state.counters.rebalances += 1;
        for partition in partitions {
            state.partitions.remove(partition);
        }
        state.buffer.retain(|fetched| !partitions.contains(&fetched.arrival.coordinates.partition));
        state.bytes = state.buffer.iter().map(|fetched| fetched.bytes).sum();
        self.tell_gate(&state);
        drop(state);
        self.drained.notify_all();
    }

    /// The end of a partition was reached.
    pub(in super::super) fn reached_end(&self, partition: i32) {
        let mut state = self.state();
        if let Some(partition) = state.partitions.get_mut(&partition) {
            partition.caught_up = true;
        }
        self.tell_gate(&state);
    }

    /// The last offsets that the ledger has and that are not stored yet, by partition. Contiguous by
    /// construction: batches are taken in order, one at a time, and none is skipped.
    pub(in super::super) fn to_store(&self) -> Vec<(i32, i64)> {
        let mut state = self.state();
        let mut offsets = Vec::new();
        for (id, partition) in &mut state.partitions {
            if partition.checked && partition.accepted > partition.stored {
                partition.stored = partition.accepted;
                offsets.extend(partition.accepted.map(|next| (*id, next - 1)));
            }
        }
        offsets
    }

    /// Waits until the buffer has room, at most so long. `true`: it has.
    pub(in super::super) fn wait_for_room(&self, patience: Duration) -> bool {
        let full = |state: &mut State| self.is_full(state) && !self.is_stopping();
        let waited = self.drained.wait_timeout_while(self.state(), patience, full);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !self.is_full(&state)
    }

    /// Whether fetching may go on after a pause: only when the buffer is nearly empty, since each pause
    /// throws away what was fetched ahead.
    pub(in super::super) fn may_resume(&self) -> bool {
        let state = self.state();
        state.buffer.len() <= self.batch_records / 2 && state.bytes <= self.buffer_bytes / 2
    }

    pub(in super::super) fn set_paused(&self, paused: bool) {
        self.state().paused = paused;
    }

    pub(in super::super) fn is_paused(&self) -> bool {
        self.state().paused
    }

    /// Room for a batch beside the one at the ledger.
    fn is_full(&self, state: &State) -> bool {
        state.buffer.len() >= 2 * self.batch_records || state.bytes >= self.buffer_bytes
    }

    /// Waits until the storer has ended.
    pub(in super::super) fn wait_for_storer(&self) {
        let waited = self.drained.wait_while(self.state(), |state| !state.storer_ended);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// The consumer is gone: nothing is assigned any more.
    pub(in super::super) fn closed(&self) {
        let mut state = self.state();
        state.joined = false;
        state.partitions.clear();
        state.buffer.clear();
        state.bytes = 0;
        self.tell_gate(&state);
    }

    pub(in super::super) fn count(&self, count: impl FnOnce(&mut Counters)) {
        count(&mut self.state().counters);
    }
}
