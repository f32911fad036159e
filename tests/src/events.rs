//! Events, as their senders write them.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::clock::now;

/// The topic of compromise notices.
pub const NOTICES: &str = "credential.compromise-notice";
/// The topic of rotations.
pub const ROTATIONS: &str = "credential.rotation";
/// The topic of contract ends.
pub const CONTRACT_ENDS: &str = "credential.contract-end";

/// An event and where it goes.
#[derive(Debug, Clone)]
pub struct Event {
    /// The topic.
    pub topic: &'static str,
    /// CloudEvents `id`.
    pub id: String,
    /// The whole event in structured mode.
    pub body: Value,
}

/// A critical notice, discovered now, for these selectors.
pub fn notice(id: &str, credentials: &[Value]) -> Event {
    let time = now();
    let data = json!({
        "credentials": credentials,
        "discovered_at": time,
        "severity": "critical",
        "reporter": "soc",
        "reason": "found on a paste site",
    });
    event(NOTICES, "io.severance.compromise-notice.v1", id, time, &data)
}

/// A critical notice for one access key.
pub fn key_notice(id: &str, access_key_id: &str) -> Event {
    notice(id, &[json!({ "access_key_id": access_key_id })])
}

/// A rotation of a secret that somebody asked for.
pub fn secret_rotation(id: &str, arn: &str) -> Event {
    rotation(id, &[json!({ "secret": arn })])
}

/// A rotation that somebody asked for, for these selectors.
pub fn rotation(id: &str, credentials: &[Value]) -> Event {
    let data = json!({ "credentials": credentials, "cause": "requested" });
    event(ROTATIONS, "io.severance.rotation.v1", id, now(), &data)
}

/// A contract event. `change` is `ended`, `extended` or `reinstated`.
pub fn contract_end(
    id: &str,
    (zone, contract): (&str, &str),
    change: &str,
    revision: u64,
    effective_at: DateTime<Utc>,
) -> Event {
    let data = json!({
        "contract": contract,
        "zone": zone,
        "effective_at": effective_at,
        "reason": "the engagement is over",
        "change": change,
        "revision": revision,
    });
    event(CONTRACT_ENDS, "io.severance.contract-end.v1", id, now(), &data)
}

fn event(
    topic: &'static str,
    event_type: &str,
    id: &str,
    time: DateTime<Utc>,
    data: &Value,
) -> Event {
    let body = json!({
        "specversion": "1.0",
        "type": event_type,
        "source": "/tests",
        "id": id,
        "time": time,
        "datacontenttype": "application/json",
        "data": data,
    });
    Event { topic, id: id.to_owned(), body }
}
