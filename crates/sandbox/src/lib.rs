//! An embedded Kafka and an embedded AWS for the demo, the tests and a first hour.

pub mod aws;
pub mod kafka;
