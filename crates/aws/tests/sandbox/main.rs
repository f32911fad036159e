//! The adapter against the sandbox, over the real SDK and the real protocols.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a set-up that fails is a failed test")]

mod keys;
mod lookups;
mod probes;
mod roles;
mod secret_inventory;
mod secret_looks;
mod secrets;
mod support;
mod users;
