//! Liveness and readiness.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::state::{Console, Ready};

/// The process answers: nothing more. A worker whose Kafka is away must not be killed for it.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Every part; 503 where one is not ready.
pub(crate) async fn readyz(State(console): State<Console>) -> (StatusCode, Json<Vec<Ready>>) {
    let parts = console.readiness.check().await;
    let status = if parts.iter().all(|part| part.ready) {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(parts))
}
