//! A whole rotation by the reference receiver.

use severance_issuers::webhook::{CallKind, Status};

use crate::raw::{Raw, answer};
use crate::receiver::Receiver;
use crate::world::{NOW, SECRET, call, endpoint, issuer_at, key, serve};

#[tokio::test]
async fn a_rotation_sets_tries_finishes_and_revokes() {
    let receiver = Receiver::new(&[key(1)], || NOW);
    receiver.store(SECRET, "v1", "0ldV4lue");
    receiver.store(SECRET, "v2", "n3wV4lue");
    let endpoint = endpoint(serve(&receiver).await, key(1));
    let issuer = issuer_at(NOW);
    let say =
        async |kind, version| issuer.call(&endpoint, &call(kind, version)).await.unwrap().status;

    assert_eq!(say(CallKind::Set, "v1").await, Status::Done);
    assert_eq!(say(CallKind::Test, "v2").await, Status::Refused);
    assert_eq!(say(CallKind::Set, "v2").await, Status::Done);
    assert_eq!(say(CallKind::Test, "v2").await, Status::Accepted);
    assert_eq!(say(CallKind::Finish, "v2").await, Status::Done);
    assert_eq!(say(CallKind::Test, "v1").await, Status::Accepted, "until it is revoked");
    assert_eq!(say(CallKind::Revoke, "v1").await, Status::Done);
    assert_eq!(say(CallKind::Test, "v1").await, Status::Refused);
    assert_eq!(say(CallKind::Test, "v2").await, Status::Accepted);
    assert!(receiver.accepts(SECRET, "n3wV4lue") && !receiver.accepts(SECRET, "0ldV4lue"));

    let unknown = issuer.call(&endpoint, &call(CallKind::Set, "v9")).await.unwrap();
    assert_eq!(unknown.status, Status::Refused);
    assert_eq!(unknown.reason.as_deref(), Some("this version cannot be read"));
}

#[tokio::test]
async fn a_repeated_call_is_done_once() {
    let receiver = Receiver::new(&[key(1)], || NOW);
    receiver.store(SECRET, "v1", "V4lue");
    let endpoint = endpoint(serve(&receiver).await, key(1));
    for _ in 0..3 {
        let answer = issuer_at(NOW).call(&endpoint, &call(CallKind::Set, "v1")).await.unwrap();
        assert_eq!(answer.status, Status::Done);
    }
    assert_eq!(receiver.changes(), 1);
}

#[tokio::test]
async fn a_call_names_the_value_and_does_not_hold_it() {
    let raw = Raw::start(vec![answer(200, "", r#"{"status":"done"}"#)]).await;
    let endpoint = endpoint(raw.port, key(1));
    issuer_at(NOW).call(&endpoint, &call(CallKind::Set, "v1")).await.unwrap();
    let request = raw.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST / HTTP/1.1\r\n"), "{head}");
    for header in [
        "content-type: application/json",
        "severance-timestamp: 1700000000",
        "idempotency-key: task-7.attempt-1:set:v1",
    ] {
        assert!(head.lines().any(|line| line == header), "{header} in {head}");
    }
    let expected = format!(
        r#"{{"call":"set","secret":"{SECRET}","version":"v1","attempt_id":"task-7.attempt-1"}}"#
    );
    assert_eq!(body, expected);
}
