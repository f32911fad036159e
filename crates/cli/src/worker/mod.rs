//! The worker: the same for `run` and for the demo.
//!
//! It is built from the configuration in one place and stopped in one order: the intake first, so that
//! nothing new comes; then the engine, so that calls in flight end and leases are given back; the
//! console last, so that one can watch.

mod build;
mod issuers;
mod readiness;
mod scrape;
mod token;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use severance_engine::ports::Queries;
use severance_kafka::Intake;
use severance_ledger::SqliteLedger;
use severance_telemetry::Chain;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use build::{Surroundings, start};
pub(crate) use issuers::known as known_issuers;
pub(crate) use readiness::Parts;

/// A running worker.
pub(crate) struct Worker {
    ledger: Arc<SqliteLedger>,
    parts: Parts,
    address: SocketAddr,
    drain: Duration,
    stop_engine: CancellationToken,
    engine: JoinHandle<bool>,
    stop_console: oneshot::Sender<()>,
    console: JoinHandle<()>,
}

/// The intake, until it is stopped: readiness and metrics look at it while it runs.
pub(crate) type SharedIntake = Arc<Mutex<Option<Intake>>>;

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Everything was given back.
    Wholly,
    /// The deadline passed. What was left is found again after the next start: leases end, records
    /// come again and are dropped.
    Partly,
}

impl Worker {
    /// Where the console listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Questions to its ledger.
    pub(crate) fn queries(&self) -> Arc<dyn Queries> {
        Arc::<SqliteLedger>::clone(&self.ledger)
    }

    /// Its readiness.
    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Resolves where the engine ended by itself, which it never should.
    pub(crate) async fn ended(&mut self) {
        let _ = (&mut self.engine).await;
    }

    /// Stops within the configured deadline.
    pub(crate) async fn drain(self) -> Drained {
        let Self { ledger, parts, stop_engine, mut engine, stop_console, console, drain, .. } =
            self;
        tracing::info!(deadline = ?drain, "stopping: the intake first");
        let stopping = async {
            let intake = parts.take_intake().await;
            let intake_drained = match intake {
                // A share of the time: a broker that is away must not take it all.
                Some(intake) => intake.stop(drain / 3).await,
                None => true,
            };
            stop_engine.cancel();
            let engine_drained = (&mut engine).await.unwrap_or(false);
            intake_drained && engine_drained
        };
        let drained = tokio::time::timeout(drain, stopping).await;
        engine.abort();
        let _ = stop_console.send(());
        console.abort();
        if let Err(error) = ledger.close().await {
            tracing::warn!(error = %Chain(&error), "the ledger was not closed in order");
        }
        if drained == Ok(true) {
            tracing::info!("stopped: leases and offsets are given back");
            return Drained::Wholly;
        }
        tracing::warn!("stopped by the deadline: what was in flight is found at the next start");
        Drained::Partly
    }
}
