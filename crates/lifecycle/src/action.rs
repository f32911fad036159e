//! Actions: idempotent provider calls that move observed towards desired, and the changes that a
//! case answers for because it intended them.

mod change;
mod deny;
mod words;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use self::change::Change;
pub use self::deny::{DenyHandle, DenyOrder, DenyPlace, DenyPurpose, DenyScope};
use crate::credential::{RoleRef, UserRef};
use crate::secret::SecretRef;
use crate::secret_action::SecretAction;
use crate::trust::RemovedPrincipal;

/// One idempotent provider call (or a read-change-write that comes to one). Applying it twice is
/// the same as applying it once.
///
/// `user` and `role` are the identity that is touched; ids and serials are the provider's.
#[allow(
    missing_docs,
    reason = "the fields are named for what they are, and the variants say the rest"
)]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    /// `UpdateAccessKey` Inactive.
    DeactivateKey { user: UserRef, key_id: String },
    /// `UpdateAccessKey` Active: undo.
    ReactivateKey { user: UserRef, key_id: String },
    /// `DeleteAccessKey`, after quarantine.
    DeleteKey { user: UserRef, key_id: String },
    /// `DeleteLoginProfile`: a console password has no off switch but this.
    DeleteLoginProfile { user: UserRef },
    /// Switches one SSH key, signing certificate or service-specific credential off.
    Deactivate { user: UserRef, kind: SideCredential, id: String },
    /// Switches it on again: undo.
    Reactivate { user: UserRef, kind: SideCredential, id: String },
    /// Deletes it, after quarantine.
    Delete { user: UserRef, kind: SideCredential, id: String },
    /// `DeactivateMFADevice`.
    DeactivateMfa { user: UserRef, serial: String },
    /// Puts this case's deny on a user, replacing the one it put before.
    DenyUser { user: UserRef, deny: DenyOrder },
    /// Puts this case's deny on a role, replacing the one it put before.
    DenyRole { role: RoleRef, deny: DenyOrder },
    /// Takes this case's deny off a user: undo, or tidying after quarantine.
    AllowUser { user: UserRef, deny: DenyHandle },
    /// Takes this case's deny off a role.
    AllowRole { role: RoleRef, deny: DenyHandle },
    /// Takes principals out of a role's trust policy, leaving every other statement as it is.
    RemoveTrust { role: RoleRef, removed: Vec<RemovedPrincipal> },
    /// Puts them back into the document as it is now: undo.
    RestoreTrust { role: RoleRef, removed: Vec<RemovedPrincipal> },
    /// Tries the key itself: `sts:GetCallerIdentity` on a fresh connection, with a positive control.
    /// Changes nothing.
    Probe { user: UserRef, key_id: String, sample: u32 },
    /// Something about a secret or the issuer of what it holds.
    Secret { secret: SecretRef, what: SecretAction },
}

/// Credentials of a user beside access keys and the password that have an off switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SideCredential {
    /// An SSH public key (CodeCommit).
    SshKey,
    /// An X.509 signing certificate.
    SigningCertificate,
    /// A service-specific credential (CodeCommit HTTPS, Keyspaces, Bedrock).
    ServiceCredential,
}

impl Action {
    /// The user that the action touches; `None` for one that touches a role or a secret.
    pub fn user_mut(&mut self) -> Option<&mut UserRef> {
        match self {
            Self::DeactivateKey { user, .. }
            | Self::ReactivateKey { user, .. }
            | Self::DeleteKey { user, .. }
            | Self::DeleteLoginProfile { user }
            | Self::Deactivate { user, .. }
            | Self::Reactivate { user, .. }
            | Self::Delete { user, .. }
            | Self::DeactivateMfa { user, .. }
            | Self::DenyUser { user, .. }
            | Self::AllowUser { user, .. }
            | Self::Probe { user, .. } => Some(user),
            Self::DenyRole { .. }
            | Self::AllowRole { .. }
            | Self::RemoveTrust { .. }
            | Self::RestoreTrust { .. }
            | Self::Secret { .. } => None,
        }
    }

    /// Whether the action changes anything at the provider. In `observe` only those that do not are
    /// carried out.
    pub fn changes_provider(&self) -> bool {
        match self {
            Self::Probe { .. } => false,
            Self::Secret { what, .. } => what.changes_provider(),
            _ => true,
        }
    }

    /// Whether this is a first blow: a call that takes something away from whoever holds the
    /// credential. The moment that the provider accepts the last of them is the `accepted` stage.
    pub fn disables(&self) -> bool {
        match self {
            Self::DeactivateKey { .. }
            | Self::DeleteLoginProfile { .. }
            | Self::Deactivate { .. }
            | Self::DeactivateMfa { .. }
            | Self::DenyUser { .. }
            | Self::DenyRole { .. }
            | Self::RemoveTrust { .. } => true,
            Self::Secret { what, .. } => what.disables(),
            _ => false,
        }
    }

    /// A short name for logs, metrics and the simulation's table.
    pub fn name(&self) -> &'static str {
        match self {
            Self::DeactivateKey { .. } => "deactivate-key",
            Self::ReactivateKey { .. } => "reactivate-key",
            Self::DeleteKey { .. } => "delete-key",
            Self::DeleteLoginProfile { .. } => "delete-login-profile",
            Self::Deactivate { .. } => "deactivate",
            Self::Reactivate { .. } => "reactivate",
            Self::Delete { .. } => "delete",
            Self::DeactivateMfa { .. } => "deactivate-mfa",
            Self::DenyUser { .. } => "deny-user",
            Self::DenyRole { .. } => "deny-role",
            Self::AllowUser { .. } => "allow-user",
            Self::AllowRole { .. } => "allow-role",
            Self::RemoveTrust { .. } => "remove-trust",
            Self::RestoreTrust { .. } => "restore-trust",
            Self::Probe { .. } => "probe",
            Self::Secret { what, .. } => what.name(),
        }
    }

    /// The names of every kind of action, for tables that must show a zero.
    pub const NAMES: [&'static str; 15] = [
        "deactivate-key",
        "reactivate-key",
        "delete-key",
        "delete-login-profile",
        "deactivate",
        "reactivate",
        "delete",
        "deactivate-mfa",
        "deny-user",
        "deny-role",
        "allow-user",
        "allow-role",
        "remove-trust",
        "restore-trust",
        "probe",
    ];

    /// What the action is and where it works, without what changes from one try to the next (cutoffs,
    /// samples): a refusal of it is a refusal of every such try.
    pub fn site(&self) -> String {
        let which = match self {
            Self::DeactivateKey { key_id, .. }
            | Self::ReactivateKey { key_id, .. }
            | Self::DeleteKey { key_id, .. }
            | Self::Probe { key_id, .. } => key_id.clone(),
            Self::Deactivate { kind, id, .. }
            | Self::Reactivate { kind, id, .. }
            | Self::Delete { kind, id, .. } => format!("{} {id}", kind.as_str()),
            Self::DeactivateMfa { serial, .. } => serial.clone(),
            Self::DenyUser { deny: DenyOrder { handle, .. }, .. }
            | Self::DenyRole { deny: DenyOrder { handle, .. }, .. }
            | Self::AllowUser { deny: handle, .. }
            | Self::AllowRole { deny: handle, .. } => {
                format!("{} {:?}", handle.policy_name(), handle.place)
            }
            Self::Secret { what, .. } => what.which().to_owned(),
            Self::DeleteLoginProfile { .. }
            | Self::RemoveTrust { .. }
            | Self::RestoreTrust { .. } => String::new(),
        };
        let identity: Vec<String> = self.touches().into_iter().collect();
        format!("{} {} {which}", self.name(), identity.join(" "))
    }

    /// The identities that the action touches, as [`Target::lock`](crate::credential::Target::lock)
    /// texts: what a property test compares with the case's scope.
    pub fn touches(&self) -> BTreeSet<String> {
        let text = match self {
            Self::Secret { secret, what } => {
                let user = match what {
                    SecretAction::MakeKey { user, .. } => {
                        Some(format!("user/{}/{}", user.account, user.name))
                    }
                    _ => None,
                };
                return user.into_iter().chain([format!("secret/{}", secret.arn)]).collect();
            }
            Self::DeactivateKey { user, .. }
            | Self::ReactivateKey { user, .. }
            | Self::DeleteKey { user, .. }
            | Self::DeleteLoginProfile { user }
            | Self::Deactivate { user, .. }
            | Self::Reactivate { user, .. }
            | Self::Delete { user, .. }
            | Self::DeactivateMfa { user, .. }
            | Self::DenyUser { user, .. }
            | Self::AllowUser { user, .. }
            | Self::Probe { user, .. } => format!("user/{}/{}", user.account, user.name),
            Self::DenyRole { role, .. }
            | Self::AllowRole { role, .. }
            | Self::RemoveTrust { role, .. }
            | Self::RestoreTrust { role, .. } => format!("role/{}/{}", role.account, role.name),
        };
        BTreeSet::from([text])
    }
}

impl SideCredential {
    /// The name in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SshKey => "SSH key",
            Self::SigningCertificate => "signing certificate",
            Self::ServiceCredential => "service-specific credential",
        }
    }
}
