//! Work in hand: a bounded set of running futures, a share of which is for compromise work only.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use severance_lifecycle::task::Lane;
use tokio::task::JoinSet;

use crate::admission::unreserved;
use crate::urgency::Urgency;

/// One claimed case or task.
pub(super) struct Work {
    pub(super) id: String,
    pub(super) lane: Lane,
    pub(super) token: i64,
}

struct Finished {
    id: String,
    next_at: Option<DateTime<Utc>>,
}

/// Drives work to its end; answers when something of it is due next.
type Run = BoxFuture<'static, Option<DateTime<Utc>>>;

/// Work that runs.
pub(super) struct InHand {
    most: usize,
    most_lower: usize,
    running: JoinSet<Finished>,
    works: HashMap<String, Work>,
    lower: usize,
    /// Work that was claimed again while its last run had not come home: it starts when that has.
    next: HashMap<String, (Work, Run)>,
}

impl InHand {
    pub(super) fn new(most: usize, reserved: f64) -> Self {
        let most = most.max(2);
        Self {
            most,
            most_lower: unreserved(most, reserved),
            running: JoinSet::new(),
            works: HashMap::new(),
            lower: 0,
            next: HashMap::new(),
        }
    }

    /// How much more may be claimed of this lane and more urgent ones.
    pub(super) fn room(&self, least_urgent: Lane) -> usize {
        let free = self.most.saturating_sub(self.works.len());
        match least_urgent {
            Lane::Compromise => free,
            Lane::ContractEnd | Lane::Rest => free.min(self.most_lower.saturating_sub(self.lower)),
        }
    }

    /// Whether there is room for a claim that is worth its transaction.
    pub(super) fn is_roomy(&self) -> bool {
        self.room(Lane::Rest) >= (self.most_lower / 8).max(1)
            || self.room(Lane::Compromise) > self.most - self.most_lower
    }

    /// Starts work. A task that is still in hand is not started twice, since two would act on one
    /// identity: it waits for its last run, which has stored its release already (a task that is due
    /// again at once is claimed before the scheduler has heard of its end), or finds at its next step
    /// that its lease is lost (the clock jumped).
    pub(super) fn start(
        &mut self,
        urgency: &Urgency,
        work: Work,
        future: impl Future<Output = Option<DateTime<Utc>>> + Send + 'static,
    ) {
        let future = if work.lane == Lane::Compromise {
            urgency.enter().scope(future).boxed()
        } else {
            future.boxed()
        };
        if self.works.contains_key(&work.id) {
            self.next.insert(work.id.clone(), (work, future));
        } else {
            self.spawn(work, future);
        }
    }

    fn spawn(&mut self, work: Work, future: BoxFuture<'static, Option<DateTime<Utc>>>) {
        if work.lane != Lane::Compromise {
            self.lower += 1;
        }
        let id = work.id.clone();
        self.running.spawn(async move { Finished { id, next_at: future.await } });
        self.works.insert(work.id.clone(), work);
    }

    /// Waits until some work ends; for ever where none runs. Answers when something is due next.
    pub(super) async fn finished(&mut self) -> Option<DateTime<Utc>> {
        match self.running.join_next().await {
            Some(Ok(finished)) => {
                self.ended(&finished.id);
                finished.next_at
            }
            Some(Err(error)) => {
                // A bug. Its lease runs out and it is looked at again; its place here stays taken.
                tracing::error!(%error, "a worker panicked");
                None
            }
            None => std::future::pending().await,
        }
    }

    /// Waits until nothing runs.
    pub(super) async fn all_finished(&mut self) {
        while !self.running.is_empty() {
            self.finished().await;
        }
    }

    /// Stops what runs. Answers the tokens of leases that are to be given back.
    pub(super) async fn stop(&mut self) -> BTreeSet<i64> {
        self.running.shutdown().await;
        let next = std::mem::take(&mut self.next).into_values().map(|(work, _)| work);
        self.works.drain().map(|(_, work)| work).chain(next).map(|work| work.token).collect()
    }

    fn ended(&mut self, id: &str) {
        let work = self.works.remove(id);
        if work.is_some_and(|work| work.lane != Lane::Compromise) {
            self.lower -= 1;
        }
        if let Some((work, future)) = self.next.remove(id) {
            self.spawn(work, future);
        }
    }
}
