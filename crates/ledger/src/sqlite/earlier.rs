//! What earlier plans of a case left, for the next one to know.

use std::collections::{BTreeMap, BTreeSet};

use severance_lifecycle::credential::Target;
use severance_lifecycle::event::Selector;
use severance_lifecycle::ids::{CaseId, TaskId};
use severance_lifecycle::task::{BlockReason, Task, TaskState};
use sqlx::SqliteConnection;

use crate::codec::{count, from_json};
use crate::fault::Fault;

/// What earlier plans of a case left.
#[derive(Default)]
pub(super) struct Earlier {
    /// The selectors that had no answer.
    pub(super) unresolved: Vec<Selector>,
    /// The tasks that stand for those of which only the secrets are still looked for.
    pub(super) looked_on: BTreeSet<TaskId>,
    /// How many credentials each task comes to that the case waits for.
    pub(super) known: BTreeMap<TaskId, usize>,
    /// The tasks for secrets.
    pub(super) secrets: Vec<Task>,
    /// Access keys that have tasks of their own, where secrets are still looked for.
    pub(super) keys: BTreeSet<String>,
}

/// Reads what earlier plans of a case left.
pub(super) async fn read(
    connection: &mut SqliteConnection,
    case: &CaseId,
) -> Result<Earlier, Fault> {
    let mut looked_on = BTreeSet::new();
    let unresolved = unresolved(connection, case, &mut looked_on).await?;
    let known = credentials(connection, case).await?;
    let secrets = secrets(connection, case).await?;
    let keys = if looked_on.is_empty() { BTreeSet::new() } else { keys(connection, case).await? };
    Ok(Earlier { unresolved, looked_on, known, secrets, keys })
}

/// The selectors that had no answer; and the tasks that stand for those of which only the secrets are still
/// looked for.
async fn unresolved(
    connection: &mut SqliteConnection,
    case: &CaseId,
    looked_on: &mut BTreeSet<TaskId>,
) -> Result<Vec<Selector>, Fault> {
    let bodies: Vec<String> = sqlx::query_scalar(
        "SELECT body FROM tasks INDEXED BY tasks_blocked
         WHERE case_id = ? AND state = 'blocked' AND kind = 'unresolved' ORDER BY number",
    )
    .bind(case.as_str())
    .fetch_all(connection)
    .await?;
    let mut selectors = Vec::new();
    for body in bodies {
        let task: Task = from_json("task", &body)?;
        if matches!(task.state, TaskState::Blocked { reason: BlockReason::SecretsNotListed }) {
            looked_on.insert(task.id);
        }
        if let Target::Unresolved { selector } = task.target {
            selectors.push(selector);
        }
    }
    Ok(selectors)
}

/// How many credentials each task comes to that the case waits for.
async fn credentials(
    connection: &mut SqliteConnection,
    case: &CaseId,
) -> Result<BTreeMap<TaskId, usize>, Fault> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT id, COALESCE(json_extract(body, '$.credentials'), 1)
         FROM tasks INDEXED BY tasks_case WHERE case_id = ? AND counts = 1",
    )
    .bind(case.as_str())
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(id, n)| (TaskId(id), count(n))).collect())
}

async fn secrets(connection: &mut SqliteConnection, case: &CaseId) -> Result<Vec<Task>, Fault> {
    let bodies: Vec<String> = sqlx::query_scalar(
        "SELECT body FROM tasks INDEXED BY tasks_case
         WHERE case_id = ? AND kind = 'secret' ORDER BY number",
    )
    .bind(case.as_str())
    .fetch_all(connection)
    .await?;
    bodies.iter().map(|body| from_json("task", body)).collect()
}

async fn keys(connection: &mut SqliteConnection, case: &CaseId) -> Result<BTreeSet<String>, Fault> {
    let keys: Vec<String> = sqlx::query_scalar(
        "SELECT json_extract(body, '$.target.key_id') FROM tasks INDEXED BY tasks_case
         WHERE case_id = ? AND kind = 'access-key'",
    )
    .bind(case.as_str())
    .fetch_all(connection)
    .await?;
    Ok(keys.into_iter().collect())
}
