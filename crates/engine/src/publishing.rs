//! The outbox pump: publishes what waits, in order, and lets no message hold up the others.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::{Either, select};
use futures::{StreamExt, stream};
use serde_json::json;
use severance_lifecycle::outcome::{ESCALATION_TYPE, OutboundEvent};
use sha2::{Digest, Sha256};

use crate::ports::{
    DLQ_HEADERS, EngineEvent, LedgerError, Message, OutboxEntry, PublishError, Topic,
};
use crate::shared::Shared;

/// Messages in one batch, and on their way at once.
const BATCH: usize = 128;

/// Publishes for ever; to be dropped when the worker drains.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut failures = 0;
    loop {
        let pause = match batch(&shared).await {
            Ok(published) if published.full => continue,
            Ok(published) => {
                failures = 0;
                published.again_in.unwrap_or(shared.config.poll)
            }
            Err(error) => {
                failures += 1;
                shared.ledger_failed("publish the outbox", &error);
                shared.delay(shared.config.retries.ledger, failures)
            }
        };
        let wait = shared.clock.sleep(pause.min(shared.config.poll));
        let written = std::pin::pin!(shared.urgency.outbox());
        select(written, wait).await;
    }
}

/// Publishes what can be published now, until nothing is left or the deadline passes: the last of a
/// drain.
pub(crate) async fn flush(shared: &Shared, within: TimeDelta) {
    let all = std::pin::pin!(async {
        while matches!(batch(shared).await, Ok(Published { full: true, .. })) {}
    });
    if let Either::Right(_) = select(all, shared.clock.sleep(within)).await {
        tracing::warn!("the outbox is not empty: the rest is published after the next start");
    }
}

struct Published {
    full: bool,
    /// When the first of the messages that failed is tried again.
    again_in: Option<TimeDelta>,
}

async fn batch(shared: &Shared) -> Result<Published, LedgerError> {
    let entries = shared.ledger.outbox(shared.now(), BATCH).await?;
    let full = entries.len() == BATCH;
    // `buffered` starts them in order, and the client keeps that order on each partition.
    let answers: Vec<_> = stream::iter(entries)
        .map(|entry| async {
            let answer = shared.publisher.publish(&entry.message).await;
            (entry, answer)
        })
        .buffered(BATCH)
        .collect()
        .await;
    let mut done = Vec::new();
    let mut failed = Vec::new();
    for (entry, answer) in answers {
        let failure = answer.as_ref().err().map(words);
        let topic = entry.message.topic;
        shared.observer.on(&EngineEvent::Published { topic, failure: failure.as_deref() });
        match answer {
            Ok(()) => done.push(entry.id),
            Err(error) => failed.push((entry, error)),
        }
    }
    // First of all: what stays in the outbox is published again.
    if !done.is_empty() {
        shared.ledger.published(&done).await?;
    }
    let mut again_in: Option<TimeDelta> = None;
    for (entry, error) in failed {
        let delay = put_off(shared, &entry, &error).await?;
        again_in = Some(again_in.map_or(delay, |other| other.min(delay)));
    }
    Ok(Published { full, again_in })
}

/// How soon it is tried again. One that is too large is announced in its place at once.
async fn put_off(
    shared: &Shared,
    entry: &OutboxEntry,
    error: &PublishError,
) -> Result<TimeDelta, LedgerError> {
    match error {
        PublishError::TooLarge { bytes } => {
            let announcement = announcement(entry, *bytes, shared.now());
            shared.ledger.spill(entry.id, &announcement).await?;
            Ok(TimeDelta::zero())
        }
        PublishError::Failed { .. } => {
            let attempts = entry.attempts.saturating_add(1);
            let delay = shared.delay(shared.config.retries.publish, attempts);
            shared.ledger.defer(entry.id, shared.now() + delay, &words(error)).await?;
            Ok(delay)
        }
    }
}

fn words(error: &PublishError) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Takes the place of a message that no broker takes: what it was, its digest, and where it is kept.
/// A dead letter's announcement keeps the headers that name its record: ours, the last of each name. The
/// record's own may be what is too large.
fn announcement(entry: &OutboxEntry, bytes: usize, at: DateTime<Utc>) -> Message {
    let value = entry.message.value.as_deref().unwrap_or_default();
    let event = OutboundEvent {
        id: format!("spilled-{}", entry.id),
        event_type: ESCALATION_TYPE,
        time: at,
        key: format!("-/outbox-{}", entry.id),
        data: json!({
            "message": format!("a message of {bytes} bytes is too large for the broker: it is kept in the ledger"),
            "detail": {
                "outbox": entry.id,
                "topic": entry.message.topic,
                "bytes": bytes,
                "sha256": hex::encode(Sha256::digest(value)),
            },
        }),
    };
    let mut message = Message::event(Topic::Escalation, &event);
    if entry.message.topic == Topic::DeadLetter {
        message.topic = Topic::DeadLetter;
        let headers = &entry.message.headers;
        let last = |name: &&str| headers.iter().rev().find(|(other, _)| other == name).cloned();
        message.headers.extend(DLQ_HEADERS.iter().filter_map(last));
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_names_the_record_and_is_small_whatever_its_headers_hold() {
        let header = |name: &str, value: &[u8]| (name.to_owned(), Some(value.to_vec()));
        let mut headers = vec![
            header("__dlq.errors.topic", &[b'x'; 1_000_000]),
            header("__dlq.anything", &[b'x'; 1_000_000]),
            header("ce_id", b"1"),
        ];
        let ours =
            DLQ_HEADERS.iter().zip([&b"notices"[..], b"0", b"7", b"data.severity: is missing"]);
        headers.extend(ours.map(|(name, value)| header(name, value)));
        let message =
            Message { topic: Topic::DeadLetter, key: None, value: Some(vec![0; 9]), headers };
        let entry = OutboxEntry { id: 5, message, attempts: 0 };
        let said = announcement(&entry, 2_000_000, DateTime::UNIX_EPOCH);
        assert_eq!(said.topic, Topic::DeadLetter);
        let told: Vec<_> = DLQ_HEADERS
            .iter()
            .map(|name| {
                let mut all = said.headers.iter().filter(|(other, _)| other == name);
                let value = all.next().and_then(|(_, value)| value.clone()).unwrap_or_default();
                assert!(all.next().is_none(), "{name} twice");
                String::from_utf8_lossy(&value).into_owned()
            })
            .collect();
        assert_eq!(told, ["notices", "0", "7", "data.severity: is missing"]);
        let size: usize =
            said.headers.iter().filter_map(|(_, value)| value.as_ref()).map(Vec::len).sum();
        assert!(size < 1_000, "{size}");
    }
}
