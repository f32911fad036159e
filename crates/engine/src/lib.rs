//! Drives tasks to their desired state over ports.
//!
//! The engine claims a task, looks at the provider, asks [`severance_lifecycle::decide`] what to do,
//! records the intent, does it, records the outcome and looks again. Delivery is at least once and
//! effects are idempotent: a crash anywhere is repaired by looking again.

pub mod ports;
