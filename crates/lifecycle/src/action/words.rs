//! Actions in words, for plans, timelines and log lines.

use std::fmt;

use super::Action;

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeactivateKey { key_id, user } => {
                write!(f, "deactivate {key_id} of {}", user.name)
            }
            Self::ReactivateKey { key_id, user } => {
                write!(f, "reactivate {key_id} of {}", user.name)
            }
            Self::DeleteKey { key_id, user } => write!(f, "delete {key_id} of {}", user.name),
            Self::DeleteLoginProfile { user } => write!(f, "delete the password of {}", user.name),
            Self::Deactivate { user, kind, id } => {
                write!(f, "deactivate {} {id} of {}", kind.as_str(), user.name)
            }
            Self::Reactivate { user, kind, id } => {
                write!(f, "reactivate {} {id} of {}", kind.as_str(), user.name)
            }
            Self::Delete { user, kind, id } => {
                write!(f, "delete {} {id} of {}", kind.as_str(), user.name)
            }
            Self::DeactivateMfa { user, serial } => {
                write!(f, "deactivate MFA device {serial} of {}", user.name)
            }
            Self::DenyUser { user, deny } => write!(f, "deny {} to user {}", deny.scope, user.name),
            Self::DenyRole { role, deny } => write!(f, "deny {} to role {}", deny.scope, role.name),
            Self::AllowUser { user, deny } => {
                write!(f, "take {} off user {}", deny.policy_name(), user.name)
            }
            Self::AllowRole { role, deny } => {
                write!(f, "take {} off role {}", deny.policy_name(), role.name)
            }
            Self::RemoveTrust { role, removed } => {
                write!(f, "take {} principals out of the trust of {}", removed.len(), role.name)
            }
            Self::RestoreTrust { role, removed } => {
                write!(f, "put {} principals back into the trust of {}", removed.len(), role.name)
            }
            Self::Probe { key_id, sample, .. } => write!(f, "probe {key_id} (sample {sample})"),
            Self::Secret { secret, what } => write!(f, "secret {}: {what}", secret.name),
        }
    }
}
