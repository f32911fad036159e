//! Work in hand: a bounded set of running futures, a share of which is for compromise work only.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use severance_lifecycle::task::Lane;
use tokio::task::{Id, JoinError, JoinSet};

use crate::admission::unreserved;
use crate::urgency::Urgency;

/// One claimed case or task.
pub(super) struct Work {
    pub(super) id: String,
    pub(super) lane: Lane,
    pub(super) token: i64,
}

/// Drives work to its end; answers when something of it is due next.
type Run = BoxFuture<'static, Option<DateTime<Utc>>>;

/// Work that runs.
pub(super) struct InHand {
    most: usize,
    most_lower: usize,
    running: JoinSet<Option<DateTime<Utc>>>,
    /// Whose run is whose, so that one that panicked is known too.
    ids: HashMap<Id, String>,
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
            ids: HashMap::new(),
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

    /// Whether work of lower lanes runs.
    pub(super) fn has_lower(&self) -> bool {
        self.lower > 0
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
        let run = self.running.spawn(future);
        self.ids.insert(run.id(), work.id.clone());
        self.works.insert(work.id.clone(), work);
    }

    /// Waits until some work ends; for ever where none runs. Answers when something is due next.
    pub(super) async fn finished(&mut self) -> Option<DateTime<Utc>> {
        match self.running.join_next_with_id().await {
            Some(joined) => self.joined(joined),
            None => std::future::pending().await,
        }
    }

    /// Collects all work that has ended already. Answers the earliest time at which something of it is
    /// due next.
    pub(super) fn collect(&mut self) -> Option<DateTime<Utc>> {
        let mut earliest = None;
        while let Some(joined) = self.running.try_join_next_with_id() {
            earliest = self.joined(joined).into_iter().chain(earliest).min();
        }
        earliest
    }

    fn joined(
        &mut self,
        joined: Result<(Id, Option<DateTime<Utc>>), JoinError>,
    ) -> Option<DateTime<Utc>> {
        let run = joined.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let work = self.ids.remove(&run);
        if let Some(work) = &work {
            self.ended(work);
        }
        match joined {
            Ok((_, next_at)) => next_at,
            Err(error) => {
                // A bug. Its lease runs out, and then it is looked at again.
                tracing::error!(%error, work = work.as_deref(), "a worker panicked");
                None
            }
        }
    }

    /// Waits until nothing runs.
    pub(super) async fn all_finished(&mut self) {
        while !self.running.is_empty() {
            self.finished().await;
        }
    }

    /// Whether nothing runs.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Stops what runs. Answers the tokens of leases that are to be given back.
    pub(super) async fn stop(&mut self) -> BTreeSet<i64> {
        self.running.shutdown().await;
        self.ids.clear();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn work(id: &str) -> Work {
        Work { id: id.to_owned(), lane: Lane::Rest, token: 1 }
    }

    #[tokio::test]
    async fn a_run_that_panics_gives_its_place_back_and_lets_the_next_claim_start() {
        let urgency = Urgency::new();
        let mut hand = InHand::new(4, 0.25);
        let room = hand.room(Lane::Rest);
        let next = Some(DateTime::<Utc>::UNIX_EPOCH);
        hand.start(&urgency, work("a"), async { panic!("planted") });
        hand.start(&urgency, work("a"), async move { next });
        assert_eq!(hand.finished().await, None);
        assert_eq!(hand.finished().await, next, "the claim that waited behind it runs");
        assert_eq!(hand.room(Lane::Rest), room);
        assert!(hand.is_idle());
    }
}
