//! Actions: idempotent provider calls that move observed towards desired, and the changes that a
//! case answers for because it intended them.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::credential::{RoleRef, UserRef};
use crate::ids::CaseId;
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
