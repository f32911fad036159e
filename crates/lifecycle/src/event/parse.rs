//! From attributes and bytes to an [`Event`], or to a [`Malformed`] that names the field.

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{
    COMPROMISE_NOTICE_TYPE, CONTRACT_END_TYPE, CompromiseNotice, ContractEnd, Event, Payload,
};
use crate::ids::EventKey;

/// The largest event that is read, in bytes of the whole record value.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;
/// The most selectors that one event may carry.
pub const MAX_SELECTORS: usize = 10_000;

/// CloudEvents context attributes, as either content mode carries them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `specversion`; `1.0` is the only one known.
    pub specversion: Option<String>,
    /// `type`
    pub event_type: Option<String>,
    /// `source`
    pub source: Option<String>,
    /// `id`
    pub id: Option<String>,
    /// `time`, RFC 3339
    pub time: Option<String>,
}

/// Why an event cannot be accepted. Never carries the value: a malformed event may hold anything.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {reason}")]
pub struct Malformed {
    /// The field, as a path: `data.credentials[3].user`, `source`.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Malformed {
    /// A refusal of one field.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

/// Reads an event. `expected_types` are the types that the topic carries.
///
/// # Errors
/// [`Malformed`] with the first field that is missing, of the wrong type or out of bounds.
pub fn parse(
    attributes: &Attributes,
    data: &[u8],
    expected_types: &[&str],
) -> Result<Event, Malformed> {
    if data.len() > MAX_EVENT_BYTES {
        return Err(Malformed::new("data", format!("larger than {MAX_EVENT_BYTES} bytes")));
    }
    let version = required(attributes.specversion.as_deref(), "specversion")?;
    if version != "1.0" {
        return Err(Malformed::new("specversion", "not 1.0"));
    }
    let event_type = required(attributes.event_type.as_deref(), "type")?;
    let source = required(attributes.source.as_deref(), "source")?.to_owned();
    let id = required(attributes.id.as_deref(), "id")?.to_owned();
    let time = attributes.time.as_deref().map(|text| rfc3339("time", text)).transpose()?;
    if !expected_types.contains(&event_type) {
        let known = expected_types.join(", ");
        return Err(Malformed::new("type", format!("unknown here; this topic carries {known}")));
    }
    let value: Value = serde_json::from_slice(data)
        .map_err(|e| Malformed::new("data", format!("not JSON: {}", plain(&e))))?;
    let payload = payload(event_type, value.clone())?;
    let digest = digest(event_type, time, &value);
    Ok(Event { key: EventKey { source, id }, time, payload, digest })
}

fn payload(event_type: &str, data: Value) -> Result<Payload, Malformed> {
    match event_type {
        CONTRACT_END_TYPE => {
            let end: ContractEnd = fields(data)?;
            for (field, empty) in
                [("data.contract", end.contract.0.is_empty()), ("data.zone", end.zone.0.is_empty())]
            {
                if empty {
                    return Err(Malformed::new(field, "is empty"));
                }
            }
            Ok(Payload::ContractEnd(end))
        }
        COMPROMISE_NOTICE_TYPE => {
            let notice: CompromiseNotice = fields(data)?;
            match notice.credentials.len() {
                0 => Err(Malformed::new("data.credentials", "is empty")),
                n if n > MAX_SELECTORS => Err(Malformed::new(
                    "data.credentials",
                    format!("{n} selectors; at most {MAX_SELECTORS}"),
                )),
                _ => Ok(Payload::CompromiseNotice(notice)),
            }
        }
        _ => Err(Malformed::new("type", "unknown")),
    }
}

/// Deserialises with the path of the field in the error.
fn fields<T: DeserializeOwned>(data: Value) -> Result<T, Malformed> {
    serde_path_to_error::deserialize(data).map_err(|e| {
        let path = e.path().to_string();
        let reason = plain(e.inner());
        // A missing field's path is its parent: name the field itself.
        let missing = reason.strip_prefix("missing field `").and_then(|r| r.split('`').next());
        let field = match (path.as_str(), missing) {
            (".", None) => "data".to_owned(),
            (".", Some(name)) => format!("data.{name}"),
            (path, None) => format!("data.{path}"),
            (path, Some(name)) => format!("data.{path}.{name}"),
        };
        Malformed::new(field, reason)
    })
}

/// `serde_json` quotes the offending value in some messages ("invalid type: string \"…\""). A
/// malformed event may carry a secret in the wrong place, so the quoted part is cut out.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let mut out = String::with_capacity(text.len());
    for (i, part) in text.split('"').enumerate() {
        if i % 2 == 0 {
            out.push_str(part);
        } else {
            out.push('…');
        }
    }
    // `unknown variant `x`, expected one of …`: the variant is the sender's text too.
    match (out.find("unknown variant `"), out.find("`, expected ")) {
        (Some(start), Some(end)) if start < end => {
            format!("{}unknown value, {}", &out[..start], &out[end + 3..])
        }
        _ => out,
    }
}

fn required<'a>(value: Option<&'a str>, field: &str) -> Result<&'a str, Malformed> {
    match value {
        None => Err(Malformed::new(field, "is missing")),
        Some("") => Err(Malformed::new(field, "is empty")),
        Some(text) => Ok(text),
    }
}

fn rfc3339(field: &str, text: &str) -> Result<DateTime<Utc>, Malformed> {
    DateTime::parse_from_rfc3339(text)
        .map(|t| t.with_timezone(&Utc))
        .map_err(|_| Malformed::new(field, "not an RFC 3339 time"))
}

/// `serde_json`'s map is sorted, so printing the value again is a canonical form.
fn digest(event_type: &str, time: Option<DateTime<Utc>>, data: &Value) -> String {
    let mut hash = Sha256::new();
    hash.update(event_type.as_bytes());
    hash.update([0]);
    hash.update(time.map(|t| t.to_rfc3339()).unwrap_or_default().as_bytes());
    hash.update([0]);
    hash.update(data.to_string().as_bytes());
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[&str] = &[CONTRACT_END_TYPE, COMPROMISE_NOTICE_TYPE];

    fn attributes(event_type: &str) -> Attributes {
        Attributes {
            specversion: Some("1.0".into()),
            event_type: Some(event_type.into()),
            source: Some("/soc".into()),
            id: Some("1".into()),
            time: None,
        }
    }

    fn notice(data: &str) -> Result<Event, Malformed> {
        parse(&attributes(COMPROMISE_NOTICE_TYPE), data.as_bytes(), BOTH)
    }

    const GOOD: &str = r#"{"credentials":[{"user":"a"}],"discovered_at":"2026-01-01T00:00:00Z",
        "severity":"high","reporter":"soc","reason":"found on a paste site","extra":1}"#;

    #[test]
    fn the_field_is_named_in_every_refusal() {
        let cases = [
            (GOOD.replace("\"reporter\":\"soc\",", ""), "data.reporter"),
            (GOOD.replace("high", "apocalyptic"), "data.severity"),
            (GOOD.replace("2026-01-01T00:00:00Z", "yesterday"), "data.discovered_at"),
            (GOOD.replace(r#"[{"user":"a"}]"#, "[]"), "data.credentials"),
            (GOOD.replace(r#"{"user":"a"}"#, r#"{"user":"a"},{}"#), "data.credentials[1]"),
            (GOOD.replace(r#"{"user":"a"}"#, r#"{"user":7}"#), "data.credentials[0].user"),
            ("{".to_owned(), "data"),
            ("[]".to_owned(), "data"),
        ];
        assert!(notice(GOOD).is_ok());
        for (text, field) in cases {
            let refused = notice(&text).unwrap_err();
            assert!(refused.field.starts_with(field), "{refused} should name {field}");
        }
    }

    #[test]
    fn a_refusal_never_repeats_what_was_sent() {
        let text = GOOD.replace("high", "AKIASECRET").replace("\"soc\"", "[\"hunter2\"]");
        let refused = notice(&text).unwrap_err().to_string();
        assert!(!refused.contains("AKIASECRET") && !refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn attributes_are_checked_before_the_data() {
        let mut missing = attributes(COMPROMISE_NOTICE_TYPE);
        missing.source = None;
        assert_eq!(parse(&missing, b"", BOTH).unwrap_err().field, "source");
        let mut time = attributes(COMPROMISE_NOTICE_TYPE);
        time.time = Some("noon".into());
        assert_eq!(parse(&time, GOOD.as_bytes(), BOTH).unwrap_err().field, "time");
        let unknown = attributes("io.severance.unknown.v9");
        assert_eq!(parse(&unknown, GOOD.as_bytes(), BOTH).unwrap_err().field, "type");
    }

    #[test]
    fn a_type_on_the_wrong_topic_is_refused() {
        let event =
            parse(&attributes(COMPROMISE_NOTICE_TYPE), GOOD.as_bytes(), &[CONTRACT_END_TYPE]);
        assert_eq!(event.unwrap_err().field, "type");
    }

    #[test]
    fn the_digest_ignores_order_and_space_and_nothing_else() {
        let reordered = r#"{"extra":1,"reason":"found on a paste site","reporter":"soc",
            "severity":"high","discovered_at":"2026-01-01T00:00:00Z","credentials":[{"user":"a"}]}"#;
        assert_eq!(notice(GOOD).unwrap().digest, notice(reordered).unwrap().digest);
        let other = GOOD.replace("\"extra\":1", "\"extra\":2");
        assert_ne!(notice(GOOD).unwrap().digest, notice(&other).unwrap().digest);
    }

    #[test]
    fn bounds_hold() {
        let many = vec![r#"{"user":"a"}"#; MAX_SELECTORS + 1].join(",");
        let text = GOOD.replace(r#"{"user":"a"}"#, &many);
        assert_eq!(notice(&text).unwrap_err().field, "data.credentials");
        let large = GOOD.replace("paste site", &"x".repeat(MAX_EVENT_BYTES));
        assert_eq!(notice(&large).unwrap_err().field, "data");
    }
}
