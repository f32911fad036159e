//! Logs to standard error: standard output belongs to what a command answers.

use std::io::IsTerminal;

use serde::Deserialize;
use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Why logging was not set up.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// The filter cannot be read.
    #[error("cannot read the log filter {filter:?}")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Someone set up logging before.
    #[error("logging is set up already")]
    Twice(#[source] TryInitError),
}

/// Whether [`init`] would take this filter.
///
/// # Errors
/// [`LoggingError::Filter`]
pub fn check_filter(filter: &str) -> Result<(), LoggingError> {
    parsed(filter).map(|_| ())
}

fn parsed(filter: &str) -> Result<EnvFilter, LoggingError> {
    EnvFilter::try_new(filter)
        .map_err(|source| LoggingError::Filter { filter: filter.to_owned(), source })
}

/// Sets logging up for the process. `filter` is in the syntax of `tracing`'s `EnvFilter`, for example
/// `info,severance_kafka=debug`.
///
/// # Errors
/// [`LoggingError`]
pub fn init(format: LogFormat, filter: &str) -> Result<(), LoggingError> {
    let parsed = parsed(filter)?;
    let base = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_span_events(FmtSpan::NONE)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Human => base.with_ansi(std::io::stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => base.json().flatten_event(true).finish().try_init(),
    }
    .map_err(LoggingError::Twice)
}
