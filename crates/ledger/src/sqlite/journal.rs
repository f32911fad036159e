//! The journal and the findings in it.

use chrono::{DateTime, Utc};
use severance_engine::ports::{Message, Topic};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::{CaseId, TaskId, ZoneName};
use severance_lifecycle::journal::{Happening, JournalEntry};
use severance_lifecycle::outcome;
use sqlx::SqliteConnection;

use super::outbox;
use crate::codec::{micros, to_json};
use crate::fault::Fault;

/// Appends an entry and returns its number. A finding is kept with the case as well.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    entry: &JournalEntry,
) -> Result<i64, Fault> {
    if let Happening::Found { finding } = &entry.what {
        keep(connection, &entry.case, entry.at, finding).await?;
    }
    let sequence = sqlx::query_scalar(
        "INSERT INTO journal (at, case_id, task_id, what) VALUES (?, ?, ?, ?) RETURNING sequence",
    )
    .bind(micros(entry.at))
    .bind(entry.case.as_str())
    .bind(entry.task.as_ref().map(TaskId::as_str))
    .bind(to_json("journal entry", &entry.what)?)
    .fetch_one(connection)
    .await?;
    Ok(sequence)
}

/// Appends entries in order and returns the number of the last, if there is one.
pub(super) async fn append_all(
    connection: &mut SqliteConnection,
    entries: &[JournalEntry],
) -> Result<Option<i64>, Fault> {
    let mut last = None;
    for entry in entries {
        last = Some(append(connection, entry).await?);
    }
    Ok(last)
}

/// Appends something about a whole case.
pub(super) async fn about_case(
    connection: &mut SqliteConnection,
    case: &CaseId,
    at: DateTime<Utc>,
    what: Happening,
) -> Result<i64, Fault> {
    append(connection, &JournalEntry { at, case: case.clone(), task: None, what }).await
}

/// Records a finding of a case and, where it asks for a person, escalates it.
pub(super) async fn found(
    connection: &mut SqliteConnection,
    case: &CaseId,
    zone: Option<&ZoneName>,
    at: DateTime<Utc>,
    finding: Finding,
) -> Result<(), Fault> {
    let escalation =
        finding.escalates().then(|| outcome::escalation(Some(case), None, zone, &finding, at));
    let sequence = about_case(connection, case, at, Happening::Found { finding }).await?;
    if let Some(event) = escalation {
        let message = Message::event(Topic::Escalation, &event);
        outbox::push(connection, message, Some(sequence)).await?;
    }
    Ok(())
}

async fn keep(
    connection: &mut SqliteConnection,
    case: &CaseId,
    at: DateTime<Utc>,
    finding: &Finding,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO findings (case_id, at, finding) VALUES (?, ?, ?)
         ON CONFLICT (case_id, finding) DO NOTHING",
    )
    .bind(case.as_str())
    .bind(micros(at))
    .bind(to_json("finding", finding)?)
    .execute(connection)
    .await?;
    Ok(())
}
