//! How long rotations took, as the worker measured it.

use std::collections::BTreeMap;

use severance_console::Percentiles;
use severance_engine::ports::TaskDetail;
use severance_lifecycle::credential::Target;
use severance_lifecycle::event::Trigger;
use severance_lifecycle::policy::Desired;

/// Where no strategy is known.
const UNKNOWN: &str = "none known";

/// The rotations of one strategy, or of all.
#[derive(Clone, Debug, Default)]
pub(super) struct RotationTimes {
    pub(super) done: usize,
    pub(super) blocked: usize,
    /// From the notice until the new credential is handed out in every region.
    pub(super) time_to_rotate: Percentiles,
    /// How long both worked.
    pub(super) overlap: Percentiles,
}

/// By strategy.
pub(super) fn by_strategy(
    done: &[TaskDetail],
    blocked: &[TaskDetail],
) -> BTreeMap<&'static str, RotationTimes> {
    let mut names: Vec<_> = done.iter().chain(blocked).filter_map(strategy).collect();
    names.sort_unstable();
    names.dedup();
    let of = |name| (name, times(done, blocked, |it| strategy(it) == Some(name)));
    names.into_iter().map(of).collect()
}

/// All of them.
pub(super) fn all(done: &[TaskDetail], blocked: &[TaskDetail]) -> RotationTimes {
    times(done, blocked, |it| strategy(it).is_some())
}

fn times(
    done: &[TaskDetail],
    blocked: &[TaskDetail],
    is_it: impl Fn(&TaskDetail) -> bool,
) -> RotationTimes {
    let done: Vec<_> = done.iter().filter(|it| is_it(it)).collect();
    let all = done.iter().filter_map(|it| {
        let task = &it.task;
        let Target::Secret { issuer, .. } = &task.target else { return None };
        task.record.rotation.times(issuer, task.noticed_at)
    });
    let (rotate, overlap): (Vec<_>, Vec<_>) =
        all.map(|times| (times.time_to_rotate, times.overlap)).unzip();
    RotationTimes {
        done: done.len(),
        blocked: blocked.iter().filter(|it| is_it(it)).count(),
        time_to_rotate: Percentiles::of(rotate),
        overlap: Percentiles::of(overlap.into_iter().flatten().collect()),
    }
}

/// The strategy of a rotation that its case waits for; `None` of all else.
fn strategy(detail: &TaskDetail) -> Option<&'static str> {
    let task = &detail.task;
    match &task.target {
        Target::Secret { issuer, .. } if task.counts && task.desired == Desired::Rotated => {
            Some(issuer.as_str())
        }
        Target::Unresolved { .. } if task.counts && task.trigger == Trigger::Rotation => {
            Some(UNKNOWN)
        }
        _ => None,
    }
}
