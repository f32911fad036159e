//! Intake and publishing over Kafka: CloudEvents, offsets, rebalances, dead letters.
