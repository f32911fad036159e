//! The storer's side: batches go out, and come back accepted or not.

use severance_engine::ports::Acceptance;

use super::{Fetched, Stream};

impl Stream {
    /// Waits until there is a record. `false`: stop.
    pub(in super::super) async fn wait_for_records(&self) -> bool {
        loop {
            let filled = self.filled.notified();
            if !self.state().buffer.is_empty() {
                return !self.is_stopping();
            }
            if self.unless_stopped(filled).await.is_none() {
                return false;
            }
        }
    }

    /// Waits for records; takes a batch of them. `None`: stop.
    pub(in super::super) async fn take(&self) -> Option<Vec<Fetched>> {
        while self.wait_for_records().await {
            // A revoke may have emptied the buffer meanwhile.
            let batch = self.take_now();
            if !batch.is_empty() {
                return Some(batch);
            }
        }
        None
    }

    fn take_now(&self) -> Vec<Fetched> {
        let mut state = self.state();
        let mut batch: Vec<Fetched> = Vec::new();
        let mut bytes = 0;
        while batch.len() < self.batch_records {
            let fits =
                |next: &mut Fetched| batch.is_empty() || bytes + next.bytes <= self.buffer_bytes;
            let Some(next) = state.buffer.pop_front_if(fits) else { break };
            bytes += next.bytes;
            batch.push(next);
        }
        state.bytes -= bytes;
        state.at_ledger = batch.len();
        drop(state);
        self.drained.notify_all();
        batch
    }

    /// The ledger has the batch.
    pub(in super::super) fn accepted(&self, batch: &[Fetched], answers: &[Acceptance]) {
        let mut state = self.state();
        for fetched in batch {
            let at = &fetched.arrival.coordinates;
            if let Some(partition) = state.partitions.get_mut(&at.partition)
                && partition.generation == fetched.generation
            {
                partition.accepted = partition.accepted.max(Some(at.offset + 1));
            }
        }
        state.at_ledger = 0;
        state.ledger_failing = false;
        state.counters.batches += 1;
        for answer in answers {
            match answer {
                Acceptance::Accepted { .. } => state.counters.accepted += 1,
                Acceptance::Duplicate { .. } => state.counters.duplicates += 1,
                Acceptance::Conflict { .. } => state.counters.conflicts += 1,
                Acceptance::DeadLettered => state.counters.dead_lettered += 1,
            }
        }
        self.tell_gate(&state);
        drop(state);
        self.drained.notify_all();
    }

    /// The ledger refused the batch; until it is tried again, the others need not wait for it.
    pub(in super::super) fn refused(&self) {
        let mut state = self.state();
        state.ledger_failing = true;
        state.counters.ledger_failures += 1;
        self.tell_gate(&state);
    }

    /// The batch is tried again. `false`: stop instead.
    pub(in super::super) fn trying_again(&self) -> bool {
        self.gate.set_busy(self.inbound, true);
        !self.is_stopping()
    }

    /// Lets more urgent topics go first.
    pub(in super::super) async fn yield_to_urgent(&self) {
        self.unless_stopped(self.gate.yield_to_urgent(self.inbound, self.patience)).await;
    }

    pub(in super::super) fn storer_ended(&self) {
        self.state().storer_ended = true;
        self.drained.notify_all();
    }

    /// Waits for something, but not beyond a stop: then `None`.
    pub(in super::super) async fn unless_stopped<T>(
        &self,
        something: impl Future<Output = T>,
    ) -> Option<T> {
        self.stop.run_until_cancelled(something).await
    }
}
