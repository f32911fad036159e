//! Denies: what they cover, where they are written and whose they are.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::CaseId;

/// Where a deny is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DenyPlace {
    /// An inline policy of the identity.
    Inline,
    /// A managed policy of its own, attached to the identity.
    Managed,
    /// A permissions boundary: the old one plus the deny. Only for a whole user.
    Boundary,
}

/// What a deny covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DenyScope {
    /// Everything, by every credential.
    Everything,
    /// Everything, by sessions issued before this moment (the provider's clock). Long-term keys have
    /// no issue time and are left alone (AWS: IAM User Guide, `aws:TokenIssueTime`).
    SessionsBefore(DateTime<Utc>),
}

/// A deny to put.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DenyOrder {
    /// Whose it is and where.
    pub handle: DenyHandle,
    /// What it covers.
    pub scope: DenyScope,
}

/// Names one deny of one case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DenyHandle {
    /// The case that it belongs to.
    pub case: CaseId,
    /// Whether it denies everything or sessions: one case may need both on one user.
    pub purpose: DenyPurpose,
    /// Where it is written.
    pub place: DenyPlace,
}

/// See [`DenyHandle::purpose`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DenyPurpose {
    /// A cutoff for sessions.
    Sessions,
    /// Everything.
    Everything,
}

impl DenyHandle {
    /// The name of the policy that holds the deny. It names the case, so that anyone who finds it
    /// can ask `severance case` about it, and so that no case touches another's.
    pub fn policy_name(&self) -> String {
        let purpose = match self.purpose {
            DenyPurpose::Sessions => "sessions",
            DenyPurpose::Everything => "everything",
        };
        format!("severance-{}-{purpose}", self.case)
    }
}

impl fmt::Display for DenyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::SessionsBefore(cutoff) => {
                write!(f, "everything by sessions issued before {}", cutoff.format("%FT%TZ"))
            }
        }
    }
}
