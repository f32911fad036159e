//! The data of `io.severance.contract-end.v1`.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{ContractName, ZoneName};

/// A contract ends, is extended, or is reinstated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContractEnd {
    /// The contract, as identities are tagged with it.
    pub contract: ContractName,
    /// The zone that the contract belongs to.
    pub zone: ZoneName,
    /// When the contract ends (RFC 3339); may lie in the past or the future. For `reinstated`: from
    /// when on it holds again.
    #[serde(deserialize_with = "super::strict_time")]
    pub effective_at: DateTime<Utc>,
    /// Why, in words, for the record.
    pub reason: String,
    /// The ticket that this belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// What happened to the contract.
    #[serde(default)]
    pub change: ContractChange,
    /// A number per contract: the highest wins, whatever the order of arrival.
    pub revision: u64,
}

/// What happened to a contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ContractChange {
    /// It ends at `effective_at`.
    #[default]
    Ended,
    /// It ends later: `effective_at` is the new end.
    Extended,
    /// The end is withdrawn.
    Reinstated,
}
