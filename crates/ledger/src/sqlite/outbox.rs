//! Messages that wait to be published.

use chrono::{DateTime, Utc};
use severance_engine::ports::{Message, OutboxEntry};
use sqlx::SqliteConnection;

use crate::codec::{
    count, fill_sequence, headers_from_bytes, headers_to_bytes, micros, priority, to_json, topic,
    topic_name,
};
use crate::fault::Fault;

/// One reading of the outbox is at most so many bytes (and at least one message): dead letters may be
/// of a megabyte each, and the worker is to stay small.
const MAX_BYTES: i64 = 4 * 1024 * 1024;

/// What may be published and never failed, urgent topics first.
pub(super) const FRESH: &str = "SELECT id, priority, size FROM outbox INDEXED BY outbox_fresh
     WHERE next_at = 0 ORDER BY priority, id LIMIT ?1";

/// What failed and is due again.
pub(super) const DEFERRED: &str = "SELECT id, priority, size FROM outbox
     INDEXED BY outbox_deferred
     WHERE next_at > 0 AND priority = ?3 AND next_at <= ?2 ORDER BY next_at, id LIMIT ?1";

/// Writes a message, with the number of the journal entry that it belongs to where it asks for it.
pub(super) async fn push(
    connection: &mut SqliteConnection,
    message: Message,
    sequence: Option<i64>,
) -> Result<(), Fault> {
    let row = Row::of(message, sequence);
    sqlx::query(
        "INSERT INTO outbox (priority, topic, size, key, headers, value)
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(row.priority)
    .bind(row.topic)
    .bind(row.size)
    .bind(row.key)
    .bind(row.headers)
    .bind(row.value)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes messages in order.
pub(super) async fn push_all(
    connection: &mut SqliteConnection,
    messages: Vec<Message>,
    sequence: Option<i64>,
) -> Result<(), Fault> {
    for message in messages {
        push(connection, message, sequence).await?;
    }
    Ok(())
}

struct Row {
    priority: i64,
    topic: &'static str,
    size: i64,
    key: Option<Vec<u8>>,
    headers: Vec<u8>,
    value: Option<Vec<u8>>,
}

impl Row {
    fn of(message: Message, sequence: Option<i64>) -> Self {
        let value = match sequence {
            Some(sequence) => fill_sequence(message.value, sequence),
            None => message.value,
        };
        let headers = headers_to_bytes(&message.headers);
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let size = headers.len() + length(&message.key) + length(&value);
        Self {
            priority: priority(message.topic),
            topic: topic_name(message.topic),
            size: i64::try_from(size).unwrap_or(i64::MAX),
            key: message.key,
            headers,
            value,
        }
    }
}

/// The messages that may be published at `now`: escalations, then outcomes, then dead letters, each in
/// order of writing.
pub(super) async fn due(
    connection: &mut SqliteConnection,
    now: DateTime<Utc>,
    limit: usize,
) -> Result<Vec<OutboxEntry>, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut found: Vec<(i64, i64, i64)> =
        sqlx::query_as(FRESH).bind(limit).fetch_all(&mut *connection).await?;
    for priority in 0..3_i64 {
        let deferred: Vec<(i64, i64, i64)> = sqlx::query_as(DEFERRED)
            .bind(limit)
            .bind(micros(now))
            .bind(priority)
            .fetch_all(&mut *connection)
            .await?;
        found.extend(deferred);
    }
    found.sort_unstable_by_key(|(id, priority, _)| (*priority, *id));
    let mut room = MAX_BYTES;
    let mut ids = Vec::new();
    for (id, _, size) in found.into_iter().take(count(limit)) {
        if !ids.is_empty() && size > room {
            break;
        }
        room -= size;
        ids.push(id);
    }
    read(connection, &ids).await
}

async fn read(connection: &mut SqliteConnection, ids: &[i64]) -> Result<Vec<OutboxEntry>, Fault> {
    type Columns = (i64, String, i64, Option<Vec<u8>>, Vec<u8>, Option<Vec<u8>>);
    let rows: Vec<Columns> = sqlx::query_as(
        "SELECT o.id, o.topic, o.attempts, o.key, o.headers, o.value
         FROM json_each(?) AS wanted CROSS JOIN outbox AS o ON o.id = wanted.value
         ORDER BY o.priority, o.id",
    )
    .bind(to_json("ids", &ids)?)
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(id, name, attempts, key, headers, value)| {
            let headers = headers_from_bytes(&headers)?;
            let message = Message { topic: topic(&name)?, key, value, headers };
            Ok(OutboxEntry { id, message, attempts: u32::try_from(attempts).unwrap_or(u32::MAX) })
        })
        .collect()
}

/// Published messages leave.
pub(super) async fn remove(connection: &mut SqliteConnection, ids: &[i64]) -> Result<(), Fault> {
    sqlx::query("DELETE FROM outbox WHERE id IN (SELECT value FROM json_each(?))")
        .bind(to_json("ids", &ids)?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Publishing failed.
pub(super) async fn defer(
    connection: &mut SqliteConnection,
    id: i64,
    again_at: DateTime<Utc>,
    why: &str,
) -> Result<(), Fault> {
    // 0 would say that it never failed.
    let again_at = micros(again_at).max(1);
    sqlx::query("UPDATE outbox SET next_at = ?, error = ?, attempts = attempts + 1 WHERE id = ?")
        .bind(again_at)
        .bind(why)
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Puts an announcement in a message's place, and the message aside. An announcement that is spilled in its
/// turn makes room for the next one: the message that it told of stays.
pub(super) async fn spill(
    connection: &mut SqliteConnection,
    id: i64,
    announcement: Message,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT OR IGNORE INTO spilled (id, topic, key, headers, value)
         SELECT id, topic, key, headers, value FROM outbox WHERE id = ?",
    )
    .bind(id)
    .execute(&mut *connection)
    .await?;
    let row = Row::of(announcement, None);
    let replaced = sqlx::query(
        "UPDATE outbox SET priority = ?, topic = ?, size = ?, key = ?, headers = ?, value = ?,
             next_at = 0, attempts = 0, error = NULL
         WHERE id = ?",
    )
    .bind(row.priority)
    .bind(row.topic)
    .bind(row.size)
    .bind(row.key)
    .bind(row.headers)
    .bind(row.value)
    .bind(id)
    .execute(connection)
    .await?;
    if replaced.rows_affected() == 0 {
        return Err(Fault::not_found(format!("message {id}")));
    }
    Ok(())
}
