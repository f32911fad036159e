//! The data of `io.severance.compromise-notice.v1`.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::selector::Selector;

/// Credentials are known or believed to be in the wrong hands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CompromiseNotice {
    /// Which credentials; one selector or more.
    #[schemars(length(min = 1, max = 10_000))]
    pub credentials: Vec<Selector>,
    /// When the compromise was discovered (RFC 3339); the clock of time to revoke starts here or
    /// at the event's `time`, whichever is earlier.
    #[serde(deserialize_with = "super::strict_time")]
    pub discovered_at: DateTime<Utc>,
    /// How bad it is.
    pub severity: Severity,
    /// Who says so.
    pub reporter: String,
    /// What happened, in words, for the record.
    pub reason: String,
    /// The ticket that this belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Where to read more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_url: Option<String>,
}

/// How bad a compromise is. The order is ascending.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Unlikely to be used.
    Low,
    /// Could be used.
    Medium,
    /// Likely to be used.
    High,
    /// In use, or opens what matters most.
    Critical,
}
