//! The demo's own judgement, whatever the worker says: what decides the exit code.

use severance_engine::ports::TaskDetail;
use severance_lifecycle::task::{BlockReason, TaskState};

use super::judge::Verdict;
use super::report::Report;
use crate::error::{Failure, Outcome};

impl Report {
    /// Fails where anything is not as it should be.
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
        list("old values still work", &verdict.rotated.old_usable);
        list("current values do not work", &verdict.rotated.current_unusable);
        list("secrets hand out what they should not", &verdict.rotated.astray);
        list("credentials did not work before their notice", &self.told.dead_before);
        wrong.extend(self.miscounted());
        wrong.extend(self.unfinished());
        if wrong.is_empty() { Ok(()) } else { Err(Failure::ended_badly(wrong.join("; "))) }
    }

    fn miscounted(&self) -> impl Iterator<Item = String> {
        let counts = [
            ("accepted", self.told.accepted, self.counts.accepted),
            ("duplicates", self.told.duplicates, self.counts.duplicates),
            ("dead-lettered", self.told.dead_lettered, self.counts.dead_lettered),
        ];
        let differ = counts.into_iter().filter(|(_, told, counted)| told != counted);
        differ.map(|(what, told, counted)| format!("{counted} {what} where {told} were published"))
    }

    fn unfinished(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.counts.tasks_open > 0 {
            wrong.push(format!("{} tasks are not finished", self.counts.tasks_open));
        }
        // What asks for a person: secrets whose tags say no strategy, and nothing else.
        let unknown = |it: &&TaskDetail| {
            let TaskState::Blocked { reason } = &it.task.state else { return false };
            matches!(reason, BlockReason::UnknownStrategy { .. })
        };
        let (blocked, wanted) = (self.blocked.len(), self.told.blocked.len());
        if blocked != wanted || self.blocked.iter().filter(unknown).count() != wanted {
            wrong.push(format!("{blocked} tasks are blocked, and not {wanted} for their tags"));
        }
        let (measured, rotated) =
            (self.all_rotations.time_to_rotate.count, self.told.rotated.len());
        if measured < rotated {
            wrong.push(format!("{measured} rotations were measured of {rotated} secrets"));
        }
        if self.keys_probed < self.told.probeable {
            wrong.push(format!(
                "{} tasks were proven by probes where the secret halves of {} keys are held",
                self.keys_probed, self.told.probeable
            ));
        }
        wrong
    }
}
