//! The outbox pump: publishes what waits, in order, and lets no message hold up the others.

use std::sync::Arc;

use chrono::TimeDelta;
use futures::future::{Either, select};
use futures::{StreamExt, stream};
use serde_json::json;
use severance_lifecycle::outcome::{ESCALATION_TYPE, OutboundEvent};
use sha2::{Digest, Sha256};

use crate::ports::{EngineEvent, LedgerError, Message, OutboxEntry, PublishError, Topic};
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
    let mut again_in: Option<TimeDelta> = None;
    for (entry, answer) in answers {
        let failure = answer.as_ref().err().map(words);
        let topic = entry.message.topic;
        shared.observer.on(&EngineEvent::Published { topic, failure: failure.as_deref() });
        match answer {
            Ok(()) => done.push(entry.id),
            Err(PublishError::TooLarge { bytes }) => {
                shared.ledger.spill(entry.id, &announcement(&entry, bytes, shared)).await?;
                again_in = Some(TimeDelta::zero());
            }
            Err(PublishError::Failed { .. }) => {
                let attempts = entry.attempts.saturating_add(1);
                let delay = shared.delay(shared.config.retries.publish, attempts);
                let why = failure.unwrap_or_default();
                shared.ledger.defer(entry.id, shared.now() + delay, &why).await?;
                again_in = Some(again_in.map_or(delay, |other| other.min(delay)));
            }
        }
    }
    if !done.is_empty() {
        shared.ledger.published(&done).await?;
    }
    Ok(Published { full, again_in })
}

fn words(error: &PublishError) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Takes the place of a message that no broker takes: what it was, its digest, and where it is kept.
/// A dead letter's announcement keeps its headers, which name its record.
fn announcement(entry: &OutboxEntry, bytes: usize, shared: &Shared) -> Message {
    let value = entry.message.value.as_deref().unwrap_or_default();
    let event = OutboundEvent {
        id: format!("spilled-{}", entry.id),
        event_type: ESCALATION_TYPE,
        time: shared.now(),
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
        let dlq = |name: &String| name.starts_with("__dlq.");
        message.topic = Topic::DeadLetter;
        message.headers.extend(entry.message.headers.iter().filter(|(n, _)| dlq(n)).cloned());
    }
    message
}
