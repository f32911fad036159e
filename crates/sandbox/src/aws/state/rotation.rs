//! How a secret is rotated.

use chrono::{DateTime, Utc};

use crate::aws::rotation::Rules;

/// A secret's rotation, as it is configured and as it went.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rotation {
    pub(crate) enabled: bool,
    pub(crate) lambda_arn: Option<String>,
    pub(crate) rules: Option<Rules>,
    pub(crate) last: Option<DateTime<Utc>>,
    pub(crate) next: Option<DateTime<Utc>>,
}

/// One run of a rotation function.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// Tells this run from a later one of the same secret.
    pub(crate) id: u64,
    /// The version that it makes.
    pub(crate) version: String,
}
