//! The summary: how many of everything, what is still open, and how long revoking took.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use severance_engine::ports::{Counts, Exposure, TaskDetail};
use severance_lifecycle::event::Trigger;
use severance_lifecycle::outcome::stages;
use severance_lifecycle::policy::Desired;
use severance_lifecycle::task::{Mode, Task};
use severance_lifecycle::ttr::{Stages, percentile};

/// What `GET /api/v1/summary` answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// How many of everything.
    pub counts: Counts,
    /// Open exposures by zone, trigger and kind.
    pub exposures: Vec<Exposure>,
    /// By trigger.
    pub time_to_revoke_seconds: BTreeMap<String, TimeToRevoke>,
}

/// Time to revoke of the verified tasks of one trigger.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimeToRevoke {
    /// From the notice to the verified end.
    #[serde(flatten)]
    pub total: Percentiles,
    /// From the notice to each stage.
    pub stages: BTreeMap<String, Percentiles>,
}

/// Nearest-rank percentiles, in seconds; zero where nothing was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many were counted.
    pub count: usize,
    /// Half took at most this.
    pub p50: f64,
    /// 95 of 100 took at most this.
    pub p95: f64,
    /// 99 of 100 took at most this.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// What `POST …/retry` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retried {
    /// How many tasks run again now.
    pub retried: usize,
}

/// What `POST …/release` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// The case that was let go.
    pub released: String,
}

impl Percentiles {
    /// Of values in any order.
    pub fn of(mut values: Vec<f64>) -> Self {
        let mut at = |q| percentile(&mut values, q).unwrap_or_default();
        let (p50, p95, p99, max) = (at(50), at(95), at(99), at(100));
        Self { count: values.len(), p50, p95, p99, max }
    }
}

/// Time to revoke by trigger, every trigger present. Only verified, enforced revocations count: what
/// is not finished is an exposure and no number here.
pub fn time_to_revoke(tasks: &[TaskDetail]) -> BTreeMap<String, TimeToRevoke> {
    Trigger::ALL
        .into_iter()
        .map(|trigger| {
            let stages = tasks
                .iter()
                .map(|detail| &detail.task)
                .filter(|task| task.trigger == trigger && revoked(task))
                .map(stages);
            (trigger.as_str().to_owned(), of(stages))
        })
        .collect()
}

fn of(tasks: impl Iterator<Item = Stages>) -> TimeToRevoke {
    let mut total = Vec::new();
    let mut by_stage: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for stages in tasks {
        total.extend(stages.time_to_revoke());
        for (stage, seconds) in stages.since_notice() {
            by_stage.entry(stage.to_owned()).or_default().push(seconds);
        }
    }
    let stages = by_stage.into_iter().map(|(stage, values)| (stage, Percentiles::of(values)));
    TimeToRevoke { total: Percentiles::of(total), stages: stages.collect() }
}

fn revoked(task: &Task) -> bool {
    // A rotation ends with its old credential's.
    matches!(task.desired, Desired::Revoked | Desired::Rotated)
        && task.counts
        && task.mode == Mode::Enforce
        && stages(task).verified.is_some()
}
