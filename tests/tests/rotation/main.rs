//! The engine over its real ledger, the sandbox's Secrets Manager, and issuers that are real: a PostgreSQL
//! and the reference receiver of the webhook; and the real binary before the former.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test that cannot go on should panic"
)]

mod binary;
mod database;
mod forged;
mod process;
#[path = "../../../crates/issuers/examples/webhook_receiver/receiver.rs"]
mod receiver;
mod rig;
#[allow(dead_code, reason = "the issuers' own tests use all of it")]
#[path = "../../../crates/issuers/tests/database/server.rs"]
mod server;
mod webhook;
