//! The receiving side of the rotation webhook: believes signed calls alone, and does each once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use serde::Deserialize;
use serde_json::json;

/// Seconds that a timestamp may be off, either way. A call that is caught on its way is worthless later.
const WINDOW: i64 = 300;

/// The receiver. `now` answers Unix seconds.
pub(crate) struct Receiver {
    keys: Vec<hmac::Key>,
    now: Box<dyn Fn() -> i64 + Send + Sync>,
    store: Mutex<Store>,
}

/// What a real receiver has elsewhere.
#[derive(Default)]
struct Store {
    /// Stands in for `GetSecretValue` with a version id: (secret, version) to value.
    values: BTreeMap<(String, String), String>,
    /// Stands in for the thing that checks credentials: what it accepts, by secret.
    accepted: BTreeMap<String, BTreeSet<String>>,
    /// Calls that were done: attempt, call, version.
    done: BTreeSet<String>,
    /// How many calls changed something.
    changes: usize,
}

#[derive(Deserialize)]
struct Call {
    #[serde(rename = "call")]
    kind: String,
    secret: String,
    version: String,
    attempt_id: String,
}

impl Call {
    /// Made of what is signed. The header `idempotency-key` says the same, but whoever replays a call
    /// could write another one.
    fn key(&self) -> String {
        format!("{}:{}:{}", self.attempt_id, self.kind, self.version)
    }
}

impl Receiver {
    /// Believes calls signed with any of `keys`: two while the key is changed, else one.
    pub(crate) fn new(
        keys: &[Vec<u8>],
        now: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            keys: keys.iter().map(|key| hmac::Key::new(hmac::HMAC_SHA256, key)).collect(),
            now: Box::new(now),
            store: Mutex::default(),
        })
    }

    /// Stores a version's value where the receiver will read it.
    pub(crate) fn store(&self, secret: &str, version: &str, value: &str) {
        let at = (secret.to_owned(), version.to_owned());
        self.lock().values.insert(at, value.to_owned());
    }

    /// Has what the secret opens accept a value, as it does before the first rotation.
    #[allow(dead_code, reason = "for tests of the receiver")]
    pub(crate) fn accept(&self, secret: &str, value: &str) {
        self.lock().accepted.entry(secret.to_owned()).or_default().insert(value.to_owned());
    }

    /// Whether what the secret opens accepts this value.
    #[allow(dead_code, reason = "for tests of the receiver")]
    pub(crate) fn accepts(&self, secret: &str, value: &str) -> bool {
        self.lock().accepted.get(secret).is_some_and(|accepted| accepted.contains(value))
    }

    /// How many calls changed something.
    #[allow(dead_code, reason = "for tests of the receiver")]
    pub(crate) fn changes(&self) -> usize {
        self.lock().changes
    }

    /// The endpoint, at `/`.
    pub(crate) fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/", post(receive))
            .layer(DefaultBodyLimit::max(16 * 1024))
            .with_state(Arc::clone(self))
    }

    fn is_signed(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(timestamp) = header("severance-timestamp") else { return false };
        let Ok(seconds) = timestamp.parse::<i64>() else { return false };
        if (self.now)().abs_diff(seconds) > WINDOW.unsigned_abs() {
            return false;
        }
        let signature = header("severance-signature").and_then(|text| text.strip_prefix("v1="));
        let Some(Ok(signature)) = signature.map(hex::decode) else { return false };
        let signed = [timestamp.as_bytes(), b".", body].concat();
        // In constant time.
        self.keys.iter().any(|key| hmac::verify(key, &signed, &signature).is_ok())
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn receive(
    State(receiver): State<Arc<Receiver>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // First of all: nothing of an unsigned call is looked at.
    if !receiver.is_signed(&headers, &body) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Ok(call) = serde_json::from_slice::<Call>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let (status, reason) = receiver.lock().answer(&call);
    Json(json!({ "status": status, "reason": reason })).into_response()
}

impl Store {
    fn answer(&mut self, call: &Call) -> (&'static str, &'static str) {
        let at = (call.secret.clone(), call.version.clone());
        let Some(value) = self.values.get(&at).cloned() else {
            return ("refused", "this version cannot be read");
        };
        let accepted = self.accepted.entry(call.secret.clone()).or_default();
        if call.kind == "test" {
            // Tried anew every time: an answer from memory would prove nothing.
            return if accepted.contains(&value) { ("accepted", "") } else { ("refused", "") };
        }
        if self.done.contains(&call.key()) {
            return ("done", "as before");
        }
        match call.kind.as_str() {
            "set" => accepted.insert(value),
            "revoke" => accepted.remove(&value),
            "finish" => false,
            _ => return ("refused", "no such call"),
        };
        self.done.insert(call.key());
        self.changes += 1;
        ("done", "")
    }
}
