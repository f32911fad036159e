//! An owner's endpoint, which the strategy `webhook` tells: the demo's own, on loopback.
//!
//! It does what docs/ROTATION-WEBHOOK.md asks of one: believes signed calls alone, reads values by
//! itself, and does each call once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use serde::Deserialize;
use serde_json::json;
use severance_engine::ports::Clock;
use severance_issuers::webhook::SigningKey;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::vault::Vault;
use crate::clock::SystemClock;
use crate::error::{Doing, Outcome};

/// The field of a value that a rotation changes.
pub(super) const FIELD: &str = "token";
/// Seconds that a call may be old.
const WINDOW: u64 = 300;

/// The endpoint, until it is dropped.
pub(super) struct Receiver {
    shared: Arc<Shared>,
    url: String,
    server: JoinHandle<()>,
}

struct Shared {
    key: SigningKey,
    vault: Vault,
    store: Mutex<Store>,
}

/// What the endpoint accepts, and what it was told.
#[derive(Default)]
struct Store {
    /// Tokens by the secret's ARN.
    accepted: BTreeMap<String, BTreeSet<String>>,
    /// Calls that were done: attempt, call, version.
    done: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Call {
    #[serde(rename = "call")]
    kind: String,
    secret: String,
    version: String,
    attempt_id: String,
}

impl Receiver {
    /// Serves on a free port of loopback.
    pub(super) async fn start(key: SigningKey, vault: Vault) -> Outcome<Self> {
        let doing = "the demo's webhook cannot be served";
        let listener = TcpListener::bind("127.0.0.1:0").await.doing(doing)?;
        let url = format!("http://{}/", listener.local_addr().doing(doing)?);
        let shared = Arc::new(Shared { key, vault, store: Mutex::default() });
        let router = Router::new().route("/", post(receive)).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the demo's webhook stopped");
            }
        });
        Ok(Self { shared, url, server })
    }

    /// Where it is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Accepts a secret's first token, as before the first rotation.
    pub(super) fn accept(&self, arn: &str, token: &str) {
        self.shared.store().accepted.entry(arn.to_owned()).or_default().insert(token.to_owned());
    }

    /// Tries a token, as whoever holds it would.
    pub(super) fn accepts(&self, arn: &str, token: &str) -> bool {
        self.shared.store().accepts(arn, token)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    if !shared.is_signed(&headers, &body) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Ok(call) = serde_json::from_slice::<Call>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let Ok(value) = shared.vault.version(&call.secret, &call.version).await else {
        // It cannot tell; the caller asks again.
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let (status, reason) = match value.as_deref().and_then(token) {
        Some(token) => shared.store().answer(&call, &token),
        None => ("refused", "there is no token in this version"),
    };
    Json(json!({ "status": status, "reason": reason })).into_response()
}

/// The token in a value.
pub(super) fn token(value: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(value).ok()?;
    value[FIELD].as_str().map(str::to_owned)
}

impl Shared {
    fn is_signed(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(timestamp), Some(signature)) =
            (header("severance-timestamp"), header("severance-signature"))
        else {
            return false;
        };
        let is_fresh = timestamp
            .parse::<i64>()
            .is_ok_and(|at| SystemClock.now().timestamp().abs_diff(at) <= WINDOW);
        is_fresh && self.key.verifies(timestamp, body, signature)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    fn accepts(&self, arn: &str, token: &str) -> bool {
        self.accepted.get(arn).is_some_and(|accepted| accepted.contains(token))
    }

    fn answer(&mut self, call: &Call, token: &str) -> (&'static str, &'static str) {
        if call.kind == "test" {
            // Tried anew every time: an answer from memory would prove nothing.
            let accepts = self.accepts(&call.secret, token);
            return (if accepts { "accepted" } else { "refused" }, "");
        }
        if !matches!(call.kind.as_str(), "set" | "revoke" | "finish") {
            return ("refused", "no such call");
        }
        let name = format!("{}:{}:{}", call.attempt_id, call.kind, call.version);
        if self.done.insert(name) {
            let accepted = self.accepted.entry(call.secret.clone()).or_default();
            match call.kind.as_str() {
                "set" => accepted.insert(token.to_owned()),
                "revoke" => accepted.remove(token),
                _ => false,
            };
        }
        ("done", "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_call_is_done_once_and_a_test_is_always_tried() {
        let mut store = Store::default();
        let mut tell = |kind: &str, attempt: &str| {
            let text = |text: &str| text.to_owned();
            let (secret, version) = (text("arn"), text("v1"));
            let call = Call { kind: text(kind), secret, version, attempt_id: text(attempt) };
            store.answer(&call, "t0ken").0
        };
        assert_eq!(tell("test", "a"), "refused");
        assert_eq!(tell("set", "a"), "done");
        assert_eq!(tell("test", "a"), "accepted");
        assert_eq!(tell("revoke", "a"), "done");
        assert_eq!(tell("set", "a"), "done", "as before, and nothing is done");
        assert_eq!(tell("test", "a"), "refused");
        assert_eq!(tell("set", "b"), "done");
        assert_eq!(tell("test", "b"), "accepted");
        assert_eq!(tell("forget", "b"), "refused");
    }
}
