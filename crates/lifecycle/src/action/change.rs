//! The changes that a case answers for because it intended them.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Action, DenyHandle, SideCredential};
use crate::credential::{RoleRef, UserRef};
use crate::ids::CaseId;
use crate::secret::SecretRef;
use crate::secret_action::SecretAction;
use crate::trust::RemovedPrincipal;

/// Something that a case may have changed. Recorded with the *intent*, before the call, so that a
/// lost reply or a crash never loses track of what must be undone.
#[allow(
    missing_docs,
    reason = "the fields are named for what they are, and the variants say the rest"
)]
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// A key that was Active was deactivated.
    KeyDeactivated { user: UserRef, key_id: String },
    /// A side credential that was active was deactivated.
    Deactivated { user: UserRef, kind: SideCredential, id: String },
    /// A console password was deleted. It cannot be restored.
    LoginProfileDeleted { user: UserRef },
    /// An MFA device was deactivated. It cannot be restored; its owner enrols again.
    MfaDeactivated { user: UserRef, serial: String },
    /// A deny was put on a user.
    UserDenied { user: UserRef, deny: DenyHandle },
    /// A deny was put on a role.
    RoleDenied { role: RoleRef, deny: DenyHandle },
    /// Principals were taken out of a trust policy.
    TrustRemoved { role: RoleRef, removed: Vec<RemovedPrincipal> },
    /// A key of a user was made, for a version of a secret. `before` are the keys that the user had.
    KeyMade {
        secret: SecretRef,
        user: UserRef,
        version: String,
        before: BTreeSet<String>,
        at: DateTime<Utc>,
    },
    /// The readers who leave were denied a secret.
    SecretDenied { secret: SecretRef, case: CaseId },
    /// What a version opened was refused by its issuer. It cannot be restored.
    VersionRetired { secret: SecretRef, version: String },
    /// A secret's replicas were removed. They cannot be restored.
    ReplicasRemoved { secret: SecretRef, regions: BTreeSet<String> },
    /// A secret's deletion was scheduled.
    DeletionScheduled { secret: SecretRef },
}

impl Action {
    /// The change that a case answers for once it intends this action.
    pub fn change(&self) -> Option<Change> {
        Some(match self.clone() {
            Self::DeactivateKey { user, key_id } => Change::KeyDeactivated { user, key_id },
            Self::Deactivate { user, kind, id } => Change::Deactivated { user, kind, id },
            Self::DeleteLoginProfile { user } => Change::LoginProfileDeleted { user },
            Self::DeactivateMfa { user, serial } => Change::MfaDeactivated { user, serial },
            Self::DenyUser { user, deny } => Change::UserDenied { user, deny: deny.handle },
            Self::DenyRole { role, deny } => Change::RoleDenied { role, deny: deny.handle },
            Self::RemoveTrust { role, removed } => Change::TrustRemoved { role, removed },
            Self::Secret { secret, what } => return secret_change(secret, what),
            Self::ReactivateKey { .. }
            | Self::DeleteKey { .. }
            | Self::Reactivate { .. }
            | Self::Delete { .. }
            | Self::AllowUser { .. }
            | Self::AllowRole { .. }
            | Self::RestoreTrust { .. }
            | Self::Probe { .. } => return None,
        })
    }
}

fn secret_change(secret: SecretRef, what: SecretAction) -> Option<Change> {
    Some(match what {
        SecretAction::MakeKey { user, version, before, at } => {
            Change::KeyMade { secret, user, version, before, at }
        }
        SecretAction::Deny { case, .. } => Change::SecretDenied { secret, case },
        SecretAction::Retire { version, .. } => Change::VersionRetired { secret, version },
        SecretAction::RemoveReplicas { regions } => Change::ReplicasRemoved { secret, regions },
        SecretAction::ScheduleDeletion { .. } => Change::DeletionScheduled { secret },
        _ => return None,
    })
}
