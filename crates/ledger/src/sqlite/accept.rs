//! The way in: events become cases, what cannot be read becomes a dead letter.

use severance_engine::ports::{Acceptance, Arrival, Message, Topic};
use severance_lifecycle::case::{Case, clamped_times};
use severance_lifecycle::event::{Event, Malformed, Payload};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::CaseId;
use severance_lifecycle::journal::Happening;
use sqlx::SqliteConnection;

use super::{cases, contracts, journal, outbox};
use crate::codec::{headers_to_bytes, micros, to_json};
use crate::fault::Fault;

/// Stores a batch; one answer per arrival, in order.
pub(super) async fn accept(
    connection: &mut SqliteConnection,
    batch: Vec<Arrival>,
) -> Result<Vec<Acceptance>, Fault> {
    let mut answers = Vec::with_capacity(batch.len());
    for arrival in batch {
        let answer = match &arrival.parsed {
            Ok(event) => accept_event(connection, &arrival, event).await?,
            Err(malformed) => dead_letter(connection, &arrival, malformed).await?,
        };
        answers.push(answer);
    }
    Ok(answers)
}

async fn accept_event(
    connection: &mut SqliteConnection,
    arrival: &Arrival,
    event: &Event,
) -> Result<Acceptance, Fault> {
    if let Some((digest, case)) = known(connection, event).await? {
        if digest == event.digest {
            add(connection, "duplicates").await?;
            return Ok(Acceptance::Duplicate { case });
        }
        return conflict(connection, arrival, event, case).await;
    }
    let case = Case::open(event, arrival.coordinates.timestamp, arrival.received_at);
    let number = store(connection, "INSERT INTO inbox", arrival, event, &case.id).await?;
    let Some(number) = number else {
        return Err(Fault::conflict(format!("event {}", event.key), "it was stored meanwhile"));
    };
    if !cases::insert(connection, number, &case, event).await? {
        // Another event's id has the same hash: nobody makes that by accident.
        sqlx::query("DELETE FROM inbox WHERE number = ?")
            .bind(number)
            .execute(&mut *connection)
            .await?;
        return conflict(connection, arrival, event, case.id).await;
    }
    add(connection, "accepted").await?;
    journal::about_case(connection, &case.id, arrival.received_at, Happening::Accepted).await?;
    note_clamped_times(connection, arrival, event, &case).await?;
    if let Payload::ContractEnd(end) = &event.payload {
        contracts::judge(connection, &case, end, &event.digest, arrival.received_at).await?;
    }
    Ok(Acceptance::Accepted { case: case.id })
}

/// The digest and case of an event that is known.
async fn known(
    connection: &mut SqliteConnection,
    event: &Event,
) -> Result<Option<(String, CaseId)>, Fault> {
    let row: Option<(String, String)> =
        sqlx::query_as("SELECT digest, case_id FROM inbox WHERE source = ? AND event_id = ?")
            .bind(&event.key.source)
            .bind(&event.key.id)
            .fetch_optional(connection)
            .await?;
    Ok(row.map(|(digest, case)| (digest, CaseId(case))))
}

/// Known source and id, other content: kept, escalated once and shown with the case.
async fn conflict(
    connection: &mut SqliteConnection,
    arrival: &Arrival,
    event: &Event,
    case: CaseId,
) -> Result<Acceptance, Fault> {
    let kept = store(connection, "INSERT INTO conflicts", arrival, event, &case).await?;
    // The same conflict again is a record that was delivered twice.
    if kept.is_some() {
        add(connection, "conflicts").await?;
        let zone = cases::load(connection, &case).await?.case.zone;
        let finding = Finding::ContentConflict { case: case.clone(), digest: event.digest.clone() };
        journal::found(connection, &case, zone.as_ref(), arrival.received_at, finding).await?;
    }
    Ok(Acceptance::Conflict { case })
}

/// Stores an arrival in the inbox or among the conflicts, as it came and as it was read. `None` where
/// it is there already.
async fn store(
    connection: &mut SqliteConnection,
    into: &'static str,
    arrival: &Arrival,
    event: &Event,
    case: &CaseId,
) -> Result<Option<i64>, Fault> {
    let coordinates = &arrival.coordinates;
    let mut insert = sqlx::QueryBuilder::<sqlx::Sqlite>::new(into);
    insert.push(
        " (source, event_id, digest, case_id, topic, partition, log_offset, record_time,
           received_at, event, record_key, record_headers, record_value) VALUES (",
    );
    insert
        .separated(", ")
        .push_bind(event.key.source.as_str())
        .push_bind(event.key.id.as_str())
        .push_bind(event.digest.as_str())
        .push_bind(case.as_str())
        .push_bind(coordinates.topic.as_str())
        .push_bind(coordinates.partition)
        .push_bind(coordinates.offset)
        .push_bind(micros(coordinates.timestamp))
        .push_bind(micros(arrival.received_at))
        .push_bind(to_json("event", event)?)
        .push_bind(arrival.key.as_deref())
        .push_bind(headers_to_bytes(&arrival.headers))
        .push_bind(arrival.value.as_deref());
    insert.push(") ON CONFLICT DO NOTHING RETURNING number");
    Ok(insert.build_query_scalar().fetch_optional(connection).await?)
}

/// Either time of a notice that lies after the record's own is clamped to it; that is noted here, where
/// the record's time is still known.
async fn note_clamped_times(
    connection: &mut SqliteConnection,
    arrival: &Arrival,
    event: &Event,
    case: &Case,
) -> Result<(), Fault> {
    for finding in clamped_times(event, arrival.coordinates.timestamp) {
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
    for (name, text) in [
        ("topic", coordinates.topic.clone()),
        ("partition", coordinates.partition.to_string()),
        ("offset", coordinates.offset.to_string()),
        ("message", reason),
    ] {
        headers.push((format!("__dlq.errors.{name}"), Some(text.into_bytes())));
    }
    let message = Message {
        topic: Topic::DeadLetter,
        key: arrival.key.clone(),
        value: arrival.value.clone(),
        headers,
    };
    outbox::push(connection, message, None).await?;
    add(connection, "dead-lettered").await?;
    Ok(Acceptance::DeadLettered)
}

/// Counts one up.
async fn add(connection: &mut SqliteConnection, name: &'static str) -> Result<(), Fault> {
    sqlx::query("UPDATE totals SET n = n + 1 WHERE name = ?")
        .bind(name)
        .execute(connection)
        .await?;
    Ok(())
}
