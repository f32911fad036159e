//! The journal and the findings in it.

use chrono::{DateTime, Utc};
use severance_engine::ports::{Message, Topic};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::{CaseId, TaskId, ZoneName};
use severance_lifecycle::journal::{Happening, JournalEntry};
use severance_lifecycle::outcome;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::outbox;
use crate::codec::{micros, to_json};
use crate::fault::Fault;

/// Entries in one statement; `SQLite` takes 32,766 values.
const ROWS: usize = 64;

/// Appends an entry and returns its number. A finding is kept with the case as well.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    entry: &JournalEntry,
) -> Result<i64, Fault> {
    let last = append_all(connection, std::slice::from_ref(entry)).await?;
    last.ok_or(Fault::Store(sqlx::Error::RowNotFound))
}

/// Appends entries in order and returns the number of the last, if there is one.
pub(super) async fn append_all(
    connection: &mut SqliteConnection,
    entries: &[JournalEntry],
) -> Result<Option<i64>, Fault> {
    for entry in entries {
        if let Happening::Found { finding } = &entry.what {
            keep(connection, &entry.case, entry.at, finding).await?;
        }
    }
    let mut last = None;
    for rows in entries.chunks(ROWS) {
        last = last.max(insert(connection, rows).await?);
    }
    Ok(last)
}

/// Rows of one statement are numbered in their order.
async fn insert(
    connection: &mut SqliteConnection,
    entries: &[JournalEntry],
) -> Result<Option<i64>, Fault> {
    let what: Vec<String> = entries
        .iter()
        .map(|entry| to_json("journal entry", &entry.what))
        .collect::<Result<_, _>>()?;
    let mut insert =
        QueryBuilder::<Sqlite>::new("INSERT INTO journal (at, case_id, task_id, what) ");
    insert.push_values(entries.iter().zip(what), |mut row, (entry, what)| {
        row.push_bind(micros(entry.at))
            .push_bind(entry.case.as_str())
            .push_bind(entry.task.as_ref().map(TaskId::as_str))
            .push_bind(what);
    });
    insert.push(" RETURNING sequence");
    let sequences: Vec<i64> = insert.build_query_scalar().fetch_all(connection).await?;
    Ok(sequences.into_iter().max())
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
