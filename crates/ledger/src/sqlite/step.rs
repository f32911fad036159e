//! One step of a task.

use chrono::{DateTime, Utc};
use severance_engine::ports::{Step, TaskLease};
use severance_lifecycle::case::CaseState;
use severance_lifecycle::journal::{Happening, JournalEntry};
use severance_lifecycle::task::Task;
use sqlx::SqliteConnection;

use super::tasks::Parking;
use super::{cases, journal, outbox, tasks};
use crate::fault::Fault;

/// Stores a step. Whether the case closed.
pub(super) async fn step(
    connection: &mut SqliteConnection,
    lease: &TaskLease,
    now: DateTime<Utc>,
    step: Step,
) -> Result<bool, Fault> {
    if step.task.id != lease.task {
        return Err(Fault::conflict(
            format!("task {}", step.task.id),
            format!("the lease is on {}", lease.task),
        ));
    }
    let reason = last_reason(&step.journal);
    let before = tasks::update(connection, lease, &step.task, step.release, reason, now).await?;
    let sequence = journal::append_all(connection, &step.journal).await?;
    outbox::push_all(connection, step.messages, sequence).await?;
    let mut changed = before.state != step.task.state.as_str();
    if changed {
        tasks::move_to(connection, &step.task).await?;
    }
    for follow_up in &step.follow_ups {
        changed |= tasks::insert(connection, follow_up, Parking::Free, now).await?;
    }
    if !changed {
        return Ok(false);
    }
    settle(connection, &step.task, before.finished, now).await
}

/// Closes the case where nothing is left, and opens it again where something is.
async fn settle(
    connection: &mut SqliteConnection,
    task: &Task,
    was_final: bool,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let row = cases::load(connection, &task.case).await?;
    let closed = matches!(row.case.state, CaseState::Closed { .. });
    if closed && was_final && task.counts && !task.state.is_final() {
        let because = format!("{} is {} again", task.target.label(), task.state.as_str());
        cases::reopen(connection, row.case, because, now).await?;
        return Ok(false);
    }
    cases::close_if_finished(connection, row, now).await
}

/// The reason of the last decision, for people who ask what a task waits for.
fn last_reason(entries: &[JournalEntry]) -> Option<String> {
    entries.iter().rev().find_map(|entry| match &entry.what {
        Happening::Intent { reason, .. } | Happening::Waiting { reason, .. } => {
            Some(reason.clone())
        }
        Happening::Blocked { reason } => Some(reason.to_string()),
        Happening::Failed { failure, .. } => Some(failure.to_string()),
        _ => None,
    })
}
