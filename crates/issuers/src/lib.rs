//! Issuers beyond AWS: what a secret's value opens, and where it must die.
//!
//! Whoever could read a secret knows its value, so a rotation is over only when the old value is
//! refused by whatever accepted it. [`database`] speaks to PostgreSQL, [`webhook`] to an owner's HTTPS
//! endpoint. Neither knows the secret store: they are given values, or names of versions, and answer
//! values. Every operation looks before it acts, so that it can be repeated after a crash at any point.

#![forbid(unsafe_code)]

mod chain;
pub mod database;
mod known;
mod random;
mod tls;
pub mod webhook;

pub use known::{Administrator, Database, KnownIssuers, Ports, Webhook};
pub use random::{RandomBytes, RandomnessUnavailable};
pub use tls::{Trust, TrustError};
