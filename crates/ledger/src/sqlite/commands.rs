//! What people may tell the ledger: retry what is blocked, let go what is held.

use chrono::{DateTime, Utc};
use severance_lifecycle::case::CaseState;
use severance_lifecycle::ids::{CaseId, TaskId};
use severance_lifecycle::journal::Happening;
use sqlx::SqliteConnection;

use super::{cases, journal, planning, tasks};
use crate::codec::{micros, to_json};
use crate::fault::Fault;

/// Blocked tasks, all or one, are due now. One that is running is left to its run.
const RETRIED: &str = "FROM tasks WHERE state = 'blocked' AND lease_until IS NULL
     AND (?1 IS NULL OR id = ?1)";

/// Runs a blocked task now, or all of them. What was never found is looked up again: its case is due
/// for planning.
pub(super) async fn retry(
    connection: &mut SqliteConnection,
    task: Option<&TaskId>,
    by: &str,
    now: DateTime<Utc>,
) -> Result<usize, Fault> {
    if let Some(task) = task {
        check_blocked(connection, task).await?;
    }
    let id = task.map(TaskId::as_str);
    let what = to_json("journal entry", &Happening::Retried { by: by.to_owned() })?;
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "INSERT INTO journal (at, case_id, task_id, what) SELECT ?2, case_id, id, ?3 {RETRIED}"
    )))
    .bind(id)
    .bind(micros(now))
    .bind(what)
    .execute(&mut *connection)
    .await?;
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "UPDATE cases SET due_at = ?2, attempts = 0
         WHERE state = 'open' AND lease_until IS NULL AND id IN (
             SELECT case_id {RETRIED} AND kind = 'unresolved')"
    )))
    .bind(id)
    .bind(micros(now))
    .execute(&mut *connection)
    .await?;
    let retried = sqlx::query(sqlx::AssertSqlSafe(format!(
        "UPDATE tasks SET next_at = ?2, attempts = 0, ready = (parked = 0)
         WHERE number IN (SELECT number {RETRIED})"
    )))
    .bind(id)
    .bind(micros(now))
    .execute(connection)
    .await?;
    Ok(usize::try_from(retried.rows_affected()).unwrap_or(usize::MAX))
}

async fn check_blocked(connection: &mut SqliteConnection, task: &TaskId) -> Result<(), Fault> {
    let row: Option<(String, bool)> =
        sqlx::query_as("SELECT state, lease_until IS NOT NULL FROM tasks WHERE id = ?")
            .bind(task.as_str())
            .fetch_optional(connection)
            .await?;
    match row {
        None => Err(Fault::not_found(format!("task {task}"))),
        Some((state, _)) if state != "blocked" => {
            Err(Fault::conflict(format!("task {task}"), format!("it is {state}, not blocked")))
        }
        Some((_, true)) => {
            Err(Fault::conflict(format!("task {task}"), "it is being tried just now"))
        }
        Some(_) => Ok(()),
    }
}

/// Lets a held case go: what waited for that goes on, the rest of it with the case's next planning, and the case may be as large as it is.
pub(super) async fn release(
    connection: &mut SqliteConnection,
    id: &CaseId,
    by: &str,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let mut row = cases::load(connection, id).await?;
    let CaseState::Held { credentials, .. } = row.case.state else {
        let why = format!("it is {}, not held", row.case.state.as_str());
        return Err(Fault::conflict(format!("case {id}"), why));
    };
    row.case.released = row.case.released.max(credentials);
    row.case.state = CaseState::Open;
    cases::save(connection, &row.case).await?;
    let what = Happening::Released { by: by.to_owned() };
    journal::about_case(connection, id, now, what).await?;
    let more = tasks::admit(connection, id, now).await?;
    if more || planning::next_lookup(connection, id).await?.is_some() {
        cases::plan_at(connection, id, now).await?;
    }
    cases::close_if_finished(connection, row, now).await.map(drop)
}
