//! Secrets in Secrets Manager as targets, and who issues what they hold.

use serde::{Deserialize, Serialize};

use crate::credential::UserRef;
use crate::ids::{AccountId, TaskId};

/// A secret as one particular secret: its ARN ends in six characters of AWS's choice, so that a secret
/// made again under an old name has another ARN (AWS: Secrets Manager User Guide, "What's in a secret").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretRef {
    /// The account that holds it.
    pub account: AccountId,
    /// The region of the primary, not of a replica.
    pub region: String,
    /// The full ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
}

/// Who issues the credential that a secret holds: where it is made, and where it dies. Told by the
/// secret's strategy, never guessed from its value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "issuer", rename_all = "kebab-case")]
pub enum Issuer {
    /// IAM: the secret holds an access key of this user.
    AccessKey {
        /// The user.
        user: UserRef,
    },
    /// The secret's own rotation function knows.
    Managed,
    /// A database: the secret holds a login.
    Database {
        /// Two users in turns; else one user whose password changes.
        alternating: bool,
    },
    /// The owner's HTTPS endpoint.
    Webhook {
        /// Its name in the configuration.
        name: String,
    },
    /// Nobody said.
    Unknown,
}

impl Issuer {
    /// The strategy's name, as tags, tables and metrics have it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::AccessKey { .. } => "iam-access-key",
            Self::Managed => "managed",
            Self::Database { .. } => "database",
            Self::Webhook { .. } => "webhook",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a new value must be told to the issuer before it is accepted there. IAM and a rotation
    /// function make theirs by themselves.
    pub fn is_told(&self) -> bool {
        matches!(self, Self::Database { .. } | Self::Webhook { .. })
    }
}

/// How a secret is rotated, as its tags say it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "strategy", rename_all = "kebab-case")]
pub enum Strategy {
    /// It holds an access key: IAM makes the new one.
    IamAccessKey,
    /// Its own rotation function.
    Managed,
    /// A database's login.
    Database {
        /// Two users in turns.
        alternating: bool,
    },
    /// The owner's HTTPS endpoint.
    Webhook {
        /// Its name in the configuration.
        name: String,
    },
    /// A tag says what no strategy is called, or a part of it is missing.
    Unknown {
        /// The tag.
        tag: String,
        /// What it says.
        value: String,
    },
    /// No tag says.
    Untold,
}

impl Strategy {
    /// Its name, as tags, tables and metrics have it; `None` where it is not known.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::IamAccessKey => Some("iam-access-key"),
            Self::Managed => Some("managed"),
            Self::Database { .. } => Some("database"),
            Self::Webhook { .. } => Some("webhook"),
            Self::Unknown { .. } | Self::Untold => None,
        }
    }
}

/// A credential that a secret hands out, by a name that is no secret: two secrets of the same name share
/// it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "holds", rename_all = "kebab-case")]
pub enum Holding {
    /// An access key.
    AccessKey {
        /// `AKIA…`
        key_id: String,
    },
    /// A login.
    Login {
        /// The user and where, as in `app@db.example:5432`; or whatever a tag calls it.
        login: String,
    },
}

impl Holding {
    /// As lookups have it: two are the same if and only if these texts are.
    pub fn name(&self) -> String {
        match self {
            Self::AccessKey { key_id } => format!("access-key/{key_id}"),
            Self::Login { login } => format!("login/{login}"),
        }
    }

    /// The access key, where it is one.
    pub fn key_id(&self) -> Option<&str> {
        match self {
            Self::AccessKey { key_id } => Some(key_id),
            Self::Login { .. } => None,
        }
    }
}

/// What every version that Severance stores begins with. The rest is the task and a number.
const OURS: &str = "severance-t-";

/// The `ClientRequestToken` of a task's version, which is the version's id too: derived, so that a retry
/// stores the same version and a crash finds it again (AWS: Secrets Manager API, `PutSecretValue`; 32
/// to 64 characters). `generation` counts up where an earlier version was spoilt.
pub fn version_id(task: &TaskId, generation: u32) -> String {
    format!("severance-{task}-{generation:04}")
}

/// Whether Severance stored a version, for whichever task.
pub fn is_ours(version: &str) -> bool {
    version.starts_with(OURS)
}

/// Whether a version is one of this task's.
pub fn is_of(version: &str, task: &TaskId) -> bool {
    let rest = version.strip_prefix("severance-").and_then(|rest| rest.strip_prefix(task.as_str()));
    rest.is_some_and(|rest| rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CaseId;

    #[test]
    fn a_version_is_of_its_task_alone_and_as_long_as_aws_asks() {
        let case = CaseId::from("c-1");
        let [one, other] = ["a", "b"].map(|target| TaskId::of(&case, target, "rotated"));
        let version = version_id(&one, 7);
        assert!((32..=64).contains(&version.len()), "{version}");
        assert!(is_ours(&version) && is_of(&version, &one) && !is_of(&version, &other));
        assert!(!is_ours("EXAMPLE1-90ab-cdef-fedc-ba987SECRET1"));
    }
}
