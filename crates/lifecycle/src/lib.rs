//! The domain of Severance, pure: no IO, no clock, no randomness.
