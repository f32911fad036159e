//! Leases: on tasks and, for planning, on cases.
//!
//! A lease is the claim's while the row has its token *and* the holder's `until` is not before the
//! lease's first end (`lease_from`): a worker that claims a task again after its own lease ran out
//! has the same token, and the older claim is told apart by its earlier end.

use chrono::{DateTime, Utc};
use severance_engine::ports::{CaseLease, TaskLease};
use sqlx::SqliteConnection;

use crate::codec::micros;
use crate::fault::Fault;

/// Gives back every lease: at opening, since their holders are gone.
pub(super) async fn free_all(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE tasks INDEXED BY tasks_leased
         SET lease_token = NULL, lease_from = NULL, lease_until = NULL
         WHERE lease_until IS NOT NULL",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE cases INDEXED BY cases_leased
         SET lease_token = NULL, lease_from = NULL, lease_until = NULL
         WHERE lease_until IS NOT NULL",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives back the leases that have ended by `now`.
pub(super) async fn free_ended(
    connection: &mut SqliteConnection,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE tasks INDEXED BY tasks_leased
         SET lease_token = NULL, lease_from = NULL, lease_until = NULL
         WHERE lease_until IS NOT NULL AND lease_until <= ?",
    )
    .bind(micros(now))
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives back the leases with this token.
pub(super) async fn free_token(connection: &mut SqliteConnection, token: i64) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE tasks INDEXED BY tasks_leased
         SET lease_token = NULL, lease_from = NULL, lease_until = NULL
         WHERE lease_until IS NOT NULL AND lease_token = ?",
    )
    .bind(token)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE cases INDEXED BY cases_leased
         SET lease_token = NULL, lease_from = NULL, lease_until = NULL
         WHERE lease_until IS NOT NULL AND lease_token = ?",
    )
    .bind(token)
    .execute(connection)
    .await?;
    Ok(())
}

/// Lengthens a case's lease; it never shortens one.
pub(super) async fn renew_case(
    connection: &mut SqliteConnection,
    lease: &CaseLease,
    until: DateTime<Utc>,
) -> Result<(), Fault> {
    let renewed = sqlx::query(
        "UPDATE cases SET lease_until = MAX(lease_until, ?)
         WHERE id = ? AND lease_token = ? AND lease_from <= ?",
    )
    .bind(micros(until))
    .bind(lease.case.as_str())
    .bind(lease.token)
    .bind(micros(lease.until))
    .execute(connection)
    .await?;
    if renewed.rows_affected() == 0 {
        return Err(Fault::lease_lost(format!("case {}", lease.case)));
    }
    Ok(())
}

/// Lengthens a task's lease; it never shortens one.
pub(super) async fn renew(
    connection: &mut SqliteConnection,
    lease: &TaskLease,
    until: DateTime<Utc>,
) -> Result<(), Fault> {
    let renewed = sqlx::query(
        "UPDATE tasks SET lease_until = MAX(lease_until, ?)
         WHERE id = ? AND lease_token = ? AND lease_from <= ?",
    )
    .bind(micros(until))
    .bind(lease.task.as_str())
    .bind(lease.token)
    .bind(micros(lease.until))
    .execute(connection)
    .await?;
    if renewed.rows_affected() == 0 {
        return Err(Fault::lease_lost(format!("task {}", lease.task)));
    }
    Ok(())
}
