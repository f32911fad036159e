//! Scenario, crash and fault tests live in `tests/`.
