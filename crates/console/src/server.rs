//! Routes, and the server.

use std::future::Future;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use thiserror::Error;
use tokio::net::TcpListener;

use crate::state::Console;
use crate::{api, guard, health, metrics};

/// The console stopped serving.
#[derive(Debug, Error)]
#[error("the local HTTP server stopped")]
pub struct ServeError(#[source] std::io::Error);

/// The routes, guarded.
pub fn router(console: Console) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/api/v1/summary", get(api::summary))
        .route("/api/v1/cases", get(api::cases))
        .route("/api/v1/cases/{id}", get(api::case))
        .route("/api/v1/cases/{id}/release", post(api::release))
        .route("/api/v1/tasks", get(api::tasks))
        .route("/api/v1/tasks/retry", post(api::retry_all))
        .route("/api/v1/tasks/{id}/retry", post(api::retry_one))
        .fallback(api::unknown)
        .method_not_allowed_fallback(api::wrong_method)
        .layer(middleware::from_fn_with_state(console.clone(), guard::guard))
        .with_state(console)
}

/// Serves until `shutdown` resolves and requests in flight have ended.
///
/// # Errors
/// [`ServeError`]
pub async fn serve(
    listener: TcpListener,
    console: Console,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    axum::serve(listener, router(console))
        .with_graceful_shutdown(shutdown)
        .await
        .map_err(ServeError)
}
