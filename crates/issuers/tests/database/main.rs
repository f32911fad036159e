//! The strategy `database` against a real PostgreSQL.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]

mod administrators;
mod alternating;
mod answers;
mod crash;
mod interrupted;
mod obstacles;
mod refused;
mod server;
mod sessions;
mod single_user;
mod taken_over;
mod world;
