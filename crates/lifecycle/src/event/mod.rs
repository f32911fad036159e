//! Inbound events: CloudEvents 1.0 attributes plus the data of each type.
//!
//! Decoding is pure and total: whatever arrives is either an [`Event`] or a [`Malformed`] that
//! names the field. The transport (content modes, headers) is the Kafka crate's.

mod compromise_notice;
mod contract_end;
mod duration;
mod parse;
mod rotation_request;
mod selector;

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};

pub use compromise_notice::{CompromiseNotice, Severity};
pub use contract_end::{ContractChange, ContractEnd};
pub use parse::{Attributes, MAX_EVENT_BYTES, MAX_SELECTORS, Malformed, parse};
pub use rotation_request::{Cause, RotationRequest};
pub use selector::{Selector, SelectorTarget};

use crate::ids::EventKey;

/// CloudEvents `type` of a contract end.
pub const CONTRACT_END_TYPE: &str = "io.severance.contract-end.v1";
/// CloudEvents `type` of a compromise notice.
pub const COMPROMISE_NOTICE_TYPE: &str = "io.severance.compromise-notice.v1";
/// CloudEvents `type` of a rotation.
pub const ROTATION_TYPE: &str = "io.severance.rotation.v1";

/// Reads a time as RFC 3339 has it. Chrono's own reading lets much more pass (`2026-1-1T0:0:0Z`).
fn strict_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    rfc3339(&Cow::<str>::deserialize(deserializer)?)
}

/// The same, where there need not be one.
fn optional_strict_time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = Option::<Cow<'_, str>>::deserialize(deserializer)?;
    text.map(|text| rfc3339(&text)).transpose()
}

fn rfc3339<E: serde::de::Error>(text: &str) -> Result<DateTime<Utc>, E> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.with_timezone(&Utc))
        .map_err(|_| E::custom("not an RFC 3339 time"))
}

/// A valid inbound event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// `source` + `id`.
    pub key: EventKey,
    /// CloudEvents `time`, where the sender gave one.
    pub time: Option<DateTime<Utc>>,
    /// What it says.
    pub payload: Payload,
    /// SHA-256 (hexadecimal) over what the event says in a canonical form: the same for both
    /// content modes and any order of fields, different for other content.
    pub digest: String,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "trigger", rename_all = "kebab-case")]
pub enum Payload {
    /// A contract ends, ends later than said, or does not end after all.
    ContractEnd(ContractEnd),
    /// Credentials are known or believed to be in the wrong hands.
    CompromiseNotice(CompromiseNotice),
    /// Credentials are to be replaced.
    Rotation(RotationRequest),
}

/// What kind of event opened a case. The order is the order of urgency: urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// A compromise notice.
    CompromiseNotice,
    /// A contract end.
    ContractEnd,
    /// A rotation.
    Rotation,
}

impl Trigger {
    /// All of them, urgent first.
    pub const ALL: [Self; 3] = [Self::CompromiseNotice, Self::ContractEnd, Self::Rotation];

    /// The label value in metrics, outcomes and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CompromiseNotice => "compromise-notice",
            Self::ContractEnd => "contract-end",
            Self::Rotation => "rotation",
        }
    }
}

impl Event {
    /// What kind of event it is.
    pub fn trigger(&self) -> Trigger {
        match self.payload {
            Payload::ContractEnd(_) => Trigger::ContractEnd,
            Payload::CompromiseNotice(_) => Trigger::CompromiseNotice,
            Payload::Rotation(_) => Trigger::Rotation,
        }
    }

    /// The ticket that the sender named.
    pub fn ticket(&self) -> Option<&str> {
        match &self.payload {
            Payload::ContractEnd(end) => end.ticket.as_deref(),
            Payload::CompromiseNotice(notice) => notice.ticket.as_deref(),
            Payload::Rotation(rotation) => rotation.ticket.as_deref(),
        }
    }
}
