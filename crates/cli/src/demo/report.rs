//! The report: what the worker measured beside what the demo saw.

use std::collections::BTreeMap;
use std::ops::Range;

use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use severance_console::{Percentiles, TimeToRevoke, time_to_revoke};
use severance_engine::ports::{Counts, Queries, TaskDetail, TaskFilter};
use severance_lifecycle::event::Trigger;
use severance_lifecycle::policy::Desired;
use severance_lifecycle::task::{TaskState, Verification};

use super::events::Told;
use super::judge::Verdict;
use super::rotation_times::{self, RotationTimes};
use crate::error::{Doing, Outcome};
use crate::output;

/// More tasks than any demo has.
const ALL: u32 = 1_000_000;
/// The stages, in their order.
const STAGES: [&str; 4] = ["received", "planned", "accepted", "verified"];

/// Everything that is told at the end.
pub(super) struct Report {
    pub(super) told: Told,
    pub(super) counts: Counts,
    pub(super) blocked: Vec<TaskDetail>,
    probed: usize,
    control_plane: usize,
    /// Keys whose end was proven by trying them.
    pub(super) keys_probed: usize,
    times: BTreeMap<String, TimeToRevoke>,
    rotations: BTreeMap<&'static str, RotationTimes>,
    pub(super) all_rotations: RotationTimes,
    usable_after: usize,
    old_usable_after: usize,
    current_unusable: usize,
}

/// What `--json` prints, and nothing else.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    events: Events,
    tasks: Tasks,
    verification: Verifications,
    time_to_revoke_seconds: BTreeMap<String, Percentiles>,
    usable_after: usize,
    rotations: Rotations,
}

#[derive(Debug, Serialize)]
struct Rotations {
    done: usize,
    blocked: usize,
    time_to_rotate_seconds: Percentiles,
    old_usable_after: usize,
    current_unusable: usize,
}

#[derive(Debug, Serialize)]
struct Events {
    published: u64,
    accepted: u64,
    duplicates: u64,
    dead_lettered: u64,
}

#[derive(Debug, Serialize)]
struct Tasks {
    done: u64,
    blocked: u64,
    waiting: u64,
}

#[derive(Debug, Serialize)]
struct Verifications {
    probed: usize,
    control_plane: usize,
}

impl Report {
    /// Asks the worker's ledger.
    pub(super) async fn new(queries: &dyn Queries, told: Told, verdict: &Verdict) -> Outcome<Self> {
        let of = |state: &str| TaskFilter {
            state: Some(state.to_owned()),
            limit: Some(ALL),
            ..TaskFilter::default()
        };
        let doing = "the ledger cannot be asked";
        let done = queries.tasks(&of("done")).await.doing(doing)?;
        let blocked = queries.tasks(&of("blocked")).await.doing(doing)?;
        let verified = |how: Verification| {
            let wanted = TaskState::Done { verification: how };
            let is_it = |it: &&TaskDetail| it.task.counts && it.task.state == wanted;
            done.iter().filter(is_it).collect::<Vec<_>>()
        };
        let probed = verified(Verification::Probed);
        // A rotation's is a table of its own.
        let mut times = time_to_revoke(&done);
        times.remove(Trigger::Rotation.as_str());
        Ok(Self {
            told,
            counts: queries.counts().await.doing(doing)?,
            probed: probed.len(),
            keys_probed: probed.iter().filter(|it| it.task.desired == Desired::Revoked).count(),
            control_plane: verified(Verification::ControlPlane).len(),
            times,
            rotations: rotation_times::by_strategy(&done, &blocked),
            all_rotations: rotation_times::all(&done, &blocked),
            blocked,
            usable_after: verdict.usable.len(),
            old_usable_after: verdict.rotated.old_usable.len(),
            current_unusable: verdict.rotated.current_unusable.len(),
        })
    }

    /// For `--json`.
    pub(super) fn summary(&self) -> Summary {
        let times = self.times.iter();
        Summary {
            events: Events {
                published: self.told.published(),
                accepted: self.counts.accepted,
                duplicates: self.counts.duplicates,
                dead_lettered: self.counts.dead_lettered,
            },
            tasks: Tasks {
                done: self.counts.tasks_done,
                blocked: self.counts.tasks_blocked,
                waiting: self.counts.tasks_open,
            },
            verification: Verifications { probed: self.probed, control_plane: self.control_plane },
            time_to_revoke_seconds: times.map(|(name, t)| (name.clone(), t.total)).collect(),
            usable_after: self.usable_after,
            rotations: Rotations {
                done: self.all_rotations.done,
                blocked: self.all_rotations.blocked,
                time_to_rotate_seconds: self.all_rotations.time_to_rotate,
                old_usable_after: self.old_usable_after,
                current_unusable: self.current_unusable,
            },
        }
    }

    /// For people.
    pub(super) fn print(&self, verdict: &Verdict, took: f64) {
        output::line("\nTime to revoke, in seconds from the notice\n");
        let mut table =
            output::table(&["trigger", "until", "count", "p50", "p95", "p99", "longest"]);
        for (trigger, times) in &self.times {
            for stage in STAGES {
                let p = times.stages.get(stage).copied().unwrap_or_default();
                let name = if stage == STAGES[0] { trigger.as_str() } else { "" };
                let mut row = vec![name.to_owned(), stage.to_owned(), p.count.to_string()];
                row.extend(seconds(p.count, [p.p50, p.p95, p.p99, p.max]));
                table.add_row(row);
            }
        }
        print_table(table, 2..7);
        self.print_rotations();
        self.print_counts(verdict);
        for detail in &self.blocked {
            if let TaskState::Blocked { reason } = &detail.task.state {
                output::line(format!("  blocked  {}: {reason}", detail.task.target.label()));
            }
        }
        output::line(format!("\nIt took {took:.0} s."));
    }

    fn print_rotations(&self) {
        output::line(
            "\nTime to rotate, in seconds from the notice until the new value is handed out; \
             overlap, in\nseconds in which the old one worked beside it\n",
        );
        let mut table = output::table(&[
            "strategy",
            "done",
            "blocked",
            "p50",
            "p95",
            "p99",
            "longest",
            "overlap p50",
            "longest",
        ]);
        let all = ("all", &self.all_rotations);
        let rows = self.rotations.iter().map(|(name, times)| (*name, times)).chain([all]);
        for (name, times) in rows {
            let (rotate, overlap) = (times.time_to_rotate, times.overlap);
            let mut row = vec![name.to_owned(), times.done.to_string(), times.blocked.to_string()];
            row.extend(seconds(rotate.count, [rotate.p50, rotate.p95, rotate.p99, rotate.max]));
            row.extend(seconds(overlap.count, [overlap.p50, overlap.max]));
            table.add_row(row);
        }
        print_table(table, 1..9);
    }

    fn print_counts(&self, verdict: &Verdict) {
        let Counts { accepted, duplicates, dead_lettered, tasks_done, .. } = self.counts;
        let (blocked, waiting) = (self.counts.tasks_blocked, self.counts.tasks_open);
        output::line(format!(
            "\nEvents    {} published: {accepted} accepted, {duplicates} duplicates dropped, \
             {dead_lettered} dead-lettered",
            self.told.published()
        ));
        output::line(format!(
            "Tasks     {tasks_done} verified ({} probed, {} control-plane), {blocked} blocked, \
             {waiting} waiting",
            self.probed, self.control_plane
        ));
        output::line(format!(
            "Judge     {} credentials tried by the demo itself: {} still usable that should be \
             dead,\n          {} of {} refused that should work",
            verdict.tried,
            verdict.usable.len(),
            verdict.broken.len(),
            verdict.spared
        ));
        let rotated = &verdict.rotated;
        output::line(format!(
            "          {} values of {} secrets: {} old ones still accepted, {} current ones refused",
            rotated.tried,
            rotated.secrets,
            rotated.old_usable.len(),
            rotated.current_unusable.len()
        ));
    }
}

/// Rounded, or dashes where nothing was counted.
fn seconds<const N: usize>(count: usize, values: [f64; N]) -> [String; N] {
    values.map(|value| if count == 0 { "-".to_owned() } else { format!("{value:.2}") })
}

/// With numbers in these columns.
fn print_table(mut table: Table, numbers: Range<usize>) {
    for column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    output::line(table.to_string());
}
