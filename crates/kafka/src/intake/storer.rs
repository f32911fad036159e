//! Hands batches to the ledger, one at a time and in order, until it takes them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt as _;
use severance_engine::ports::{Arrival, Clock, Inbox};
use tokio::task::JoinHandle;

use super::stream::{Fetched, Shared};

/// The first wait after the ledger refused a batch; each further one is twice as long.
const FIRST_WAIT: TimeDelta = TimeDelta::milliseconds(100);
/// The longest.
const LONGEST_WAIT: TimeDelta = TimeDelta::seconds(5);

/// Starts the storer of a topic.
pub(super) fn spawn(
    stream: Shared,
    inbox: Arc<dyn Inbox>,
    clock: Arc<dyn Clock>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        // However the task ends, the poller must not wait for it.
        let _ended = Ended(Arc::clone(&stream));
        while stream.wait_for_records().await {
            stream.yield_to_urgent().await;
            let Some(batch) = stream.take().await else { break };
            if !store(&stream, &*inbox, &*clock, &batch).await {
                break;
            }
        }
    })
}

struct Ended(Shared);

impl Drop for Ended {
    fn drop(&mut self) {
        if !self.0.is_stopping() {
            let topic = &self.0.topic;
            tracing::error!(
                topic,
                "records do not get to the ledger any more: start the worker anew"
            );
        }
        self.0.storer_ended();
    }
}

/// Stores a batch; `false`: stopped before the ledger took it.
async fn store(stream: &Shared, inbox: &dyn Inbox, clock: &dyn Clock, batch: &[Fetched]) -> bool {
    let mut wait = FIRST_WAIT;
    loop {
        // A ledger that panics has not taken the batch, as one that refuses it.
        let accepting = AssertUnwindSafe(inbox.accept(arrivals(batch, clock.now())));
        match accepting.catch_unwind().await {
            Ok(Ok(answers)) => {
                stream.accepted(batch, &answers);
                return true;
            }
            Err(_) => {
                stream.refused();
                tracing::error!(
                    topic = stream.topic,
                    records = batch.len(),
                    "the ledger panicked at a batch; it is tried again"
                );
            }
            Ok(Err(error)) => {
                stream.refused();
                tracing::error!(
                    topic = stream.topic,
                    records = batch.len(),
                    error = &error as &dyn std::error::Error,
                    "the ledger did not take a batch; it is tried again"
                );
            }
        }
        stream.unless_stopped(clock.sleep(wait)).await;
        wait = (wait * 2).min(LONGEST_WAIT);
        if !stream.trying_again() {
            return false;
        }
    }
}

fn arrivals(batch: &[Fetched], now: DateTime<Utc>) -> Vec<Arrival> {
    batch.iter().map(|fetched| Arrival { received_at: now, ..fetched.arrival.clone() }).collect()
}
