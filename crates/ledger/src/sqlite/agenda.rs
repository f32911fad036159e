//! What is due, and when the next thing becomes due.

use chrono::{DateTime, Utc};
use severance_engine::ports::Agenda;
use sqlx::SqliteConnection;

use crate::codec::{count, micros, time};
use crate::fault::Fault;

/// Counting stops here, so that a backlog does not make the question slow: what matters is whether
/// there is something.
const COUNTED: i64 = 1_000;

/// Heads of the queues and timers by lane: `?1` is now, `?2` how far is counted. Each row is a lane
/// with what is due in it and the next moment.
pub(super) const AGENDA: &str = "
    WITH lanes (lane) AS (VALUES (0), (1), (2)),
         struck (struck) AS (VALUES (0), (1))
    SELECT lane,
        (SELECT COUNT(*) FROM (SELECT 1 FROM tasks INDEXED BY tasks_ready
            WHERE ready = 1 AND lane = lanes.lane LIMIT ?2))
        + (SELECT SUM((SELECT COUNT(*) FROM (SELECT 1 FROM tasks INDEXED BY tasks_waiting
            WHERE ready = 0 AND parked = 0 AND lease_until IS NULL AND next_at IS NOT NULL
                AND lane = lanes.lane AND struck = struck.struck AND next_at <= ?1 LIMIT ?2)))
           FROM struck)
        + (SELECT COUNT(*) FROM tasks INDEXED BY tasks_leased
            WHERE lease_until IS NOT NULL AND lease_until <= ?1 AND lane = lanes.lane)
        + (SELECT COUNT(*) FROM (SELECT 1 FROM cases INDEXED BY cases_due
            WHERE due_at IS NOT NULL AND lease_until IS NULL
                AND lane = lanes.lane AND due_at <= ?1 LIMIT ?2))
        + (SELECT COUNT(*) FROM cases INDEXED BY cases_leased
            WHERE lease_until IS NOT NULL AND lease_until <= ?1 AND lane = lanes.lane) AS due,
        (SELECT MIN((SELECT next_at FROM tasks INDEXED BY tasks_waiting
            WHERE ready = 0 AND parked = 0 AND lease_until IS NULL AND next_at IS NOT NULL
                AND lane = lanes.lane AND struck = struck.struck AND next_at > ?1
            ORDER BY next_at LIMIT 1)) FROM struck) AS next_task,
        (SELECT due_at FROM cases INDEXED BY cases_due
            WHERE due_at IS NOT NULL AND lease_until IS NULL
                AND lane = lanes.lane AND due_at > ?1
            ORDER BY due_at LIMIT 1) AS next_case
    FROM lanes";

/// When the next lease ends.
pub(super) const LEASES: &str = "
    SELECT (SELECT MIN(lease_until) FROM tasks INDEXED BY tasks_leased
            WHERE lease_until IS NOT NULL AND lease_until > ?1),
           (SELECT MIN(lease_until) FROM cases INDEXED BY cases_leased
            WHERE lease_until IS NOT NULL AND lease_until > ?1)";

/// The agenda at `now`. Counts stop at a thousand a lane and kind.
pub(super) async fn agenda(
    connection: &mut SqliteConnection,
    now: DateTime<Utc>,
) -> Result<Agenda, Fault> {
    type Columns = (i64, i64, Option<i64>, Option<i64>);
    let lanes: Vec<Columns> =
        sqlx::query_as(AGENDA).bind(micros(now)).bind(COUNTED).fetch_all(&mut *connection).await?;
    let (tasks, cases): (Option<i64>, Option<i64>) =
        sqlx::query_as(LEASES).bind(micros(now)).fetch_one(connection).await?;
    let mut agenda = Agenda::default();
    let mut next = [tasks, cases].into_iter().flatten().min();
    for (lane, due, next_task, next_case) in lanes {
        if lane == 0 {
            agenda.urgent_due = count(due);
        }
        agenda.due += count(due);
        next = [next, next_task, next_case].into_iter().flatten().min();
    }
    agenda.next_at = next.map(time).transpose()?;
    Ok(agenda)
}
