//! The intake and the publisher against a Kafka: the sandbox's unless `SEVERANCE_TEST_KAFKA=host:port`
//! names another.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]
#![allow(clippy::print_stderr, reason = "a test that a broker cannot do says so")]

mod broker;
mod clock;
mod fake_ledger;
mod intake;
mod outage;
mod publishing;
mod records;
mod sandbox;
