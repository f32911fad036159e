//! Reading records is total: an event, or a refusal that names the field and repeats nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use proptest::prelude::*;
use serde_json::{Value, json};
use severance_engine::ports::Headers;
use severance_kafka::{ContentMode, Outgoing, decode, encode};
use severance_lifecycle::event::{
    COMPROMISE_NOTICE_TYPE, CONTRACT_END_TYPE, Event, Malformed, ROTATION_TYPE,
};

const BOTH: &[&str] = &[CONTRACT_END_TYPE, COMPROMISE_NOTICE_TYPE];
const STRUCTURED: &str = "application/cloudevents+json";

fn notice() -> Outgoing {
    Outgoing {
        event_type: COMPROMISE_NOTICE_TYPE.into(),
        source: "/soc".into(),
        id: "1".into(),
        time: Some("2026-01-01T00:00:00Z".into()),
        data: json!({"credentials": [{"user": "a"}], "discovered_at": "2026-01-01T00:00:00Z",
            "severity": "high", "reporter": "soc", "reason": "found on a paste site"}),
    }
}

fn read(value: &[u8], headers: &Headers) -> Result<Event, Malformed> {
    decode(None, Some(value), headers, BOTH)
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(name, value)| ((*name).into(), Some(value.as_bytes().to_vec()))).collect()
}

fn envelope() -> Value {
    let (value, _) = encode(&notice(), ContentMode::Structured);
    serde_json::from_slice(&value).unwrap()
}

fn structured(envelope: &Value) -> Result<Event, Malformed> {
    read(envelope.to_string().as_bytes(), &headers(&[("content-type", STRUCTURED)]))
}

#[test]
fn both_modes_say_the_same() {
    let [binary, structured] = [ContentMode::Binary, ContentMode::Structured].map(|mode| {
        let (value, headers) = encode(&notice(), mode);
        read(&value, &headers).unwrap()
    });
    assert_eq!(binary, structured, "digests included");
}

#[test]
fn a_rotation_says_the_same_in_both_modes_and_its_bad_fields_are_named_in_both() {
    let event = |field: &str, value: Value| {
        let mut data = json!({"credentials": [{"secret": "acme/api"}], "cause": "owner-change",
            "grace": "PT2H", "not_before": "2026-02-01T00:00:00Z", "ticket": "CHG-1"});
        data[field] = value;
        let (source, id) = ("/owners".into(), "1".into());
        Outgoing { event_type: ROTATION_TYPE.into(), source, id, time: None, data }
    };
    let decoded = |event: &Outgoing, mode| {
        let (value, headers) = encode(event, mode);
        decode(None, Some(&value), &headers, &[ROTATION_TYPE])
    };
    let both = [ContentMode::Binary, ContentMode::Structured];
    let good = event("extra", json!(1));
    let [binary, structured] = both.map(|mode| decoded(&good, mode).unwrap());
    assert_eq!(binary, structured, "digests included");
    for (field, value) in [
        ("credentials", json!([])),
        ("cause", json!("boredom")),
        ("grace", json!("2h")),
        ("not_before", json!("tomorrow")),
        ("ticket", json!(7)),
    ] {
        for mode in both {
            let refused = decoded(&event(field, value.clone()), mode).unwrap_err();
            assert_eq!(refused.field, format!("data.{field}"), "{mode:?}");
        }
    }
}

#[test]
fn data_in_base64_says_the_same() {
    use base64::Engine as _;
    let mut encoded = envelope();
    let data = encoded.as_object_mut().unwrap().remove("data").unwrap().to_string();
    encoded["data_base64"] = base64::engine::general_purpose::STANDARD.encode(data).into();
    assert_eq!(structured(&encoded).unwrap(), structured(&envelope()).unwrap());
}

#[test]
fn content_types_are_read_with_their_parameters_and_in_any_case() {
    let value = envelope().to_string();
    for (name, content_type) in [
        ("content-type", "application/cloudevents+json; charset=UTF-8"),
        ("content-type", "Application/CloudEvents+JSON;charset=\"utf-8\""),
        ("Content-Type", STRUCTURED),
    ] {
        read(value.as_bytes(), &headers(&[(name, content_type)])).unwrap();
    }
    let (value, mut headers) = encode(&notice(), ContentMode::Binary);
    headers.retain(|(name, _)| name != "content-type");
    read(&value, &headers).expect("binary mode without a content type is JSON");
}

#[test]
fn a_structured_event_is_refused_by_the_name_of_its_field() {
    let without = |field: &str| {
        let mut envelope = envelope();
        envelope.as_object_mut().unwrap().remove(field);
        envelope
    };
    let with = |field: &str, value: Value| {
        let mut envelope = envelope();
        envelope[field] = value;
        envelope
    };
    let cases = [
        (without("specversion"), "specversion"),
        (with("specversion", json!("0.3")), "specversion"),
        (with("specversion", json!(1.0)), "specversion"),
        (without("type"), "type"),
        (with("type", json!("io.severance.unknown.v1")), "type"),
        (with("source", json!("")), "source"),
        (with("source", json!(7)), "source"),
        (without("id"), "id"),
        (with("time", json!("noon")), "time"),
        (with("datacontenttype", json!("text/xml")), "datacontenttype"),
        (without("data"), "data"),
        (with("data", Value::Null), "data"),
        (with("data_base64", json!("e30=")), "data_base64"),
        (json!([]), "value"),
        (json!("text"), "value"),
    ];
    for (envelope, field) in cases {
        assert_eq!(structured(&envelope).unwrap_err().field, field, "{envelope}");
    }
    let mut bad = without("data");
    bad["data_base64"] = json!("not base64!");
    assert_eq!(structured(&bad).unwrap_err().field, "data_base64");
}

#[test]
fn a_binary_event_is_refused_by_the_name_of_its_field() {
    let (value, good) = encode(&notice(), ContentMode::Binary);
    let without = |name: &str| {
        let mut headers = good.clone();
        headers.retain(|(other, _)| other != name);
        headers
    };
    let with = |name: &str, value: &[u8]| {
        let mut headers = without(name);
        headers.push((name.into(), Some(value.to_vec())));
        headers
    };
    let mut twice = good.clone();
    twice.push(("ce_id".into(), Some(b"2".to_vec())));
    let cases = [
        (without("ce_id"), "id"),
        (with("ce_id", b"\xff"), "id"),
        (twice, "id"),
        (with("ce_time", b"noon"), "time"),
        (with("ce_specversion", b"2.0"), "specversion"),
        (with("content-type", b"text/plain"), "content-type"),
        (with("content-type", b"application/json; charset=utf-16"), "content-type"),
        (with("content-type", b"application/cloudevents-batch+json"), "content-type"),
        (with("content-type", b"application/cloudevents+avro"), "content-type"),
        (Headers::new(), "content-type"),
        (headers(&[("content-type", "application/json")]), "content-type"),
    ];
    for (headers, field) in cases {
        assert_eq!(read(&value, &headers).unwrap_err().field, field, "{headers:?}");
    }
    assert_eq!(decode(None, None, &good, BOTH).unwrap_err().field, "value");
}

#[test]
fn the_bound_counts_key_value_and_headers() {
    let (value, mut headers) = encode(&notice(), ContentMode::Binary);
    let key = vec![0; 600 * 1024];
    decode(Some(&key), Some(&value), &headers, BOTH).unwrap();
    headers.push(("filler".into(), Some(vec![0; 500 * 1024])));
    let refused = decode(Some(&key), Some(&value), &headers, BOTH).unwrap_err();
    assert_eq!(refused.field, "record");
}

fn any_headers() -> impl Strategy<Value = Headers> {
    let name = prop_oneof![
        Just("content-type".to_owned()),
        Just("ce_type".to_owned()),
        Just("ce_specversion".to_owned()),
        Just("ce_source".to_owned()),
        Just("ce_id".to_owned()),
        Just("ce_time".to_owned()),
        ".{0,12}",
    ];
    let value = prop_oneof![
        Just(STRUCTURED.as_bytes().to_vec()),
        Just(b"1.0".to_vec()),
        Just(COMPROMISE_NOTICE_TYPE.as_bytes().to_vec()),
        any::<Vec<u8>>(),
    ];
    prop::collection::vec((name, prop::option::of(value)), 0..8)
}

/// Valid events with one place changed: reaches further than noise.
fn nearly_valid() -> impl Strategy<Value = Vec<u8>> {
    let text = envelope().to_string().into_bytes();
    (0..text.len(), any::<u8>()).prop_map(move |(place, byte)| {
        let mut text = text.clone();
        text[place] = byte;
        text
    })
}

proptest! {
    #[test]
    fn any_record_is_an_event_or_a_refusal_with_a_field(
        key in prop::option::of(any::<Vec<u8>>()),
        value in prop::option::of(prop_oneof![any::<Vec<u8>>(), nearly_valid()]),
        headers in any_headers(),
    ) {
        if let Err(refused) = decode(key.as_deref(), value.as_deref(), &headers, BOTH) {
            prop_assert!(!refused.field.is_empty() && !refused.reason.is_empty());
        }
    }

    #[test]
    fn a_changed_event_is_read_or_refused_with_a_field(value in nearly_valid()) {
        if let Err(refused) = read(&value, &headers(&[("content-type", STRUCTURED)])) {
            prop_assert!(!refused.field.is_empty() && !refused.reason.is_empty());
        }
    }

    #[test]
    fn a_refusal_repeats_nothing_of_what_was_sent(place in 0_usize..12, mark in "[A-Z]{24}") {
        let mut envelope = envelope();
        let spot = match place {
            0 => &mut envelope["specversion"],
            1 => &mut envelope["type"],
            2 => &mut envelope["time"],
            3 => &mut envelope["datacontenttype"],
            4 => &mut envelope["data_base64"],
            5 => &mut envelope["data"],
            6 => &mut envelope["data"]["credentials"],
            7 => &mut envelope["data"]["credentials"][0],
            8 => &mut envelope["data"]["discovered_at"],
            9 => &mut envelope["data"]["severity"],
            10 => &mut envelope["data"]["credentials"][0]["access_key_id"],
            _ => &mut envelope["data"]["credentials"][0]["account"],
        };
        *spot = Value::from(format!("{mark}!"));
        let refused = structured(&envelope).unwrap_err();
        prop_assert!(!refused.to_string().contains(&mark), "{refused}");
    }
}
