//! The data of `io.severance.rotation.v1`.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration;
use super::selector::Selector;

/// Credentials are to be replaced by new ones, and the old ones to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RotationRequest {
    /// Which credentials; one selector or more. Everything that they name is rotated, however young it
    /// is.
    #[schemars(length(min = 1, max = 10_000))]
    pub credentials: Vec<Selector>,
    /// Why.
    pub cause: Cause,
    /// How long the old credentials keep working once the new ones are handed out: an ISO 8601
    /// duration in weeks, or in days, hours, minutes and seconds (`PT2H`, `P1DT12H`, `P2W`). The zone's
    /// where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "duration::serialize", deserialize_with = "duration::deserialize")]
    #[schemars(with = "Option<String>", regex(pattern = duration::PATTERN))]
    pub grace: Option<TimeDelta>,
    /// Not before this moment (RFC 3339), which may lie in the past or the future; the clock of time to
    /// rotate starts here or at the event's `time`, whichever is later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "super::optional_strict_time")]
    pub not_before: Option<DateTime<Utc>>,
    /// The ticket that this belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// Why credentials are rotated. It is told with every outcome, and changes nothing of what is rotated.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A calendar says so.
    Scheduled,
    /// Somebody asked.
    Requested,
    /// The credentials' owner changed.
    OwnerChange,
    /// The partner changed a subcontractor.
    SubcontractorChange,
    /// Support was handed over to others.
    SupportHandoff,
    /// They are older than their zone allows.
    Policy,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Scheduled,
        Self::Requested,
        Self::OwnerChange,
        Self::SubcontractorChange,
        Self::SupportHandoff,
        Self::Policy,
    ];

    /// The name in events, outcomes and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Requested => "requested",
            Self::OwnerChange => "owner-change",
            Self::SubcontractorChange => "subcontractor-change",
            Self::SupportHandoff => "support-handoff",
            Self::Policy => "policy",
        }
    }
}
