//! What the worker publishes, read from the broker by somebody else.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use severance_tests::events::{Event, NOTICES, key_notice};
use severance_tests::subscribe::{Record, Subscriber};
use severance_tests::world::{World, probeable};

const LIMIT: Duration = Duration::from_mins(1);

/// A notice that a person mistyped, in binary mode, with headers that are not for us.
const MISTYPED: &[u8] =
    br#"{ "credentials":[{"user":"bob"}], "discovered_at":"2026-03-01T08:00:00Z",
 "severity":"apocalyptic", "reporter":"soc", "reason":"x" }"#;
const HEADERS: [(&str, Option<&[u8]>); 8] = [
    ("content-type", Some(b"application/json")),
    ("ce_specversion", Some(b"1.0")),
    ("ce_type", Some(b"io.severance.compromise-notice.v1")),
    ("ce_source", Some(b"/by-hand")),
    ("ce_id", Some(b"mistyped")),
    ("trace", Some(b"\xff\x00 not text")),
    ("trace", Some(b"again")),
    ("empty", None),
];
const KEY: &[u8] = b"a key \xff\x00";

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_escalations_and_dead_letters_are_on_their_topics() {
    let world = World::new().await;
    let tags = [("severance:zone", "acme"), ("severance:contract", "payments")];
    let (_, key) = world.seed_one(probeable("leaked", &tags)).await;
    let mut settings = world.settings();
    "[zones.acme]\nmode = \"enforce\"\n".clone_into(&mut settings.more);
    let worker = world.worker(&settings).await;

    let valid = key_notice("notice-1", &key.id);
    world.publisher.publish(&valid).await;
    world.publisher.publish(&with_other_content(&valid)).await;
    world.publisher.publish_bytes(NOTICES, KEY, MISTYPED, &HEADERS).await;
    let case = worker.api.closed("notice-1", LIMIT).await.summary.case;

    let topic = |name| Subscriber::new(&world.sandbox.brokers, name);
    let outcomes = topic("credential.outcome");
    let revoked = outcomes.next("the task's outcome", |it| it.json()["task"].is_string()).await;
    is_revoked(&revoked, &case.id.to_string(), &key.id);
    let outcomes = topic("credential.outcome");
    let closed = outcomes.next("the case's end", |it| !it.json()["closed"].is_null()).await;
    assert_eq!(closed.header("ce_type"), "io.severance.case.closed.v1");
    assert_eq!(closed.json()["event"], json!({ "source": "/tests", "id": "notice-1" }));
    assert_eq!(closed.json()["tasks"], json!({ "done": 1, "observed": 0, "superseded": 0 }));

    let escalations = topic("credential.escalation");
    let conflict = |it: &Record| it.json()["message"].to_string().contains("with other content");
    let escalation = escalations.next("the conflict's escalation", conflict).await;
    is_event(&escalation, "io.severance.escalation.v1");
    assert_eq!(escalation.key(), Some(format!("-/{}", case.id).as_bytes()));
    assert_eq!(escalation.json()["case"], case.id.to_string());
    let finding = &escalation.json()["detail"]["finding"];
    assert_eq!(finding["finding"], "content-conflict", "{finding}");

    let dead = topic("credential.dead-letter").next("the dead letter", |_| true).await;
    is_the_mistyped_notice(&dead);
}

/// Another event with the same source and id.
fn with_other_content(event: &Event) -> Event {
    let mut other = event.clone();
    other.body["data"]["reason"] = "seen elsewhere too".into();
    other
}

/// A CloudEvent in binary mode, whose journal entry is named.
fn is_event(record: &Record, event_type: &str) {
    assert_eq!(record.header("ce_type"), event_type);
    assert_eq!(record.header("ce_specversion"), "1.0");
    assert_eq!(record.header("ce_source"), "/severance");
    assert_eq!(record.header("content-type"), "application/json");
    assert!(!record.header("ce_id").is_empty());
    assert!(DateTime::parse_from_rfc3339(record.header("ce_time")).is_ok());
    assert!(record.json()["sequence"].as_i64() > Some(0), "{record:?}");
}

fn is_revoked(record: &Record, case: &str, key_id: &str) {
    is_event(record, "io.severance.credential.revoked.v1");
    assert!(record.key().unwrap().starts_with(b"acme/"), "{record:?}");
    let data = record.json();
    assert_eq!(data["case"], case);
    assert_eq!((&data["target"]["key_id"], &data["desired"]), (&key_id.into(), &"revoked".into()));
    assert_eq!((&data["zone"], &data["contract"]), (&"acme".into(), &"payments".into()));
    assert_eq!(data["trigger"], "compromise-notice");
    assert_eq!((&data["verification"], &data["deadline_met"]), (&"probed".into(), &true.into()));
    assert!(data["ways"].as_array().unwrap().iter().all(|way| way["standing"] == "closed"));

    let names = ["noticed", "received", "planned", "accepted", "verified"];
    let stages: Vec<DateTime<Utc>> = names.map(|name| time(&data["stages"][name])).to_vec();
    assert!(stages.is_sorted(), "{data}");
    let said = data["time_to_revoke_seconds"].as_f64().unwrap();
    let elapsed = (stages[4] - stages[0]).as_seconds_f64();
    assert!((said - elapsed).abs() < 1e-6, "{said} is not {elapsed}");
}

fn time(value: &Value) -> DateTime<Utc> {
    serde_json::from_value(value.clone()).unwrap()
}

fn is_the_mistyped_notice(dead: &Record) {
    assert_eq!((dead.key(), dead.value()), (Some(KEY), Some(MISTYPED)));
    let headers = dead.headers();
    let (original, added) = headers.split_at(HEADERS.len());
    assert_eq!(original, HEADERS);
    let names: Vec<_> = added.iter().map(|(name, _)| *name).collect();
    let expected =
        ["topic", "partition", "offset", "message"].map(|it| format!("__dlq.errors.{it}"));
    assert_eq!(names, expected);
    assert_eq!(dead.header("__dlq.errors.topic"), NOTICES);
    for number in ["__dlq.errors.partition", "__dlq.errors.offset"] {
        assert!(dead.header(number).parse::<u64>().is_ok(), "{number}");
    }
    let message = dead.header("__dlq.errors.message");
    assert!(message.starts_with("data.severity: "), "{message}");
    assert!(!message.contains("apocalyptic"), "{message}");
}
