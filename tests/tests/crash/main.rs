//! The worker is killed with SIGKILL again and again under load, and nothing is lost, nothing is
//! repeated beyond what was in flight, and nothing else is touched.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test; what it prints says how far a long run got"
)]

mod kills;
mod mixed;
mod notices;
