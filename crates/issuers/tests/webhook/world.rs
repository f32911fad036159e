//! Calls, and what makes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use severance_engine::ports::Clock;
use severance_issuers::webhook::{
    Call, CallKind, Endpoint, SigningKey, WebhookIssuer, WebhookSettings,
};
use tokio::net::TcpListener;

use crate::receiver::Receiver;

pub(crate) const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app-AbCdEf";

/// When it is, for both sides unless a test says otherwise.
pub(crate) const NOW: i64 = 1_700_000_000;

/// A clock that stands.
pub(crate) struct Standing(AtomicI64);

impl Standing {
    pub(crate) fn at(seconds: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(seconds)))
    }
}

#[async_trait]
impl Clock for Standing {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.0.load(Ordering::Relaxed), 0).unwrap()
    }

    async fn sleep(&self, _: TimeDelta) {}
}

/// Settings for tests, where only a fault takes long.
pub(crate) fn settings() -> WebhookSettings {
    WebhookSettings { timeout: Duration::from_secs(20), ..WebhookSettings::default() }
}

/// Calls at this time.
pub(crate) fn issuer_at(seconds: i64) -> WebhookIssuer {
    WebhookIssuer::new(&settings(), Standing::at(seconds)).unwrap()
}

pub(crate) fn key(byte: u8) -> Vec<u8> {
    vec![byte; 32]
}

pub(crate) fn endpoint(port: u16, key: Vec<u8>) -> Endpoint {
    let url = format!("http://127.0.0.1:{port}/");
    Endpoint::new(&url, SigningKey::new(key).unwrap()).unwrap()
}

pub(crate) fn call(call: CallKind, version: &str) -> Call {
    Call {
        call,
        secret: SECRET.to_owned(),
        version: version.to_owned(),
        attempt_id: "task-7.attempt-1".to_owned(),
    }
}

/// The reference receiver, as a real server; answers its port.
pub(crate) async fn serve(receiver: &Arc<Receiver>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = receiver.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}
