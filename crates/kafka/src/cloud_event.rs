//! CloudEvents 1.0 over Kafka: the protocol binding, in both content modes.
//!
//! Reading is total: any record is an event or a [`Malformed`] that names the field.
//! (CloudEvents: Kafka Protocol Binding 1.0.2, JSON Event Format 1.0.2.)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use severance_engine::ports::Headers;
use severance_lifecycle::event::{Attributes, Event, MAX_EVENT_BYTES, Malformed, parse};

/// Media type of structured mode.
const STRUCTURED: &str = "application/cloudevents+json";
/// Media types of CloudEvents in any format begin with this.
const CLOUDEVENTS: &str = "application/cloudevents";
const BATCH: &str = "application/cloudevents-batch";

/// How an event is laid out in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentMode {
    /// The value is the whole event as JSON.
    Structured,
    /// The attributes are `ce_*` headers, the value is the data.
    Binary,
}

/// Reads a record. `expected_types` are the CloudEvents types that the topic carries.
///
/// # Errors
/// [`Malformed`] with the first field that is missing or wrong: an attribute (`source`), a part of the
/// record (`record`, `value`, `content-type`) or a path into the data (`data.credentials[0].user`). It
/// never repeats what was sent.
pub fn decode(
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &Headers,
    expected_types: &[&str],
) -> Result<Event, Malformed> {
    let bytes = record_bytes(key, value, headers);
    if bytes > MAX_EVENT_BYTES {
        let why = format!("{bytes} bytes; at most {MAX_EVENT_BYTES}");
        return Err(Malformed::new("record", why));
    }
    let Some(value) = value else {
        return Err(Malformed::new("value", "is missing: a tombstone is no event"));
    };
    match mode(headers)? {
        ContentMode::Structured => structured(value, expected_types),
        ContentMode::Binary => binary(value, headers, expected_types),
    }
}

/// The size of a record as the bound counts it: key, value and headers.
pub(crate) fn record_bytes(key: Option<&[u8]>, value: Option<&[u8]>, headers: &Headers) -> usize {
    let headers: usize =
        headers.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len)).sum();
    key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + headers
}

fn mode(headers: &Headers) -> Result<ContentMode, Malformed> {
    if let Some(content_type) = header(headers, "content-type", "content-type")? {
        let media = MediaType::of(content_type);
        if media.name.starts_with(BATCH) {
            let why = "a batch of events; publish one event per record";
            return Err(Malformed::new("content-type", why));
        }
        if media.name == STRUCTURED {
            media.must_be_utf8("content-type")?;
            return Ok(ContentMode::Structured);
        }
        if media.name.starts_with(CLOUDEVENTS) {
            let why = format!("an event format that is not read; use {STRUCTURED}");
            return Err(Malformed::new("content-type", why));
        }
    }
    if headers.iter().any(|(name, _)| name.starts_with("ce_")) {
        return Ok(ContentMode::Binary);
    }
    let why = format!("neither {STRUCTURED} (structured mode) nor ce_ headers (binary mode)");
    Err(Malformed::new("content-type", why))
}

fn binary(value: &[u8], headers: &Headers, expected: &[&str]) -> Result<Event, Malformed> {
    if let Some(content_type) = header(headers, "content-type", "content-type")? {
        must_be_json(content_type, "content-type")?;
    }
    let attribute = |name: &str| {
        let value = header(headers, &format!("ce_{name}"), name)?;
        Ok(value.map(str::to_owned))
    };
    let attributes = attributes(attribute)?;
    parse(&attributes, value, expected)
}

/// The attributes that an event is read by, wherever its mode has them.
fn attributes(
    attribute: impl Fn(&str) -> Result<Option<String>, Malformed>,
) -> Result<Attributes, Malformed> {
    Ok(Attributes {
        specversion: attribute("specversion")?,
        event_type: attribute("type")?,
        source: attribute("source")?,
        id: attribute("id")?,
        time: attribute("time")?,
    })
}

fn structured(value: &[u8], expected: &[&str]) -> Result<Event, Malformed> {
    let mut envelope: Map<String, Value> = match serde_json::from_slice(value) {
        Ok(Value::Object(envelope)) => envelope,
        Ok(_) => return Err(Malformed::new("value", "not a JSON object")),
        Err(e) => {
            let why = format!("not JSON at line {} column {}", e.line(), e.column());
            return Err(Malformed::new("value", why));
        }
    };
    let attribute = |name: &str| match envelope.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Malformed::new(name, "not a string")),
    };
    let attributes = attributes(attribute)?;
    if let Some(content_type) = attribute("datacontenttype")? {
        must_be_json(&content_type, "datacontenttype")?;
    }
    let data = data(&mut envelope)?;
    parse(&attributes, &data, expected)
}

fn data(envelope: &mut Map<String, Value>) -> Result<Vec<u8>, Malformed> {
    let present = |value: Option<Value>| value.filter(|value| !value.is_null());
    let plain = present(envelope.remove("data"));
    let encoded = present(envelope.remove("data_base64"));
    match (plain, encoded) {
        (Some(_), Some(_)) => Err(Malformed::new("data_base64", "given beside data")),
        (Some(data), None) => Ok(data.to_string().into_bytes()),
        (None, Some(Value::String(text))) => {
            STANDARD.decode(text).map_err(|_| Malformed::new("data_base64", "not base64"))
        }
        (None, Some(_)) => Err(Malformed::new("data_base64", "not a string")),
        (None, None) => Err(Malformed::new("data", "is missing")),
    }
}

/// A header's text. Names of `ce_` headers are exact, as the binding has them; `content-type` is found
/// whatever its case, since clients differ. `field` is what a refusal names.
fn header<'a>(headers: &'a Headers, name: &str, field: &str) -> Result<Option<&'a str>, Malformed> {
    let exact = name.starts_with("ce_");
    let is_it = |other: &str| other == name || (!exact && other.eq_ignore_ascii_case(name));
    let mut found = headers.iter().filter(|(other, _)| is_it(other));
    let first = found.next();
    if found.next().is_some() {
        return Err(Malformed::new(field, "given in two headers"));
    }
    match first.and_then(|(_, value)| value.as_deref()) {
        None => Ok(None),
        Some(bytes) => {
            std::str::from_utf8(bytes).map(Some).map_err(|_| Malformed::new(field, "not UTF-8"))
        }
    }
}

fn must_be_json(content_type: &str, field: &str) -> Result<(), Malformed> {
    let media = MediaType::of(content_type);
    if media.name != "application/json" && !media.name.ends_with("+json") {
        return Err(Malformed::new(field, "not JSON: the data must be application/json"));
    }
    media.must_be_utf8(field)
}

/// `type/subtype; charset=…`.
struct MediaType {
    name: String,
    charset: Option<String>,
}

impl MediaType {
    fn of(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let charset = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            let value = value.trim().trim_matches('"').to_ascii_lowercase();
            name.trim().eq_ignore_ascii_case("charset").then_some(value)
        });
        Self { name, charset }
    }

    /// US-ASCII is UTF-8 too.
    fn must_be_utf8(&self, field: &str) -> Result<(), Malformed> {
        match self.charset.as_deref() {
            None | Some("utf-8" | "utf8" | "us-ascii") => Ok(()),
            Some(_) => Err(Malformed::new(field, "the charset must be UTF-8")),
        }
    }
}

/// An event to publish.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// CloudEvents `type`.
    pub event_type: String,
    /// CloudEvents `source`.
    pub source: String,
    /// CloudEvents `id`.
    pub id: String,
    /// CloudEvents `time`, RFC 3339.
    pub time: Option<String>,
    /// The data.
    pub data: Value,
}

/// Lays an event out as a record's value and headers.
pub fn encode(event: &Outgoing, mode: ContentMode) -> (Vec<u8>, Headers) {
    let mut attributes = vec![
        ("specversion", "1.0"),
        ("type", event.event_type.as_str()),
        ("source", event.source.as_str()),
        ("id", event.id.as_str()),
    ];
    attributes.extend(event.time.as_deref().map(|time| ("time", time)));
    let header = |name: String, value: &str| (name, Some(value.as_bytes().to_vec()));
    match mode {
        ContentMode::Binary => {
            let mut headers = vec![header("content-type".into(), "application/json")];
            headers.extend(attributes.iter().map(|(name, v)| header(format!("ce_{name}"), v)));
            (event.data.to_string().into_bytes(), headers)
        }
        ContentMode::Structured => {
            let mut envelope: Map<String, Value> = attributes
                .into_iter()
                .map(|(name, value)| (name.to_owned(), Value::from(value)))
                .collect();
            envelope.insert("datacontenttype".into(), "application/json".into());
            envelope.insert("data".into(), event.data.clone());
            let content_type = format!("{STRUCTURED}; charset=UTF-8");
            let headers = vec![header("content-type".into(), &content_type)];
            (Value::Object(envelope).to_string().into_bytes(), headers)
        }
    }
}
