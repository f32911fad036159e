//! Whom the reference receiver believes.

use aws_lc_rs::hmac;
use severance_issuers::webhook::{AnswerError, CallKind, Status, WebhookError};
use severance_lifecycle::failure::FailureClass;

use crate::receiver::Receiver;
use crate::world::{NOW, SECRET, call, endpoint, issuer_at, key, serve};

#[tokio::test]
async fn another_key_is_not_believed_and_the_call_blocks() {
    let receiver = Receiver::new(&[key(1)], || NOW);
    receiver.store(SECRET, "v1", "V4lue");
    let endpoint = endpoint(serve(&receiver).await, key(2));
    let error = issuer_at(NOW).call(&endpoint, &call(CallKind::Set, "v1")).await.unwrap_err();
    let is_401 = matches!(&error, WebhookError::Nonsense { source: AnswerError::Code(401), .. });
    assert!(is_401, "{error:?}");
    assert_eq!(error.class(), FailureClass::Cannot);
    assert_eq!(receiver.changes(), 0);
}

#[tokio::test]
async fn while_a_key_is_changed_both_are_believed() {
    let receiver = Receiver::new(&[key(1), key(2)], || NOW);
    receiver.store(SECRET, "v1", "V4lue");
    let port = serve(&receiver).await;
    for (byte, believed) in [(1, true), (2, true), (3, false)] {
        let endpoint = endpoint(port, key(byte));
        let answer = issuer_at(NOW).call(&endpoint, &call(CallKind::Set, "v1")).await;
        assert_eq!(answer.is_ok(), believed, "{byte}");
    }
}

#[tokio::test]
async fn a_call_from_another_time_is_not_believed() {
    let receiver = Receiver::new(&[key(1)], || NOW);
    receiver.store(SECRET, "v1", "V4lue");
    let endpoint = endpoint(serve(&receiver).await, key(1));
    for (off, believed) in [(-301, false), (-300, true), (300, true), (301, false)] {
        let issuer = issuer_at(NOW + off);
        let answer = issuer.call(&endpoint, &call(CallKind::Test, "v1")).await;
        assert_eq!(answer.is_ok(), believed, "{off}");
    }
}

/// A call as somebody on the way could send it.
async fn send(port: u16, timestamp: &str, signature: &str, key: &str, body: &str) -> (u16, String) {
    let response = reqwest::Client::builder()
        .tls_backend_preconfigured(no_tls())
        .build()
        .unwrap()
        .post(format!("http://127.0.0.1:{port}/"))
        .header("severance-timestamp", timestamp)
        .header("severance-signature", signature)
        .header("idempotency-key", key)
        .body(body.to_owned())
        .send()
        .await
        .unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

fn no_tls() -> rustls::ClientConfig {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

#[tokio::test]
async fn nothing_of_a_signed_call_can_be_changed() {
    let receiver = Receiver::new(&[key(1)], || NOW);
    receiver.store(SECRET, "v1", "V4lue");
    let port = serve(&receiver).await;
    let body = serde_json::to_string(&call(CallKind::Set, "v1")).unwrap();
    let time = NOW.to_string();
    let signing = hmac::Key::new(hmac::HMAC_SHA256, &key(1));
    let tag = hmac::sign(&signing, format!("{time}.{body}").as_bytes());
    let signature = format!("v1={}", hex::encode(tag));

    let later = (NOW + 1).to_string();
    let revoke = body.replace("set", "revoke");
    for (timestamp, signature, body) in [
        (later.as_str(), signature.as_str(), body.as_str()),
        (&time, &signature, &revoke),
        (&time, &signature[..signature.len() - 2], &body),
        (&time, "v1=", &body),
        (&time, "v1=zz", &body),
        (&time, signature.trim_start_matches("v1="), &body),
        (&time, "", &body),
        ("", &signature, &body),
        ("now", &signature, &body),
    ] {
        let (code, _) = send(port, timestamp, signature, "k", body).await;
        assert_eq!(code, 401, "{timestamp} {signature} {body}");
    }
    assert_eq!(receiver.changes(), 0);
    assert_eq!(send(port, &time, &signature, "k", &body).await.0, 200);
    assert!(receiver.accepts(SECRET, "V4lue"));
}

#[tokio::test]
async fn a_replayed_call_does_not_bring_a_revoked_value_back() {
    let receiver = Receiver::new(&[key(1)], || NOW);
    receiver.store(SECRET, "v1", "V4lue");
    let port = serve(&receiver).await;
    let body = serde_json::to_string(&call(CallKind::Set, "v1")).unwrap();
    let time = NOW.to_string();
    let signing = hmac::Key::new(hmac::HMAC_SHA256, &key(1));
    let tag = hmac::sign(&signing, format!("{time}.{body}").as_bytes());
    let signature = format!("v1={}", hex::encode(tag));
    assert_eq!(send(port, &time, &signature, "k", &body).await.0, 200);

    let endpoint = endpoint(port, key(1));
    let revoked = issuer_at(NOW).call(&endpoint, &call(CallKind::Revoke, "v1")).await.unwrap();
    assert_eq!(revoked.status, Status::Done);
    // Also under another key, which is not signed.
    for key in ["k", "another"] {
        send(port, &time, &signature, key, &body).await;
        assert!(!receiver.accepts(SECRET, "V4lue"), "{key}");
    }
}
