//! A scrape: metrics of what happened, and what the ledger and the intake say now.

use std::sync::Arc;

use async_trait::async_trait;
use severance_console::Scrape;
use severance_engine::ports::{Clock, LedgerError};
use severance_kafka::IntakeHealth;
use severance_telemetry::{Chain, IntakeLag, Metrics, Snapshot};

use super::Parts;

/// Renders metrics.
pub(super) struct Scraper {
    pub(super) metrics: Arc<Metrics>,
    pub(super) parts: Parts,
    pub(super) clock: Arc<dyn Clock>,
}

impl Scraper {
    async fn snapshot(&self) -> Result<Snapshot, LedgerError> {
        Ok(Snapshot {
            at: self.clock.now(),
            counts: self.parts.queries.counts().await?,
            exposures: self.parts.queries.exposures().await?,
            lag: self.parts.intake_health().await.map(lag).unwrap_or_default(),
        })
    }
}

#[async_trait]
impl Scrape for Scraper {
    async fn scrape(&self) -> String {
        let snapshot = self.snapshot().await;
        if let Err(error) = &snapshot {
            tracing::error!(error = %Chain(error), "the ledger's gauges are missing in a scrape");
        }
        self.metrics.render(snapshot.ok())
    }
}

/// By topic, over the partitions that are ours and measured.
fn lag(health: IntakeHealth) -> Vec<IntakeLag> {
    let records = |lag: i64| u64::try_from(lag).unwrap_or(0);
    health
        .topics
        .into_iter()
        .map(|topic| IntakeLag {
            topic: topic.topic,
            records: topic.partitions.iter().filter_map(|p| p.lag).map(records).sum(),
        })
        .collect()
}
