//! How domain values become columns, whatever the store.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use severance_engine::ports::{Headers, Topic};
use severance_lifecycle::event::Trigger;

use crate::fault::Fault;

/// A moment as microseconds since 1970. Nanoseconds are dropped: no timer is finer.
pub(crate) fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

/// The moment of a column.
pub(crate) fn time(micros: i64) -> Result<DateTime<Utc>, Fault> {
    DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| Fault::Value { what: "time", source: "out of range".into() })
}

/// A value as JSON text.
pub(crate) fn to_json<T: Serialize>(what: &'static str, value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|e| Fault::Value { what, source: Box::new(e) })
}

/// A value from JSON text.
pub(crate) fn from_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|e| Fault::Value { what, source: Box::new(e) })
}

/// A trigger by its name.
pub(crate) fn trigger(name: &str) -> Result<Trigger, Fault> {
    Trigger::ALL
        .into_iter()
        .find(|trigger| trigger.as_str() == name)
        .ok_or_else(|| Fault::Value { what: "trigger", source: name.into() })
}

/// A count that cannot be negative.
pub(crate) fn count(n: i64) -> usize {
    usize::try_from(n).unwrap_or_default()
}

/// A topic's name in the store.
pub(crate) fn topic_name(topic: Topic) -> &'static str {
    match topic {
        Topic::Outcome => "outcome",
        Topic::Escalation => "escalation",
        Topic::DeadLetter => "dead-letter",
    }
}

/// Which messages leave first: a person's call before the record of what was done, and both before
/// what nobody could read.
pub(crate) fn priority(topic: Topic) -> i64 {
    match topic {
        Topic::Escalation => 0,
        Topic::Outcome => 1,
        Topic::DeadLetter => 2,
    }
}

/// A topic by its name.
pub(crate) fn topic(name: &str) -> Result<Topic, Fault> {
    [Topic::Outcome, Topic::Escalation, Topic::DeadLetter]
        .into_iter()
        .find(|topic| topic_name(*topic) == name)
        .ok_or_else(|| Fault::Value { what: "topic", source: name.into() })
}

/// Marks a header whose value is null.
const NULL: u32 = u32::MAX;

/// Headers as bytes: for each its name and value, each with its length before it. JSON would blow
/// binary values up, and they may be as large as a message.
pub(crate) fn headers_to_bytes(headers: &Headers) -> Vec<u8> {
    let mut out = Vec::new();
    let length = |n: usize| u32::try_from(n).unwrap_or(NULL - 1).to_be_bytes();
    for (name, value) in headers {
        out.extend(length(name.len()));
        out.extend(name.as_bytes());
        match value {
            Some(value) => {
                out.extend(length(value.len()));
                out.extend(value);
            }
            None => out.extend(NULL.to_be_bytes()),
        }
    }
    out
}

/// Headers from [`headers_to_bytes`].
pub(crate) fn headers_from_bytes(mut bytes: &[u8]) -> Result<Headers, Fault> {
    let broken = || Fault::Value { what: "header", source: "cut short".into() };
    let mut headers = Vec::new();
    while !bytes.is_empty() {
        let name = take_length(&mut bytes).and_then(|n| take(&mut bytes, n)).ok_or_else(broken)?;
        let name = String::from_utf8(name.to_vec()).map_err(|_| broken())?;
        let value = match take_length(&mut bytes).ok_or_else(broken)? {
            NULL => None,
            n => Some(take(&mut bytes, n).ok_or_else(broken)?.to_vec()),
        };
        headers.push((name, value));
    }
    Ok(headers)
}

fn take_length(bytes: &mut &[u8]) -> Option<u32> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_be_bytes(*length))
}

fn take<'a>(bytes: &mut &'a [u8], n: u32) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(n).ok()?)?;
    *bytes = rest;
    Some(taken)
}

/// Fills in an outbound message's `sequence` where it is null, at the top of its JSON or under `data`:
/// the number of the journal entry that was written in the same transaction. Anything else stays as
/// it is, byte for byte.
pub(crate) fn fill_sequence(value: Option<Vec<u8>>, sequence: i64) -> Option<Vec<u8>> {
    const NULL_SEQUENCE: &[u8] = b"\"sequence\":null";
    let bytes = value?;
    if !bytes.windows(NULL_SEQUENCE.len()).any(|window| window == NULL_SEQUENCE) {
        return Some(bytes);
    }
    let Ok(mut json) = serde_json::from_slice::<Value>(&bytes) else { return Some(bytes) };
    for pointer in ["/sequence", "/data/sequence"] {
        if let Some(place) = json.pointer_mut(pointer).filter(|place| place.is_null()) {
            *place = Value::from(sequence);
        }
    }
    Some(json.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_a_round_trip_with_nulls_repeats_and_binary_values() {
        let headers: Headers = vec![
            ("a".into(), Some(vec![0, 255, 10])),
            ("a".into(), None),
            (String::new(), Some(Vec::new())),
        ];
        let bytes = headers_to_bytes(&headers);
        assert_eq!(headers_from_bytes(&bytes).unwrap(), headers);
        assert!(headers_from_bytes(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn only_a_null_sequence_is_filled_in() {
        let fill = |text: &str| {
            String::from_utf8(fill_sequence(Some(text.as_bytes().to_vec()), 7).unwrap()).unwrap()
        };
        assert_eq!(fill(r#"{"sequence":null,"x":1}"#), r#"{"sequence":7,"x":1}"#);
        assert_eq!(fill(r#"{"data":{"sequence":null}}"#), r#"{"data":{"sequence":7}}"#);
        assert_eq!(fill(r#"{"sequence":3}"#), r#"{"sequence":3}"#);
        assert_eq!(fill(r#"not json "sequence":null"#), r#"not json "sequence":null"#);
    }
}
