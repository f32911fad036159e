//! What the console is built over.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use severance_engine::ports::{Clock, Queries};

use crate::token::Token;

/// Whether one part of the worker is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The part: `ledger`, `kafka`, `scheduler`.
    pub part: String,
    /// Whether it is.
    pub ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Knows whether the worker is ready for work.
#[async_trait]
pub trait Readiness: Send + Sync + 'static {
    /// Every part, ready or not.
    async fn check(&self) -> Vec<Ready>;
}

/// Writes metrics out.
#[async_trait]
pub trait Scrape: Send + Sync + 'static {
    /// In `OpenMetrics` text.
    async fn scrape(&self) -> String;
}

/// What the console is built over.
#[derive(Clone)]
pub struct Console {
    /// The ledger.
    pub queries: Arc<dyn Queries>,
    /// Readiness.
    pub readiness: Arc<dyn Readiness>,
    /// Metrics.
    pub scrape: Arc<dyn Scrape>,
    /// The worker's clock.
    pub clock: Arc<dyn Clock>,
    /// What a write must present.
    pub token: Token,
    /// Names beside `localhost` by which the console may be asked; addresses always may.
    pub hosts: Vec<String>,
    /// Told after a write changed the queue, so that nothing waits for the next tick.
    pub changed: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}
