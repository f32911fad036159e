//! Records that no worker can accept.

use severance_engine::ports::Headers;
use severance_kafka::Inbound;
use severance_lifecycle::event::{COMPROMISE_NOTICE_TYPE, CONTRACT_END_TYPE, ROTATION_TYPE};

use super::events::SOURCE;

/// A record and where it goes: each number has another fault.
pub(super) fn malformed(number: usize) -> (Inbound, String, Headers) {
    let structured = |event_type: &str, data: &str| {
        format!(
            r#"{{"specversion":"1.0","type":"{event_type}","source":"{SOURCE}","id":"bad-{number}","data":{data}}}"#
        )
    };
    let (inbound, value) = match number % 8 {
        0 => (Inbound::CompromiseNotice, "{ this is not JSON".to_owned()),
        1 => (Inbound::CompromiseNotice, structured(COMPROMISE_NOTICE_TYPE, "{}")),
        2 => (
            Inbound::ContractEnd,
            structured(
                CONTRACT_END_TYPE,
                r#"{"contract":"c","zone":"acme","effective_at":"next week","reason":"r","revision":1}"#,
            ),
        ),
        3 => (
            Inbound::CompromiseNotice,
            structured(
                COMPROMISE_NOTICE_TYPE,
                r#"{"credentials":[{"user":"a"}],"discovered_at":"2026-01-01T00:00:00Z","severity":"apocalyptic","reporter":"r","reason":"r"}"#,
            ),
        ),
        4 => (Inbound::ContractEnd, structured("io.severance.unheard-of.v1", "{}")),
        5 => (
            Inbound::Rotation,
            structured(
                ROTATION_TYPE,
                r#"{"credentials":[{"secret":"a"}],"cause":"requested","grace":"two hours"}"#,
            ),
        ),
        6 => (
            Inbound::Rotation,
            structured(ROTATION_TYPE, r#"{"credentials":[{"secret":"a"}],"cause":"whim"}"#),
        ),
        _ => (
            Inbound::CompromiseNotice,
            structured(
                COMPROMISE_NOTICE_TYPE,
                r#"{"credentials":[],"discovered_at":"2026-01-01T00:00:00Z","severity":"low","reporter":"r","reason":"r"}"#,
            ),
        ),
    };
    let content_type = Some(b"application/cloudevents+json".to_vec());
    (inbound, value, vec![("content-type".to_owned(), content_type)])
}
