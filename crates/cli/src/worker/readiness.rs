//! Whether the worker is ready: its ledger answers, its consumers are in their groups, its scheduler
//! runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use chrono::TimeDelta;
use severance_console::{Readiness, Ready};
use severance_engine::Engine;
use severance_engine::ports::Queries;
use severance_kafka::{Intake, IntakeHealth};
use severance_telemetry::Chain;

use super::SharedIntake;

/// A consumer that was not polled for this long is wedged (its poll takes a second at most).
const POLL_PATIENCE: TimeDelta = TimeDelta::seconds(30);

/// The worker's parts, as readiness and metrics see them.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(super) queries: Arc<dyn Queries>,
    pub(super) intake: SharedIntake,
    pub(super) scheduler: Alive,
    pub(super) engine: Engine,
}

/// Whether something still runs.
#[derive(Clone, Default)]
pub(crate) struct Alive(Arc<AtomicBool>);

/// Says that it runs until it is dropped, however that comes about.
pub(super) struct Living(Arc<AtomicBool>);

impl Alive {
    pub(super) fn begin(&self) -> Living {
        self.0.store(true, Ordering::SeqCst);
        Living(Arc::clone(&self.0))
    }

    fn is(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Parts {
    /// How the intake is doing; nothing once it is stopped.
    pub(super) async fn intake_health(&self) -> Option<IntakeHealth> {
        self.intake.lock().await.as_ref().map(Intake::health)
    }

    pub(super) async fn take_intake(&self) -> Option<Intake> {
        self.intake.lock().await.take()
    }

    /// Whether every part is ready.
    pub(crate) async fn ready(&self) -> bool {
        self.check().await.iter().all(|part| part.ready)
    }
}

#[async_trait]
impl Readiness for Parts {
    async fn check(&self) -> Vec<Ready> {
        let ledger = self.queries.counts().await;
        let why_ledger = ledger.err().map(|error| Chain(&error).to_string());
        let why_kafka = match self.intake_health().await {
            Some(health) if health.ready(POLL_PATIENCE) => None,
            Some(health) => Some(waiting(&health)),
            None => Some("the intake is stopped".to_owned()),
        };
        let why_scheduler = if !self.scheduler.is() {
            Some("the scheduler has ended".to_owned())
        } else if !self.engine.knows_itself() {
            Some("AWS has not told our own identity yet; nothing is touched before".to_owned())
        } else {
            None
        };
        [("ledger", why_ledger), ("kafka", why_kafka), ("scheduler", why_scheduler)]
            .into_iter()
            .map(|(part, why)| Ready { part: part.to_owned(), ready: why.is_none(), why })
            .collect()
    }
}

fn waiting(health: &IntakeHealth) -> String {
    let late = health.topics.iter().map(|topic| {
        let why = if !topic.joined {
            "no assignment yet"
        } else if topic.storer_ended {
            "its records do not get to the ledger any more: start the worker anew"
        } else if topic.ledger_failing {
            "the ledger refuses its records"
        } else {
            "polled, if late"
        };
        format!("{}: {why}", topic.topic)
    });
    late.collect::<Vec<_>>().join("; ")
}
