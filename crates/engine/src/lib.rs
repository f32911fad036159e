//! Drives tasks to their desired state over ports.
//!
//! The engine claims a task, looks at the provider, asks [`severance_lifecycle::decide`] what to do,
//! records the intent, does it, records the outcome and looks again. Delivery is at least once and
//! effects are idempotent: a crash anywhere is repaired by looking again.

#![forbid(unsafe_code)]

mod admission;
mod aging;
mod announcing;
mod backoff;
mod call;
mod config;
mod decider;
mod engine;
pub mod fields;
mod flight;
mod guard;
mod inventory;
mod issuing;
mod looking;
mod planning;
pub mod ports;
mod publishing;
mod reach;
mod resolve;
mod roles;
mod scheduler;
mod shared;
mod steady;
mod telling;
mod ties;
mod urgency;
mod worker;

pub use admission::{AdmissionConfig, Gate, Rate};
pub use announcing::AnnouncingInbox;
pub use backoff::Growth;
pub use config::{EngineConfig, Retries};
pub use decider::{Decider, Lifecycle};
pub use engine::{Engine, Parts};
pub use urgency::{Hold, Presence, Urgency};
