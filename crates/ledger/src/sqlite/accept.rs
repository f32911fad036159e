//! The way in: events become cases, what cannot be read becomes a dead letter.

use std::collections::HashMap;

use severance_engine::ports::{Acceptance, Arrival, DLQ_HEADERS, Message, Topic};
use severance_lifecycle::case::{Case, remarks};
use severance_lifecycle::event::{Event, Malformed, Payload, Trigger};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::CaseId;
use severance_lifecycle::journal::{Happening, JournalEntry};
use severance_lifecycle::rotation_schedule;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{cases, contracts, journal, outbox};
use crate::codec::{headers_to_bytes, micros, to_json};
use crate::fault::Fault;

/// Rows in one statement: `SQLite` takes 32,766 values, and a row of the inbox is 13.
const ROWS: usize = 256;

/// Stores a batch; one answer per arrival, in order.
pub(super) async fn accept(
    connection: &mut SqliteConnection,
    batch: &[Arrival],
) -> Result<Vec<Acceptance>, Fault> {
    let mut opened = open_at_once(connection, batch).await?;
    let mut answers = Vec::with_capacity(batch.len());
    for (number, arrival) in batch.iter().enumerate() {
        let answer = match &arrival.parsed {
            Ok(event) => match opened.remove(&number) {
                Some(case) => {
                    note_remarks(connection, arrival, event, &case).await?;
                    Acceptance::Accepted { case: case.id }
                }
                None => accept_event(connection, arrival, event).await?,
            },
            Err(malformed) => dead_letter(connection, arrival, malformed).await?,
        };
        answers.push(answer);
    }
    let accepted = answers.iter().filter(|it| matches!(it, Acceptance::Accepted { .. })).count();
    if accepted > 0 {
        add(connection, "accepted", accepted).await?;
    }
    Ok(answers)
}

/// Stores all compromise notices and rotations of a batch at once: a burst of them must not hold up the work
/// that it asks for, or, of rotations, work that is more urgent. Answers the cases of those that are new, by
/// their place in the batch.
///
/// Where a contract's end is among them, none: what it means for the cases before it depends on the
/// order, and is judged one by one.
async fn open_at_once(
    connection: &mut SqliteConnection,
    batch: &[Arrival],
) -> Result<HashMap<usize, Case>, Fault> {
    let mut rows = Vec::with_capacity(batch.len());
    for (place, arrival) in batch.iter().enumerate() {
        match &arrival.parsed {
            Ok(event) if event.trigger() != Trigger::ContractEnd => {
                let at = arrival.coordinates.timestamp;
                let case = Case::open(event, at, arrival.received_at);
                rows.push((place, Row { arrival, event, case }));
            }
            Ok(_) => return Ok(HashMap::new()),
            Err(_) => {}
        }
    }
    let mut opened = HashMap::new();
    for rows in rows.chunks(ROWS) {
        let stored = store(connection, "inbox", rows.iter().map(|(_, row)| row)).await?;
        let mut numbers: HashMap<_, _> =
            stored.into_iter().map(|(number, source, id)| ((source, id), number)).collect();
        // Of two in one batch with the same key the first was stored: it takes the number.
        let new: Vec<_> = rows
            .iter()
            .filter_map(|(place, row)| {
                let key = (row.event.key.source.clone(), row.event.key.id.clone());
                Some((*place, numbers.remove(&key)?, row))
            })
            .collect();
        let cases = new.iter().map(|(_, number, row)| (*number, &row.case, row.event));
        let with_case = cases::insert(connection, cases).await?;
        let mut journal = Vec::with_capacity(new.len());
        for (place, number, row) in new {
            if with_case.contains(&number) {
                journal.push(accepted(row.arrival, &row.case));
                opened.insert(place, row.case.clone());
            } else {
                forget(connection, number).await?;
            }
        }
        journal::append_all(connection, &journal).await?;
    }
    Ok(opened)
}

async fn accept_event(
    connection: &mut SqliteConnection,
    arrival: &Arrival,
    event: &Event,
) -> Result<Acceptance, Fault> {
    let case = Case::open(event, arrival.coordinates.timestamp, arrival.received_at);
    let row = Row { arrival, event, case };
    let stored = store(connection, "inbox", std::iter::once(&row)).await?;
    let Some((number, ..)) = stored.into_iter().next() else {
        let (digest, case) = known(connection, event).await?;
        if digest == event.digest {
            // What our own policy asks for once more came only once from outside.
            if event.key.source != rotation_schedule::SOURCE {
                add(connection, "duplicates", 1).await?;
            }
            return Ok(Acceptance::Duplicate { case });
        }
        return conflict(connection, arrival, event, case).await;
    };
    let Row { case, .. } = row;
    let with_case = cases::insert(connection, std::iter::once((number, &case, event))).await?;
    if with_case.is_empty() {
        // Another event's id has the same hash: nobody makes that by accident.
        forget(connection, number).await?;
        return conflict(connection, arrival, event, case.id).await;
    }
    journal::append(connection, &accepted(arrival, &case)).await?;
    note_remarks(connection, arrival, event, &case).await?;
    if let Payload::ContractEnd(end) = &event.payload {
        contracts::judge(connection, &case, end, &event.digest, arrival.received_at).await?;
    }
    Ok(Acceptance::Accepted { case: case.id })
}

fn accepted(arrival: &Arrival, case: &Case) -> JournalEntry {
    let what = Happening::Accepted;
    JournalEntry { at: arrival.received_at, case: case.id.clone(), task: None, what }
}

/// Takes an event out of the inbox that got no case.
async fn forget(connection: &mut SqliteConnection, number: i64) -> Result<(), Fault> {
    sqlx::query("DELETE FROM inbox WHERE number = ?").bind(number).execute(connection).await?;
    Ok(())
}

/// The digest and case of an event that is in the inbox already.
async fn known(
    connection: &mut SqliteConnection,
    event: &Event,
) -> Result<(String, CaseId), Fault> {
    let (digest, case): (String, String) =
        sqlx::query_as("SELECT digest, case_id FROM inbox WHERE source = ? AND event_id = ?")
            .bind(&event.key.source)
            .bind(&event.key.id)
            .fetch_one(connection)
            .await?;
    Ok((digest, CaseId(case)))
}

/// Known source and id, other content: kept, escalated once and shown with the case.
async fn conflict(
    connection: &mut SqliteConnection,
    arrival: &Arrival,
    event: &Event,
    case: CaseId,
) -> Result<Acceptance, Fault> {
    let opened = Case::open(event, arrival.coordinates.timestamp, arrival.received_at);
    let row = Row { arrival, event, case: Case { id: case.clone(), ..opened } };
    let kept = store(connection, "conflicts", std::iter::once(&row)).await?;
    // The same conflict again is a record that was delivered twice.
    if !kept.is_empty() {
        add(connection, "conflicts", 1).await?;
        let zone = cases::load(connection, &case).await?.case.zone;
        let finding = Finding::ContentConflict { case: case.clone(), digest: event.digest.clone() };
        journal::found(connection, &case, zone.as_ref(), arrival.received_at, finding).await?;
    }
    Ok(Acceptance::Conflict { case })
}

/// What is stored of an arrival.
struct Row<'a> {
    arrival: &'a Arrival,
    event: &'a Event,
    case: Case,
}

/// Stores arrivals in the inbox or among the conflicts, as they came and as they were read. Answers the
/// number, source and id of those that were not there yet.
async fn store<'a>(
    connection: &mut SqliteConnection,
    into: &'static str,
    rows: impl Iterator<Item = &'a Row<'a>>,
) -> Result<Vec<(i64, String, String)>, Fault> {
    let rows: Vec<(&Row<'_>, String)> =
        rows.map(|row| Ok((row, to_json("event", row.event)?))).collect::<Result<_, Fault>>()?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let single = rows.len() == 1;
    let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO ");
    insert.push(into).push(
        " (source, event_id, digest, case_id, topic, partition, log_offset, record_time,
           received_at, event, record_key, record_headers, record_value) ",
    );
    insert.push_values(rows, |mut values, (row, event)| {
        let Row { arrival, event: Event { key, digest, .. }, case } = row;
        let coordinates = &arrival.coordinates;
        values
            .push_bind(key.source.as_str())
            .push_bind(key.id.as_str())
            .push_bind(digest.as_str())
            .push_bind(case.id.as_str())
            .push_bind(coordinates.topic.as_str())
            .push_bind(coordinates.partition)
            .push_bind(coordinates.offset)
            .push_bind(micros(coordinates.timestamp))
            .push_bind(micros(arrival.received_at))
            .push_bind(event)
            .push_bind(arrival.key.as_deref())
            .push_bind(headers_to_bytes(&arrival.headers))
            .push_bind(arrival.value.as_deref());
    });
    insert.push(" ON CONFLICT DO NOTHING RETURNING number, source, event_id");
    // Batches are of all sizes: only the usual statement is worth keeping.
    Ok(insert.build_query_as().persistent(single).fetch_all(connection).await?)
}

/// Notes what a person should know of an event as it came. A time that lies after the record's own is clamped
/// to it; that is noted here, where the record's time is still known.
async fn note_remarks(
    connection: &mut SqliteConnection,
    arrival: &Arrival,
    event: &Event,
    case: &Case,
) -> Result<(), Fault> {
    for finding in remarks(event, arrival.coordinates.timestamp) {
        journal::found(connection, &case.id, case.zone.as_ref(), arrival.received_at, finding)
            .await?;
    }
    Ok(())
}

/// Puts a malformed record into the outbox as it came, with what is wrong with it (KIP-1191). A record
/// that is delivered again (its offset was not stored before a crash) is not put there twice.
async fn dead_letter(
    connection: &mut SqliteConnection,
    arrival: &Arrival,
    malformed: &Malformed,
) -> Result<Acceptance, Fault> {
    let coordinates = &arrival.coordinates;
    let reason = malformed.to_string();
    let new = sqlx::query(
        "INSERT INTO dead_letters (topic, partition, log_offset, record_time, received_at, reason)
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(&coordinates.topic)
    .bind(coordinates.partition)
    .bind(coordinates.offset)
    .bind(micros(coordinates.timestamp))
    .bind(micros(arrival.received_at))
    .bind(&reason)
    .execute(&mut *connection)
    .await?;
    if new.rows_affected() == 0 {
        return Ok(Acceptance::DeadLettered);
    }
    let mut headers = arrival.headers.clone();
    let texts = [
        coordinates.topic.clone(),
        coordinates.partition.to_string(),
        coordinates.offset.to_string(),
        reason,
    ];
    let ours = DLQ_HEADERS.iter().zip(texts);
    headers.extend(ours.map(|(name, text)| ((*name).to_owned(), Some(text.into_bytes()))));
    let message = Message {
        topic: Topic::DeadLetter,
        key: arrival.key.clone(),
        value: arrival.value.clone(),
        headers,
    };
    outbox::push(connection, message, None).await?;
    add(connection, "dead-lettered", 1).await?;
    Ok(Acceptance::DeadLettered)
}

/// Counts up.
async fn add(
    connection: &mut SqliteConnection,
    name: &'static str,
    by: usize,
) -> Result<(), Fault> {
    sqlx::query("UPDATE totals SET n = n + ? WHERE name = ?")
        .bind(i64::try_from(by).unwrap_or(i64::MAX))
        .bind(name)
        .execute(connection)
        .await?;
    Ok(())
}
