//! Support for the tests and benchmarks that run the real binary: the sandbox and the worker as
//! processes of their own, the real SDK, a real Kafka producer, and the worker's local API.
//!
//! Everything here panics where it cannot go on: in a test that is the message one wants to read.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "test support: what cannot go on ends the test, with its message"
)]

pub mod aws;
pub mod binary;
pub mod calls;
pub mod clock;
pub mod control;
pub mod events;
pub mod process;
pub mod publish;
pub mod sandbox;
pub mod settings;
pub mod subscribe;
pub mod wait;
pub mod worker;
pub mod world;
