//! The strategy `webhook` against the reference receiver, and against servers that misbehave.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod answers;
mod https;
mod raw;
#[path = "../../examples/webhook_receiver/receiver.rs"]
mod receiver;
mod rotation;
mod signatures;
mod world;
