//! `severance run`

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use crate::clock::SystemClock;
use crate::config::Config;
use crate::entropy::OsEntropy;
use crate::error::{Doing, Failure, Outcome};
use crate::worker::{self, Drained, Surroundings};

/// Runs the worker until a signal asks it to stop.
pub(crate) async fn run(config: &Config) -> Outcome {
    let mut terminate = signal(SignalKind::terminate()).doing("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).doing("cannot listen for SIGINT")?;
    let around = Surroundings {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(OsEntropy),
        credentials: None,
    };
    for warning in config.zones.warnings() {
        tracing::warn!(key = warning.key, "{}", warning.why);
    }
    let mut worker = worker::start(config, around).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        console = %worker.address(),
        ledger = %config.ledger.path.display(),
        brokers = config.kafka.brokers,
        accounts = config.aws.accounts.len(),
        "running"
    );
    let ended = tokio::select! {
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
        () = worker.ended() => true,
    };
    if ended {
        return Err(Failure::new("the engine ended by itself; the log says why"));
    }
    match worker.drain().await {
        Drained::Wholly => Ok(()),
        Drained::Partly => Err(Failure::new("stopped by the deadline; nothing accepted is lost")),
    }
}
