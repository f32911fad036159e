//! What an endpoint may answer, and what is nonsense.

use std::time::Duration;

use severance_issuers::webhook::{
    Answer, AnswerError, CallKind, Status, WebhookError, WebhookIssuer, WebhookSettings,
};
use severance_lifecycle::failure::FailureClass;

use crate::raw::{Raw, answer};
use crate::world::{NOW, Standing, call, endpoint, issuer_at, key};

async fn ask(raw: &Raw) -> Result<Answer, WebhookError> {
    issuer_at(NOW).call(&endpoint(raw.port, key(1)), &call(CallKind::Set, "v1")).await
}

async fn nonsense(bytes: Vec<u8>) -> AnswerError {
    let error = ask(&Raw::start(vec![bytes]).await).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Cannot, "{error:?}");
    assert_eq!(error.failure("webhook:set").code, "Nonsense");
    match error {
        WebhookError::Nonsense { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nonsense_blocks_and_is_named() {
    use AnswerError::{
        Code, DoesNotFit, NoStatus, NotAString, NotAnObject, NotJson, TooLarge, UnknownStatus,
    };
    let large = format!(r#"{{"status":"done","x":"{}"}}"#, "x".repeat(65 * 1024));
    let unfit = DoesNotFit { status: "accepted".to_owned(), call: CallKind::Set };
    for (code, body, expected) in [
        (200, "", NotJson),
        (200, "<html>done</html>", NotJson),
        (200, "[]", NotAnObject),
        (200, "{}", NoStatus),
        (200, r#"{"status":1}"#, NotAString("status")),
        (200, r#"{"status":"ok"}"#, UnknownStatus(Some("ok".to_owned()))),
        (200, r#"{"status":"accepted"}"#, unfit),
        (200, &large, TooLarge),
        (201, r#"{"status":"done"}"#, Code(201)),
        (204, "", Code(204)),
        (400, r#"{"status":"done"}"#, Code(400)),
        (404, "", Code(404)),
    ] {
        assert_eq!(nonsense(answer(code, "", body)).await, expected, "{code} {body}");
    }
}

#[tokio::test]
async fn an_answer_that_never_ends_is_not_read_to_its_end() {
    let mut endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..1000 {
        endless.extend(b"400\r\n");
        endless.extend([b' '; 0x400]);
        endless.extend(b"\r\n");
    }
    assert_eq!(nonsense(endless).await, AnswerError::TooLarge);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    for code in [301, 302, 303, 307, 308] {
        let elsewhere = Raw::start(vec![answer(200, "", r#"{"status":"done"}"#)]).await;
        let location = format!("location: http://127.0.0.1:{}/\r\n", elsewhere.port);
        let error = nonsense(answer(code, &location, "")).await;
        assert_eq!(error, AnswerError::Redirect(code));
        assert!(elsewhere.requests().is_empty());
    }
}

#[tokio::test]
async fn what_may_pass_is_repeated_with_the_same_key_until_it_does() {
    let answers = vec![
        answer(503, "", ""),
        answer(500, "", r#"{"status":"done"}"#),
        answer(429, "", ""),
        answer(408, "", ""),
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"status\":".to_vec(),
        answer(200, "", r#"{"status":"pending","reason":"in a minute"}"#),
        answer(200, "", r#"{"status":"done"}"#),
    ];
    let raw = Raw::start(answers).await;
    let mut classes = Vec::new();
    let done = loop {
        match ask(&raw).await {
            Ok(answer) if answer.status == Status::Pending => {
                assert_eq!(answer.reason.as_deref(), Some("in a minute"));
            }
            Ok(answer) => break answer,
            Err(error) => classes.push(error.class()),
        }
    };
    assert_eq!(done, Answer { status: Status::Done, reason: None });
    let soon = FailureClass::RetrySoon;
    assert_eq!(classes, [soon, soon, FailureClass::Throttled, soon, soon]);
    let requests = raw.requests();
    // One attempt a call: nothing below repeats by itself.
    assert_eq!(requests.len(), 7);
    let key = "idempotency-key: task-7.attempt-1:set:v1\r\n";
    assert!(requests.iter().all(|request| request.contains(key)));
}

#[tokio::test]
async fn silence_is_a_timeout_and_a_closed_port_no_answer() {
    let settings =
        WebhookSettings { timeout: Duration::from_millis(100), ..WebhookSettings::default() };
    let issuer = WebhookIssuer::new(&settings, Standing::at(NOW)).unwrap();
    let silent = Raw::start(vec![Vec::new()]).await;
    let asked = call(CallKind::Set, "v1");
    let error = issuer.call(&endpoint(silent.port, key(1)), &asked).await.unwrap_err();
    assert!(matches!(error, WebhookError::Timeout { .. }), "{error:?}");
    assert_eq!(error.class(), FailureClass::RetrySoon);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = issuer_at(NOW).call(&endpoint(port, key(1)), &asked).await.unwrap_err();
    assert!(matches!(error, WebhookError::Connection { .. }), "{error:?}");
    assert_eq!(error.class(), FailureClass::RetrySoon);
}

#[tokio::test]
async fn an_id_that_is_none_is_not_sent() {
    let raw = Raw::start(vec![answer(200, "", r#"{"status":"done"}"#)]).await;
    let bad = call(CallKind::Set, "v1\r\nseverance-timestamp: 1");
    let error = issuer_at(NOW).call(&endpoint(raw.port, key(1)), &bad).await.unwrap_err();
    assert!(matches!(error, WebhookError::BadCall("version")), "{error:?}");
    assert!(raw.requests().is_empty());
}
