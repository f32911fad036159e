//! What the worker says of itself: metrics for Prometheus and structured logs.
//!
//! Facts arrive as [`EngineEvent`](severance_engine::ports::EngineEvent)s; [`Telemetry`] makes the
//! metric and the log line of each in one place, so that the two never disagree. What is a state
//! and not a happening (open exposures, queues) is read from the ledger at each scrape and handed
//! over as a [`Snapshot`].
//!
//! No label carries a key id, a user or an ARN: labels are for counting, the API is for names.

#![forbid(unsafe_code)]

mod chain;
mod labels;
mod logging;
mod metrics;
pub mod names;
mod observer;
mod snapshot;

pub use chain::Chain;
pub use logging::{LogFormat, LoggingError, check_filter, init as init_logging};
pub use metrics::{BuildInfo, Metrics};
pub use observer::Telemetry;
pub use snapshot::{IntakeLag, Snapshot};
