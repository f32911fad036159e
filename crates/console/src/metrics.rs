//! Metrics for Prometheus.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::state::Console;

/// `OpenMetrics` 1.0 text.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) async fn metrics(State(console): State<Console>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], console.scrape.scrape().await)
}
