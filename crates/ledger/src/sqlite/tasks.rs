//! Rows of tasks: how they are written.

use chrono::{DateTime, Utc};
use severance_engine::ports::{NewTask, Release, TaskLease};
use severance_lifecycle::credential::TargetKind;
use severance_lifecycle::ids::CaseId;
use severance_lifecycle::journal::{Happening, JournalEntry};
use severance_lifecycle::task::{Mode, Task, TaskState};
use sqlx::SqliteConnection;

use crate::codec::{from_json, micros, to_json};
use crate::fault::Fault;

/// So many tasks of a case are let go at a time.
const ADMITTED: i64 = 500;

/// Lets some tasks of a case go.
pub(super) const ADMIT: &str = "UPDATE tasks SET parked = 0, ready = (next_at <= ?2)
     WHERE number IN (SELECT number FROM tasks INDEXED BY tasks_parked
         WHERE case_id = ?1 AND parked = 1 AND finished = 0 AND kind <> 'unresolved'
         ORDER BY number LIMIT ?3)";

/// Whether tasks of a case may be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parking {
    /// They may.
    Free,
    /// The case is held, or not planned: they may not.
    Parked,
}

/// Stores a task. One that is known is left as it is, but for a deletion that is now due later:
/// quarantine starts again with a revocation that had to be done again. Whether it was new.
///
/// `now` only saves the way over the timer: a task that is due by then queues at once.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    new: &NewTask,
    parking: Parking,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let task = &new.task;
    let target = &task.target;
    // Nobody works on what was not found: planning looks it up again.
    let parked = parking == Parking::Parked || target.kind() == TargetKind::Unresolved;
    let stored = sqlx::query(
        "INSERT INTO tasks (id, case_id, target_key, lock, kind, desired, zone, cause, enforced,
             undoes, lane, struck, changed, deadline, noticed_at, counts, state, finished, next_at,
             parked, ready, body)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET next_at = excluded.next_at, ready = 0, body = excluded.body
             WHERE desired = 'deleted' AND finished = 0 AND lease_until IS NULL
                 AND next_at < excluded.next_at",
    )
    .bind(task.id.as_str())
    .bind(task.case.as_str())
    .bind(target.key())
    .bind(target.lock())
    .bind(target.kind().as_str())
    .bind(task.desired.as_str())
    .bind(task.binding.zone.as_str())
    .bind(task.trigger.as_str())
    .bind(task.mode == Mode::Enforce)
    .bind(task.undoes.as_ref().map(CaseId::as_str))
    .bind(task.lane.rank())
    .bind(task.record.accepted_at.is_some())
    .bind(!task.record.changes.is_empty())
    .bind(micros(task.deadline))
    .bind(micros(task.noticed_at))
    .bind(task.counts)
    .bind(task.state.as_str())
    .bind(task.state.is_final())
    .bind(micros(new.next_at))
    .bind(parked)
    .bind(!parked && new.next_at <= now)
    .bind(to_json("task", task)?)
    .execute(connection)
    .await?;
    Ok(stored.rows_affected() > 0)
}

/// How a task stood before a step.
pub(super) struct Before {
    pub(super) state: String,
    pub(super) finished: bool,
}

/// Stores what a step made of a task, all but its state's columns, if the lease still is the caller's.
/// One statement: the question and the change cross to `SQLite`'s thread together.
pub(super) async fn update(
    connection: &mut SqliteConnection,
    lease: &TaskLease,
    task: &Task,
    release: Option<Release>,
    reason: Option<String>,
    now: DateTime<Utc>,
) -> Result<Before, Fault> {
    let body = to_json("task", task)?;
    let next_at = release.and_then(|release| release.next_at);
    let before: Option<(String, bool)> = sqlx::query_as(
        "UPDATE tasks SET body = ?2, struck = ?3, changed = ?4, lane = ?10,
             last_reason = COALESCE(?5, last_reason),
             next_at = CASE WHEN ?6 THEN ?7 ELSE next_at END,
             attempts = CASE WHEN ?6 THEN ?8 ELSE attempts END,
             ready = CASE WHEN ?6 THEN (parked = 0 AND ?7 IS NOT NULL AND ?7 <= ?9) ELSE ready END,
             lease_token = CASE WHEN ?6 THEN NULL ELSE lease_token END,
             lease_from = CASE WHEN ?6 THEN NULL ELSE lease_from END,
             lease_until = CASE WHEN ?6 THEN NULL ELSE lease_until END
         WHERE id = ?1 AND lease_token = ?11 AND lease_from <= ?12 AND lease_until > ?9
         RETURNING state, finished",
    )
    .bind(task.id.as_str())
    .bind(body)
    .bind(task.record.accepted_at.is_some())
    .bind(!task.record.changes.is_empty())
    .bind(reason)
    .bind(release.is_some())
    .bind(next_at.map(micros))
    .bind(release.map_or(0, |release| release.attempts))
    .bind(micros(now))
    .bind(task.lane.rank())
    .bind(lease.token)
    .bind(micros(lease.until))
    .fetch_optional(connection)
    .await?;
    before
        .map(|(state, finished)| Before { state, finished })
        .ok_or_else(|| Fault::lease_lost(format!("task {}", lease.task)))
}

/// Stores a task's new state in its column; the tallies follow by themselves.
pub(super) async fn move_to(connection: &mut SqliteConnection, task: &Task) -> Result<(), Fault> {
    sqlx::query("UPDATE tasks SET state = ?, finished = ? WHERE id = ?")
        .bind(task.state.as_str())
        .bind(task.state.is_final())
        .bind(task.id.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Ends everything that a case still had to do, because `by` took its place: tasks that are not final
/// are superseded, later looks end, and a step that runs now loses its lease. The lock on the identity
/// stays until that lease would have ended: a call may still be in flight, and it must not land after
/// what the new case does.
pub(super) async fn end_all(
    connection: &mut SqliteConnection,
    case: &CaseId,
    by: &CaseId,
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    let unfinished: Vec<String> = sqlx::query_scalar(
        "SELECT body FROM tasks INDEXED BY tasks_case WHERE case_id = ? AND finished = 0",
    )
    .bind(case.as_str())
    .fetch_all(&mut *connection)
    .await?;
    for body in unfinished {
        let mut task: Task = from_json("task", &body)?;
        task.state = TaskState::Superseded;
        sqlx::query("UPDATE tasks SET body = ? WHERE id = ?")
            .bind(to_json("task", &task)?)
            .bind(task.id.as_str())
            .execute(&mut *connection)
            .await?;
        move_to(connection, &task).await?;
        let what = Happening::Superseded { by: by.clone() };
        let entry = JournalEntry { at, case: case.clone(), task: Some(task.id), what };
        super::journal::append(connection, &entry).await?;
    }
    sqlx::query(
        "UPDATE tasks INDEXED BY tasks_case
         SET next_at = NULL, ready = 0, lease_token = NULL, lease_from = NULL
         WHERE case_id = ?",
    )
    .bind(case.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// Lets some of the tasks go that waited for their case to be planned or released. They keep their timers;
/// what is due by `now` queues at once. Whether more may wait.
///
/// Some and not all: rows are written over, and those of a large case would hold up everybody else's
/// commit and be in memory all at once.
pub(super) async fn admit(
    connection: &mut SqliteConnection,
    case: &CaseId,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let admitted = sqlx::query(ADMIT)
        .bind(case.as_str())
        .bind(micros(now))
        .bind(ADMITTED)
        .execute(connection)
        .await?;
    Ok(i64::try_from(admitted.rows_affected()).unwrap_or(i64::MAX) >= ADMITTED)
}

/// Whether tasks wait for their case.
pub(super) async fn has_parked(
    connection: &mut SqliteConnection,
    case: &CaseId,
) -> Result<bool, Fault> {
    let parked = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM tasks INDEXED BY tasks_parked
         WHERE case_id = ? AND parked = 1 AND finished = 0 AND kind <> 'unresolved')",
    );
    Ok(parked.bind(case.as_str()).fetch_one(connection).await?)
}
