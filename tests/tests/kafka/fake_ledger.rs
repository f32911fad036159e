//! A ledger in memory: what it took survives an intake, as a database would.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use severance_engine::ports::{Acceptance, Arrival, Inbox, LedgerError};
use severance_lifecycle::event::{Event, Trigger};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::CaseId;
use tokio::sync::Semaphore;

#[derive(Default)]
pub(crate) struct FakeLedger {
    taken: Mutex<Taken>,
    failing: AtomicBool,
    failures: AtomicUsize,
    /// Batches with such an event are refused.
    refused: Mutex<Option<Trigger>>,
    /// Where set: each batch is stored, and then its answer waits for a permit.
    answers: Option<Semaphore>,
    waiting: AtomicUsize,
}

#[derive(Default)]
struct Taken {
    digests: BTreeMap<CaseId, String>,
    /// Ids of events in the order of their acceptance, and fields of dead letters.
    order: Vec<Entry>,
    duplicates: usize,
    alarms: Vec<Finding>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Event { trigger: Trigger, id: String },
    DeadLetter { field: String },
}

impl FakeLedger {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Stores what it is given, but lets nobody know until [`answer`](Self::answer).
    pub(crate) fn that_holds_its_answers() -> Arc<Self> {
        Arc::new(Self { answers: Some(Semaphore::new(0)), ..Self::default() })
    }

    /// Refuses batches with such an event until [`take_all`](Self::take_all).
    pub(crate) fn that_refuses(trigger: Trigger) -> Arc<Self> {
        Arc::new(Self { refused: Mutex::new(Some(trigger)), ..Self::default() })
    }

    pub(crate) fn take_all(&self) {
        *self.refused.lock().unwrap() = None;
    }

    fn refuses(&self, batch: &[Arrival]) -> bool {
        let refused = *self.refused.lock().unwrap();
        let of = |arrival: &Arrival| arrival.parsed.as_ref().ok().map(Event::trigger);
        refused.is_some() && batch.iter().any(|arrival| of(arrival) == refused)
    }

    pub(crate) fn answer(&self, batches: usize) {
        self.answers.as_ref().unwrap().add_permits(batches);
    }

    /// Batches that are stored and not answered.
    pub(crate) fn unanswered(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    pub(crate) fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    pub(crate) fn failures(&self) -> usize {
        self.failures.load(Ordering::SeqCst)
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.taken.lock().unwrap().order.clone()
    }

    /// Ids of the accepted events, in order.
    pub(crate) fn ids(&self) -> Vec<String> {
        let id = |entry| match entry {
            Entry::Event { id, .. } => Some(id),
            Entry::DeadLetter { .. } => None,
        };
        self.entries().into_iter().filter_map(id).collect()
    }

    pub(crate) fn duplicates(&self) -> usize {
        self.taken.lock().unwrap().duplicates
    }

    pub(crate) fn alarms(&self) -> Vec<Finding> {
        self.taken.lock().unwrap().alarms.clone()
    }
}

#[async_trait]
impl Inbox for FakeLedger {
    async fn accept(&self, batch: Vec<Arrival>) -> Result<Vec<Acceptance>, LedgerError> {
        if self.failing.load(Ordering::SeqCst) || self.refuses(&batch) {
            self.failures.fetch_add(1, Ordering::SeqCst);
            let source = std::io::Error::other("the disk is full").into();
            return Err(LedgerError::Store { doing: "accept events", source });
        }
        let answers = self.taken.lock().unwrap().take(batch);
        if let Some(permits) = &self.answers {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            permits.acquire().await.unwrap().forget();
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(answers)
    }

    async fn alarm(&self, finding: &Finding, _: DateTime<Utc>) -> Result<(), LedgerError> {
        self.taken.lock().unwrap().alarms.push(finding.clone());
        Ok(())
    }
}

impl Taken {
    fn take(&mut self, batch: Vec<Arrival>) -> Vec<Acceptance> {
        batch.into_iter().map(|arrival| self.take_one(arrival)).collect()
    }

    fn take_one(&mut self, arrival: Arrival) -> Acceptance {
        let event = match arrival.parsed {
            Ok(event) => event,
            Err(malformed) => {
                self.order.push(Entry::DeadLetter { field: malformed.field });
                return Acceptance::DeadLettered;
            }
        };
        let case = CaseId::of(&event.key);
        match self.digests.get(&case) {
            Some(known) if *known == event.digest => {
                self.duplicates += 1;
                Acceptance::Duplicate { case }
            }
            Some(_) => Acceptance::Conflict { case },
            None => {
                let (trigger, id) = (event.trigger(), event.key.id.clone());
                self.order.push(Entry::Event { trigger, id });
                self.digests.insert(case.clone(), event.digest);
                Acceptance::Accepted { case }
            }
        }
    }
}
