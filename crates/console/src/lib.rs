//! The worker's local HTTP: health, metrics and the API that the commands talk to.
//!
//! It listens on loopback unless configured. That alone protects nothing: any page in a browser on
//! the same machine can reach it. So every request's `Host` is checked (DNS rebinding), and a write
//! needs a bearer token and must not come from another origin (CSRF), on loopback too.

#![forbid(unsafe_code)]

mod api;
mod error;
mod guard;
mod health;
mod metrics;
mod server;
mod state;
mod summary;
mod token;

pub use api::{CASE_STATES, TASK_STATES};
pub use error::ErrorBody;
pub use server::{ServeError, router, serve};
pub use state::{Console, Readiness, Ready, Scrape};
pub use summary::{Percentiles, Released, Retried, Summary, TimeToRevoke, time_to_revoke};
pub use token::Token;
