//! Claiming tasks.
//!
//! A task that is due moves from its timer (`tasks_waiting`, by `next_at`) to the queue
//! (`tasks_ready`, by lane, first blow, deadline), and a claim reads the queue from its head. So a
//! claim costs the same with a hundred tasks as with a hundred thousand.

use std::collections::{HashMap, HashSet};

use severance_engine::ports::{ClaimRequest, Claimed, TaskLease};
use severance_lifecycle::task::Lane;
use severance_lifecycle::task::Task;
use sqlx::SqliteConnection;

use super::leases;
use crate::codec::{from_json, micros, to_json};
use crate::fault::Fault;

/// Of each lane, so many at a time move to the queue. Where more timers than this ran out at once (the
/// worker was down), those that ran out first go first, and the deadline decides among them.
const MOVED: i64 = 256;

/// Moves what is due of one lane to the queue.
pub(super) const PROMOTE: &str = "UPDATE tasks SET ready = 1 WHERE number IN (
     SELECT number FROM tasks INDEXED BY tasks_waiting
     WHERE ready = 0 AND parked = 0 AND lease_until IS NULL AND next_at IS NOT NULL
         AND lane = ?1 AND struck = ?2 AND next_at <= ?3
     ORDER BY next_at LIMIT ?4)";

/// The head of the queue, without those whose identity is being worked on.
pub(super) const HEAD: &str = "SELECT t.number, t.lock FROM tasks AS t INDEXED BY tasks_ready
     WHERE t.ready = 1 AND t.lane <= ?1 AND t.next_at <= ?2
         AND NOT EXISTS (SELECT 1 FROM tasks AS held INDEXED BY tasks_lock_leased
             WHERE held.lock = t.lock AND held.lease_until IS NOT NULL)
     ORDER BY t.lane, t.struck, t.deadline LIMIT ?3";

/// Leases tasks.
pub(super) const LEASE: &str = "UPDATE tasks
     SET ready = 0, lease_token = ?2, lease_from = ?3, lease_until = ?3
     WHERE number IN (SELECT value FROM json_each(?1))
     RETURNING number, body, attempts";

/// Claims tasks that are due.
pub(super) async fn claim(
    connection: &mut SqliteConnection,
    request: &ClaimRequest,
) -> Result<Vec<Claimed>, Fault> {
    leases::free_ended(connection, request.now).await?;
    for lane in Lane::ALL.into_iter().filter(|lane| *lane <= request.least_urgent) {
        for struck in [false, true] {
            sqlx::query(PROMOTE)
                .bind(lane.rank())
                .bind(struck)
                .bind(micros(request.now))
                .bind(MOVED)
                .execute(&mut *connection)
                .await?;
        }
    }
    let mut claimed = Vec::new();
    while claimed.len() < request.limit {
        let wanted = request.limit - claimed.len();
        let numbers = head(connection, request, wanted).await?;
        if numbers.is_empty() {
            break;
        }
        claimed.extend(lease(connection, request, &numbers).await?);
    }
    Ok(claimed)
}

/// The next tasks of the queue, one of each identity.
async fn head(
    connection: &mut SqliteConnection,
    request: &ClaimRequest,
    limit: usize,
) -> Result<Vec<i64>, Fault> {
    let rows: Vec<(i64, String)> = sqlx::query_as(HEAD)
        .bind(request.least_urgent.rank())
        .bind(micros(request.now))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await?;
    let mut locks = HashSet::new();
    Ok(rows
        .into_iter()
        .filter(|(_, lock)| locks.insert(lock.clone()))
        .map(|(number, _)| number)
        .collect())
}

async fn lease(
    connection: &mut SqliteConnection,
    request: &ClaimRequest,
    numbers: &[i64],
) -> Result<Vec<Claimed>, Fault> {
    let rows: Vec<(i64, String, i64)> = sqlx::query_as(LEASE)
        .bind(to_json("numbers", &numbers)?)
        .bind(request.token)
        .bind(micros(request.until))
        .fetch_all(connection)
        .await?;
    let mut by_number = HashMap::new();
    for (number, body, attempts) in rows {
        let task: Task = from_json("task", &body)?;
        let lease = TaskLease { task: task.id.clone(), token: request.token, until: request.until };
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        by_number.insert(number, Claimed { lease, task, attempts });
    }
    Ok(numbers.iter().filter_map(|number| by_number.remove(number)).collect())
}
