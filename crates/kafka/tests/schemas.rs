//! The schemas in `docs/schemas` are those of the code, and say what the code does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

use std::path::Path;

use serde_json::{Value, json};
use severance_engine::ports::Headers;
use severance_kafka::{decode, schemas};
use severance_lifecycle::event::{COMPROMISE_NOTICE_TYPE, CONTRACT_END_TYPE, Cause, ROTATION_TYPE};

#[test]
fn the_files_are_those_of_the_code() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas");
    for (name, schema) in schemas() {
        let file = folder.join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(&file, &text).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(found, text, "{} is stale: run with UPDATE_SCHEMAS=1", file.display());
    }
}

/// Whether the reader and the schema accept an event in structured mode.
fn judge(event_type: &str, event: &Value) -> (Result<(), String>, bool) {
    let headers: Headers =
        vec![("content-type".into(), Some(b"application/cloudevents+json".to_vec()))];
    let read = decode(None, Some(event.to_string().as_bytes()), &headers, &[event_type]);
    let schemas = schemas();
    let (_, schema) = schemas.iter().find(|(name, _)| *name == event_type).unwrap();
    let validator =
        jsonschema::options().should_validate_formats(true).build(schema).expect("a valid schema");
    (read.map(|_| ()).map_err(|e| e.to_string()), validator.is_valid(event))
}

fn event(event_type: &str, data: &Value) -> Value {
    json!({"specversion": "1.0", "type": event_type, "source": "/soc", "id": "1", "data": data})
}

fn notice() -> Value {
    event(
        COMPROMISE_NOTICE_TYPE,
        &json!({"credentials": [{"user": "a"}],
        "discovered_at": "2026-01-01T00:00:00Z", "severity": "high", "reporter": "soc",
        "reason": "found"}),
    )
}

fn rotation() -> Value {
    event(ROTATION_TYPE, &json!({"credentials": [{"secret": "a"}], "cause": "requested"}))
}

fn end() -> Value {
    event(
        CONTRACT_END_TYPE,
        &json!({"contract": "c-17", "zone": "acme",
        "effective_at": "2026-01-01T00:00:00Z", "reason": "over", "revision": 1}),
    )
}

/// Changes to a valid event: the path, and what is put there (`None`: it is taken out).
type Change = (&'static str, Option<Value>);

fn changed(event: &Value, (path, value): &Change) -> Value {
    let mut event = event.clone();
    let (parent, field) = path.rsplit_once('/').unwrap();
    let parent = event.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(fields), Some(value)) => {
            fields.insert(field.into(), value.clone());
        }
        (Value::Object(fields), None) => {
            fields.remove(field);
        }
        (Value::Array(items), Some(value)) => {
            items[field.parse::<usize>().unwrap()] = value.clone();
        }
        other => panic!("{path}: {other:?}"),
    }
    event
}

fn agree(event_type: &str, base: &Value, good: &[Change], bad: &[Change]) {
    for (changes, expected) in [(good, true), (bad, false)] {
        for change in changes {
            let event = changed(base, change);
            let (read, valid) = judge(event_type, &event);
            assert_eq!(read.is_ok(), expected, "reader, {change:?}: {read:?}");
            assert_eq!(valid, expected, "schema, {change:?}");
        }
    }
}

#[test]
fn the_schema_of_a_notice_accepts_what_the_reader_accepts() {
    let selector = "/data/credentials/0";
    let good = [
        ("/data/extra", Some(json!({"kept": true}))),
        ("/extension", Some(json!("kept"))),
        ("/time", Some(json!("2026-01-01T00:00:00.123+02:00"))),
        ("/datacontenttype", Some(json!("application/json; charset=utf-8"))),
        ("/data/ticket", Some(json!("INC-1"))),
        ("/data/ticket", Some(Value::Null)),
        ("/data/evidence_url", Some(json!("https://example.org/1"))),
        ("/data/severity", Some(json!("critical"))),
        (
            selector,
            Some(json!({"access_key_id": "AKIAIOSFODNN7EXAMPLE", "account": "123456789012"})),
        ),
        (selector, Some(json!({"tags": {"team": "x"}, "region": "eu-west-1"}))),
        (
            selector,
            Some(json!({"secret": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x"})),
        ),
        (selector, Some(json!({"zone": "acme", "note": "kept"}))),
    ];
    let bad = [
        ("/specversion", Some(json!("0.3"))),
        ("/type", Some(json!(CONTRACT_END_TYPE))),
        ("/source", None),
        ("/source", Some(json!(""))),
        ("/id", Some(json!(7))),
        ("/time", Some(json!("noon"))),
        ("/datacontenttype", Some(json!("text/xml"))),
        ("/data", None),
        ("/data_base64", Some(json!("e30="))),
        ("/data", Some(json!([]))),
        ("/data/credentials", None),
        ("/data/credentials", Some(json!([]))),
        ("/data/credentials", Some(json!({"user": "a"}))),
        ("/data/discovered_at", Some(json!("yesterday"))),
        ("/data/discovered_at", Some(json!("2026-01-01T00:00:00 Z"))),
        ("/data/discovered_at", Some(json!(1_700_000_000))),
        ("/data/severity", Some(json!("apocalyptic"))),
        ("/data/reporter", None),
        ("/data/reason", Some(json!(["a"]))),
        (selector, Some(json!({}))),
        (selector, Some(json!({"user": ""}))),
        (selector, Some(json!({"user": "a", "role": "b"}))),
        (selector, Some(json!({"tags": {}}))),
        (selector, Some(json!({"tags": {"a": 1}}))),
        (selector, Some(json!({"access_key_id": "AKIA*"}))),
        (selector, Some(json!({"user": "a", "account": "12"}))),
        (selector, Some(json!("a"))),
    ];
    agree(COMPROMISE_NOTICE_TYPE, &notice(), &good, &bad);
}

#[test]
fn the_schema_of_a_contract_end_accepts_what_the_reader_accepts() {
    let good = [
        ("/data/change", Some(json!("extended"))),
        ("/data/change", Some(json!("reinstated"))),
        ("/data/revision", Some(json!(0))),
        ("/data/effective_at", Some(json!("2199-12-31T23:59:59+01:00"))),
        ("/data/ticket", Some(json!("CHG-1"))),
    ];
    let bad = [
        ("/data/contract", Some(json!(""))),
        ("/data/zone", Some(json!(""))),
        ("/data/zone", None),
        ("/data/change", Some(json!("cancelled"))),
        ("/data/revision", Some(json!(-1))),
        ("/data/revision", Some(json!("1"))),
        ("/data/revision", None),
        ("/data/effective_at", None),
        ("/data/effective_at", Some(json!("2026-13-01T00:00:00Z"))),
        ("/data/effective_at", Some(json!("2026-1-1T0:0:0Z"))),
        ("/data/effective_at", Some(json!("2026-01-01T00:00:00+0000"))),
    ];
    agree(CONTRACT_END_TYPE, &end(), &good, &bad);
}

#[test]
fn the_schema_of_a_rotation_accepts_what_the_reader_accepts() {
    let text = |text: &str| Some(json!(text));
    let grace = |value: &str| ("/data/grace", text(value));
    let mut good: Vec<Change> = vec![
        ("/data/extra", Some(json!({"kept": true}))),
        ("/data/grace", Some(Value::Null)),
        ("/data/not_before", Some(Value::Null)),
        ("/data/not_before", text("2199-12-31T23:59:59.5+01:00")),
        ("/data/ticket", text("CHG-1")),
        ("/data/ticket", Some(Value::Null)),
        ("/data/credentials/0", Some(json!({"contract": "c-17", "region": "eu-west-1"}))),
    ];
    good.extend(Cause::ALL.map(|cause| ("/data/cause", text(cause.as_str()))));
    good.extend(["PT0S", "PT2H", "P1DT12H", "P2W", "P999DT9999H999999M99999999S"].map(grace));
    let mut bad: Vec<Change> = vec![
        ("/type", text(CONTRACT_END_TYPE)),
        ("/data/credentials", None),
        ("/data/credentials", Some(json!([]))),
        ("/data/credentials/0", Some(json!({"secret": ""}))),
        ("/data/credentials/0", Some(json!({"secret": "a", "zone": "b"}))),
        ("/data/cause", None),
        ("/data/cause", Some(Value::Null)),
        ("/data/cause", text("boredom")),
        ("/data/cause", text("Requested")),
        ("/data/grace", Some(json!(7_200))),
        ("/data/not_before", text("tomorrow")),
        ("/data/not_before", text("2026-1-1T0:0:0Z")),
        ("/data/not_before", Some(json!(1_700_000_000))),
        ("/data/ticket", Some(json!(1))),
    ];
    let refused = [
        "",
        "P",
        "PT",
        "P1DT",
        "2h",
        "P1Y",
        "P1M",
        "PT1.5H",
        "-PT1H",
        "P1W2D",
        "PT1M1H",
        "P1000D",
        "PT10000H",
        "P1H",
        "PT1D",
        "pt2h",
        " PT2H",
        "PT2H ",
        "PT2H\n",
        "P\u{661}D",
    ];
    bad.extend(refused.map(grace));
    agree(ROTATION_TYPE, &rotation(), &good, &bad);
}

#[test]
fn both_agree_on_the_number_of_selectors() {
    for (event_type, base) in [(COMPROMISE_NOTICE_TYPE, notice()), (ROTATION_TYPE, rotation())] {
        for (count, expected) in [(10_000, true), (10_001, false)] {
            let many = vec![json!({"user": "a"}); count];
            let event = changed(&base, &("/data/credentials", Some(Value::from(many))));
            let (read, valid) = judge(event_type, &event);
            assert_eq!((read.is_ok(), valid), (expected, expected), "{event_type} {count}");
        }
    }
}
