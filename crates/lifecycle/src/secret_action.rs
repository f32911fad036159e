//! Actions on a secret and on the issuer of what it holds. Each is idempotent; see
//! [`Action`](crate::action::Action).

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::credential::UserRef;
use crate::ids::CaseId;

/// One idempotent call (or a few that come to one) about a secret. Versions are named by their ids;
/// no action ever carries a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "secret-action", rename_all = "kebab-case")]
pub enum SecretAction {
    /// Makes an access key, once, and stores it under this version as `AWSPENDING`.
    MakeKey {
        /// Whose key.
        user: UserRef,
        /// The version that is to hold it.
        version: String,
        /// The keys that the user had before: a new one beside them whose secret half was lost is ours.
        before: BTreeSet<String>,
        /// The provider's clock before the call.
        at: DateTime<Utc>,
    },
    /// Makes the value that is to follow the current one and stores it as `AWSPENDING`. Nothing is told
    /// to the issuer yet.
    Prepare {
        /// The version that is to hold it.
        version: String,
        /// The version that it follows.
        from: String,
    },
    /// Tells the issuer of this version's value.
    Set {
        /// The new version.
        version: String,
        /// The version that it follows.
        from: String,
        /// Other versions of the same login, the newest first: what another rotation told the issuer
        /// and did not hand out may be what is accepted there.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        others: Vec<String>,
    },
    /// `RotateSecret`: the secret's own function makes, sets, tests and promotes the version.
    Rotate {
        /// The version that the function is to make.
        version: String,
    },
    /// Tries what a version holds at its issuer. Changes nothing.
    Try {
        /// Which version.
        version: String,
        /// Numbers the samples.
        sample: u32,
    },
    /// Moves `AWSCURRENT` from the version that it is on.
    Promote {
        /// To this version.
        version: String,
        /// From this one; `None` where no version is current.
        from: Option<String>,
    },
    /// Tells the issuer that the new version is current.
    Finish {
        /// The new version.
        version: String,
    },
    /// Has the issuer refuse what this version holds from now on.
    Retire {
        /// The old version.
        version: String,
        /// The version that stays, where there is one.
        current: Option<String>,
    },
    /// Ends what was opened at the issuer with what this version holds.
    EndSessions {
        /// The old version.
        version: String,
    },
    /// Takes a stage label off a version.
    DropLabel {
        /// The label.
        label: String,
        /// The version that it is on.
        version: String,
    },
    /// Puts this case's deny for those who leave into the resource policy.
    Deny {
        /// The case that it belongs to.
        case: CaseId,
        /// ARNs of those who may not read the secret any more.
        readers: BTreeSet<String>,
    },
    /// Takes this case's deny out of the resource policy.
    Allow {
        /// The case that it belongs to.
        case: CaseId,
    },
    /// `RemoveRegionsFromReplication`. It cannot be undone.
    RemoveReplicas {
        /// The regions.
        regions: BTreeSet<String>,
    },
    /// `DeleteSecret` with a recovery window.
    ScheduleDeletion {
        /// AWS takes 7 to 30 days.
        recovery_days: u8,
    },
    /// `RestoreSecret`: undo.
    Restore,
}

impl SecretAction {
    /// A short name for logs, metrics and the simulation's table.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MakeKey { .. } => "make-key",
            Self::Prepare { .. } => "prepare-version",
            Self::Set { .. } => "set-version",
            Self::Rotate { .. } => "rotate-secret",
            Self::Try { .. } => "try-version",
            Self::Promote { .. } => "promote-version",
            Self::Finish { .. } => "finish-version",
            Self::Retire { .. } => "retire-version",
            Self::EndSessions { .. } => "end-sessions",
            Self::DropLabel { .. } => "drop-label",
            Self::Deny { .. } => "deny-readers",
            Self::Allow { .. } => "allow-readers",
            Self::RemoveReplicas { .. } => "remove-replicas",
            Self::ScheduleDeletion { .. } => "schedule-deletion",
            Self::Restore => "restore-secret",
        }
    }

    /// What of it is the same from one try to the next; see
    /// [`Action::site`](crate::action::Action::site).
    pub(crate) fn which(&self) -> &str {
        match self {
            Self::MakeKey { version, .. }
            | Self::Prepare { version, .. }
            | Self::Set { version, .. }
            | Self::Rotate { version }
            | Self::Try { version, .. }
            | Self::Promote { version, .. }
            | Self::Finish { version }
            | Self::Retire { version, .. }
            | Self::EndSessions { version }
            | Self::DropLabel { version, .. } => version,
            Self::Deny { case, .. } | Self::Allow { case } => case.as_str(),
            Self::RemoveReplicas { .. } | Self::ScheduleDeletion { .. } | Self::Restore => "",
        }
    }

    /// Whether it changes anything anywhere.
    pub fn changes_provider(&self) -> bool {
        !matches!(self, Self::Try { .. })
    }

    /// Whether it takes something away from whoever knows the old value; see
    /// [`Action::disables`](crate::action::Action::disables).
    pub fn disables(&self) -> bool {
        matches!(self, Self::Retire { .. } | Self::EndSessions { .. } | Self::Deny { .. })
    }
}

impl fmt::Display for SecretAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeKey { user, version, .. } => {
                write!(f, "make a key of {} and store it as {version}", user.name)
            }
            Self::Prepare { version, .. } => write!(f, "store the next value as {version}"),
            Self::Set { version, .. } => write!(f, "tell the issuer of {version}"),
            Self::Rotate { version } => write!(f, "have its own function make {version}"),
            Self::Try { version, sample } => write!(f, "try {version} (sample {sample})"),
            Self::Promote { version, .. } => write!(f, "make {version} current"),
            Self::Finish { version } => write!(f, "tell the issuer that {version} is current"),
            Self::Retire { version, .. } => write!(f, "have the issuer refuse {version}"),
            Self::EndSessions { version } => write!(f, "end sessions opened with {version}"),
            Self::DropLabel { label, version } => write!(f, "take {label} off {version}"),
            Self::Deny { readers, .. } => write!(f, "deny reading to {} principals", readers.len()),
            Self::Allow { .. } => f.write_str("take the deny out of its policy"),
            Self::RemoveReplicas { regions } => write!(f, "remove {} replicas", regions.len()),
            Self::ScheduleDeletion { recovery_days } => {
                write!(f, "schedule its deletion in {recovery_days} days")
            }
            Self::Restore => f.write_str("restore it"),
        }
    }
}
