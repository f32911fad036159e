//! The report: what the worker measured beside what the demo saw.

use std::collections::BTreeMap;

use serde::Serialize;
use severance_console::{Percentiles, TimeToRevoke, time_to_revoke};
use severance_engine::ports::{Counts, TaskDetail, TaskFilter};
use severance_lifecycle::task::{TaskState, Verification};

use super::events::Told;
use super::judge::Verdict;
use super::stage::Stage;
use crate::error::{Doing, Failure, Outcome};
use crate::output;

/// More tasks than any demo has.
const ALL: u32 = 1_000_000;
/// The stages, in their order.
const STAGES: [&str; 4] = ["received", "planned", "accepted", "verified"];

/// Everything that is told at the end.
pub(super) struct Report {
    told: Told,
    counts: Counts,
    blocked: Vec<TaskDetail>,
    probed: usize,
    control_plane: usize,
    times: BTreeMap<String, TimeToRevoke>,
    usable_after: usize,
}

/// What `--json` prints, and nothing else.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    events: Events,
    tasks: Tasks,
    verification: Verifications,
    time_to_revoke_seconds: BTreeMap<String, Percentiles>,
    usable_after: usize,
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
    pub(super) async fn new(stage: &Stage, told: Told, verdict: &Verdict) -> Outcome<Self> {
        let queries = stage.queries();
        let of = |state: &str| TaskFilter {
            state: Some(state.to_owned()),
            limit: Some(ALL),
            ..TaskFilter::default()
        };
        let doing = "the ledger cannot be asked";
        let done = queries.tasks(&of("done")).await.doing(doing)?;
        let verified = |how: Verification| {
            let wanted = TaskState::Done { verification: how };
            done.iter().filter(|detail| detail.task.counts && detail.task.state == wanted).count()
        };
        Ok(Self {
            told,
            counts: queries.counts().await.doing(doing)?,
            blocked: queries.tasks(&of("blocked")).await.doing(doing)?,
            probed: verified(Verification::Probed),
            control_plane: verified(Verification::ControlPlane),
            times: time_to_revoke(&done),
            usable_after: verdict.usable.len(),
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
                let seconds = [p.p50, p.p95, p.p99, p.max].map(|value| format!("{value:.2}"));
                let mut row = vec![name.to_owned(), stage.to_owned(), p.count.to_string()];
                row.extend(seconds);
                table.add_row(row);
            }
        }
        for column in 2..7 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(comfy_table::CellAlignment::Right);
            }
        }
        output::line(table.to_string());
        self.print_counts(verdict);
        for detail in &self.blocked {
            if let TaskState::Blocked { reason } = &detail.task.state {
                output::line(format!("  blocked  {}: {reason}", detail.task.target.label()));
            }
        }
        output::line(format!("\nIt took {took:.0} s."));
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
    }

    /// The demo's own judgement, whatever the worker says.
    pub(super) fn into_outcome(self, verdict: &Verdict) -> Outcome {
        let mut wrong = Vec::new();
        let mut list = |what: &str, labels: &[String]| {
            if !labels.is_empty() {
                let shown: Vec<_> = labels.iter().take(5).map(String::as_str).collect();
                wrong.push(format!("{} {what} ({})", labels.len(), shown.join("; ")));
            }
        };
        list("credentials still work", &verdict.usable);
        list("credentials were cut that should work", &verdict.broken);
        list("credentials did not work before their notice", &self.told.dead_before);
        let counts = [
            ("accepted", self.told.accepted, self.counts.accepted),
            ("duplicates", self.told.duplicates, self.counts.duplicates),
            ("dead-lettered", self.told.dead_lettered, self.counts.dead_lettered),
        ];
        for (what, told, counted) in counts {
            if told != counted {
                wrong.push(format!("{counted} {what} where {told} were published"));
            }
        }
        if self.counts.tasks_open > 0 {
            wrong.push(format!("{} tasks are not finished", self.counts.tasks_open));
        }
        // Nothing in the scenario asks for a person.
        if self.counts.tasks_blocked > 0 {
            wrong.push(format!("{} tasks are blocked", self.counts.tasks_blocked));
        }
        if self.probed < self.told.probeable {
            wrong.push(format!(
                "{} tasks were proven by probes where the secret halves of {} keys are held",
                self.probed, self.told.probeable
            ));
        }
        if wrong.is_empty() { Ok(()) } else { Err(Failure::ended_badly(wrong.join("; "))) }
    }
}
