//! From attributes and bytes to an [`Event`], or to a [`Malformed`] that names the field.

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{
    COMPROMISE_NOTICE_TYPE, CONTRACT_END_TYPE, CompromiseNotice, ContractEnd, Event, Payload,
    ROTATION_TYPE, RotationRequest, Selector,
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
            bounded(&notice.credentials)?;
            Ok(Payload::CompromiseNotice(notice))
        }
        ROTATION_TYPE => {
            let rotation: RotationRequest = fields(data)?;
            bounded(&rotation.credentials)?;
            Ok(Payload::Rotation(rotation))
        }
        _ => Err(Malformed::new("type", "unknown")),
    }
}

fn bounded(selectors: &[Selector]) -> Result<(), Malformed> {
    let refuse = |reason: String| Err(Malformed::new("data.credentials", reason));
    match selectors.len() {
        0 => refuse("is empty".to_owned()),
        n if n > MAX_SELECTORS => refuse(format!("{n} selectors; at most {MAX_SELECTORS}")),
        _ => Ok(()),
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
    use chrono::TimeDelta;

    use super::super::{Cause, Trigger};
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

    fn rotation(data: &str) -> Result<Event, Malformed> {
        parse(&attributes(ROTATION_TYPE), data.as_bytes(), &[ROTATION_TYPE])
    }

    const ROTATION: &str = r#"{"credentials":[{"secret":"a"}],"cause":"requested","grace":"PT2H",
        "not_before":"2026-01-01T00:00:00Z","ticket":"CHG-1","extra":1}"#;

    #[test]
    fn the_field_is_named_in_every_refusal_of_a_rotation() {
        let selectors = r#"[{"secret":"a"}]"#;
        let many = format!("[{}]", vec![r#"{"secret":"a"}"#; MAX_SELECTORS + 1].join(","));
        let cases = [
            (ROTATION.replace(&format!("\"credentials\":{selectors},"), ""), "data.credentials"),
            (ROTATION.replace(selectors, "[]"), "data.credentials"),
            (ROTATION.replace(selectors, &many), "data.credentials"),
            (ROTATION.replace(selectors, r#"[{"secret":""}]"#), "data.credentials[0]"),
            (ROTATION.replace(selectors, r#"[{"secret":7}]"#), "data.credentials[0].secret"),
            (ROTATION.replace("\"cause\":\"requested\",", ""), "data.cause"),
            (ROTATION.replace("requested", "boredom"), "data.cause"),
            (ROTATION.replace("PT2H", "2h"), "data.grace"),
            (ROTATION.replace("PT2H", "P1M"), "data.grace"),
            (ROTATION.replace("\"PT2H\"", "7200"), "data.grace"),
            (ROTATION.replace("2026-01-01T00:00:00Z", "tomorrow"), "data.not_before"),
            (ROTATION.replace("\"2026-01-01T00:00:00Z\"", "1767225600"), "data.not_before"),
            (ROTATION.replace("\"CHG-1\"", "1"), "data.ticket"),
            ("[]".to_owned(), "data"),
        ];
        for (text, field) in cases {
            let refused = rotation(&text).unwrap_err();
            assert!(refused.field.starts_with(field), "{refused} should name {field}");
            assert!(!refused.reason.contains("boredom") && !refused.reason.contains("tomorrow"));
        }
    }

    #[test]
    fn a_rotation_is_read_whole_and_survives_the_store() {
        let event = rotation(ROTATION).unwrap();
        let Payload::Rotation(request) = &event.payload else { panic!("{event:?}") };
        assert_eq!(request.cause, Cause::Requested);
        assert_eq!(request.grace, Some(TimeDelta::hours(2)));
        assert_eq!(request.not_before, Some(rfc3339("", "2026-01-01T00:00:00Z").unwrap()));
        assert_eq!((event.trigger(), event.ticket()), (Trigger::Rotation, Some("CHG-1")));
        let stored = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&stored).unwrap(), event);
    }

    #[test]
    fn every_cause_is_read_by_its_name_and_what_is_optional_may_be_absent_or_null() {
        for cause in Cause::ALL {
            let text =
                format!(r#"{{"credentials":[{{"zone":"a"}}],"cause":"{}"}}"#, cause.as_str());
            let null = text.replace('}', "").replacen("\"a\"", "\"a\"}", 1)
                + r#","grace":null,"not_before":null,"ticket":null}"#;
            for text in [text, null] {
                let Payload::Rotation(read) = rotation(&text).unwrap().payload else { panic!() };
                let rest = (read.grace, read.not_before, read.ticket.as_deref());
                assert_eq!((read.cause, rest), (cause, (None, None, None)), "{text}");
            }
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
