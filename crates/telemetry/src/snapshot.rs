//! What is a state and not a happening: read from the ledger at each scrape.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use severance_engine::ports::{Counts, Exposure};

use crate::labels::{ExposureLabels, zone};
use crate::names;

/// What the ledger and the intake say at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The moment.
    pub at: DateTime<Utc>,
    /// How many of everything.
    pub counts: Counts,
    /// Open exposures.
    pub exposures: Vec<Exposure>,
    /// By inbound topic, where the intake knows it.
    pub lag: Vec<IntakeLag>,
}

/// How far the intake is behind on one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntakeLag {
    /// The topic's name on the broker.
    pub topic: String,
    /// Records that are not stored yet.
    pub records: u64,
}

/// Holds the snapshot of the scrape that is being written.
#[derive(Debug, Default)]
pub(crate) struct SnapshotCollector(Mutex<Option<Snapshot>>);

impl SnapshotCollector {
    pub(crate) fn set(&self, snapshot: Option<Snapshot>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }
}

impl Collector for SnapshotCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(snapshot) = held.as_ref() else {
            return Ok(());
        };
        counts(&mut encoder, &snapshot.counts)?;
        exposures(&mut encoder, snapshot)?;
        let lag = snapshot.lag.iter().map(|lag| (("topic", lag.topic.as_str()), lag.records));
        gauges(&mut encoder, names::INTAKE_LAG, "Records not stored yet", lag)
    }
}

fn counts(encoder: &mut DescriptorEncoder<'_>, counts: &Counts) -> fmt::Result {
    let events = [
        ("accepted", counts.accepted),
        ("duplicate", counts.duplicates),
        ("conflict", counts.conflicts),
        ("dead-lettered", counts.dead_lettered),
    ];
    let mut metric = encoder.encode_descriptor(
        names::EVENTS,
        "Events by what became of them, since the ledger was made",
        None,
        MetricType::Counter,
    )?;
    for (result, value) in events {
        ConstCounter::new(value).encode(metric.encode_family(&[("result", result)])?)?;
    }
    let cases =
        [("open", counts.cases_open), ("held", counts.cases_held), ("closed", counts.cases_closed)];
    gauges(encoder, names::CASES, "Cases by state", cases.map(|(s, n)| (("state", s), n)))?;
    let tasks = [
        ("open", counts.tasks_open),
        ("blocked", counts.tasks_blocked),
        ("done", counts.tasks_done),
    ];
    gauges(
        encoder,
        names::TASKS,
        "Counting tasks by state",
        tasks.map(|(s, n)| (("state", s), n)),
    )?;
    let outbox = encoder.encode_descriptor(
        names::OUTBOX,
        "Messages that wait in the outbox",
        None,
        MetricType::Gauge,
    )?;
    ConstGauge::new(signed(counts.outbox)).encode(outbox)
}

fn gauges<'v>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = ((&'static str, &'v str), u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (label, value) in values {
        ConstGauge::new(signed(value)).encode(metric.encode_family(&[label])?)?;
    }
    Ok(())
}

/// Exposures of zones whose names are no label words share one series: counts add up and the oldest
/// wins, since a series must not be written twice.
fn exposures(encoder: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let mut series: BTreeMap<ExposureLabels, (u64, DateTime<Utc>)> = BTreeMap::new();
    for exposure in &snapshot.exposures {
        let labels = ExposureLabels {
            zone: zone(&exposure.zone),
            trigger: exposure.trigger.as_str(),
            kind: exposure.kind.as_str(),
            state: if exposure.blocked { "blocked" } else { "open" },
        };
        let (open, oldest) = series.entry(labels).or_insert((0, exposure.oldest));
        *open += exposure.open;
        *oldest = (*oldest).min(exposure.oldest);
    }
    let help = "Credentials that should be dead and are not verified dead yet";
    let mut metric =
        encoder.encode_descriptor(names::OPEN_EXPOSURES, help, None, MetricType::Gauge)?;
    for (labels, (open, _)) in &series {
        ConstGauge::new(signed(*open)).encode(metric.encode_family(labels)?)?;
    }
    let help = "Seconds since the oldest open exposure was noticed";
    let mut metric =
        encoder.encode_descriptor(names::OLDEST_EXPOSURE, help, None, MetricType::Gauge)?;
    for (labels, (_, oldest)) in &series {
        let age = (snapshot.at - *oldest).as_seconds_f64().max(0.0);
        ConstGauge::new(age).encode(metric.encode_family(labels)?)?;
    }
    Ok(())
}

/// Prometheus gauges are signed here; no count comes near the bound.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
