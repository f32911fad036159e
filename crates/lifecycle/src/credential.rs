//! What a task is about: an access key, a user, a role or a secret, or a selector that found nothing yet.

use serde::{Deserialize, Serialize};

use crate::event::Selector;
use crate::ids::AccountId;
use crate::secret::{Issuer, SecretRef};

/// An IAM user as one particular user: AWS gives a user made again under an old name a new id, and
/// then it is another user (AWS: IAM User Guide, "IAM identifiers").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UserRef {
    /// The account that holds the user.
    pub account: AccountId,
    /// The user's name, unique in its account at any one time.
    pub name: String,
    /// The user's unique id (`AIDA…`).
    pub id: String,
}

/// An IAM role as one particular role; see [`UserRef`] for why the id is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoleRef {
    /// The account that holds the role.
    pub account: AccountId,
    /// The role's name.
    pub name: String,
    /// The role's unique id (`AROA…`).
    pub id: String,
}

/// What a task is to bring to its desired state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Target {
    /// One access key of a user, and the sessions minted from it.
    AccessKey {
        /// The key's id (`AKIA…`).
        key_id: String,
        /// The user that the key belongs to.
        user: UserRef,
    },
    /// A whole user: every kind of credential, its sessions and its routes.
    User {
        /// The user.
        user: UserRef,
    },
    /// A role: the routes into it and its sessions.
    Role {
        /// The role.
        role: RoleRef,
    },
    /// A secret, and what its versions open at their issuer.
    Secret {
        /// The secret.
        secret: SecretRef,
        /// Who issues what it holds.
        issuer: Issuer,
    },
    /// A selector that named nothing known. It stays visible as a blocked task and is looked up
    /// again, since the inventory may be behind.
    Unresolved {
        /// The selector as the event gave it.
        selector: Selector,
    },
}

/// The kind of a target, as metrics and outcomes name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// [`Target::AccessKey`]
    AccessKey,
    /// [`Target::User`]
    User,
    /// [`Target::Role`]
    Role,
    /// [`Target::Secret`]
    Secret,
    /// [`Target::Unresolved`]
    Unresolved,
}

impl TargetKind {
    /// The label value in metrics and outcomes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessKey => "access-key",
            Self::User => "user",
            Self::Role => "role",
            Self::Secret => "secret",
            Self::Unresolved => "unresolved",
        }
    }
}

impl Target {
    /// Which kind of target it is.
    pub fn kind(&self) -> TargetKind {
        match self {
            Self::AccessKey { .. } => TargetKind::AccessKey,
            Self::User { .. } => TargetKind::User,
            Self::Role { .. } => TargetKind::Role,
            Self::Secret { .. } => TargetKind::Secret,
            Self::Unresolved { .. } => TargetKind::Unresolved,
        }
    }

    /// The account, where it is known.
    pub fn account(&self) -> Option<&AccountId> {
        match self {
            Self::AccessKey { user, .. } | Self::User { user } => Some(&user.account),
            Self::Role { role } => Some(&role.account),
            Self::Secret { secret, .. } => Some(&secret.account),
            Self::Unresolved { .. } => None,
        }
    }

    /// The user whose access key it is, or whose key the secret holds.
    pub fn key_user(&self) -> Option<&UserRef> {
        match self {
            Self::AccessKey { user, .. }
            | Self::Secret { issuer: Issuer::AccessKey { user }, .. } => Some(user),
            Self::User { .. }
            | Self::Role { .. }
            | Self::Secret { .. }
            | Self::Unresolved { .. } => None,
        }
    }

    /// A text that names the target and nothing else; two targets are the same if and only if
    /// their keys are.
    pub fn key(&self) -> String {
        match self {
            Self::AccessKey { key_id, .. } => format!("access-key/{key_id}"),
            Self::User { user } => format!("user/{}/{}/{}", user.account, user.name, user.id),
            Self::Role { role } => format!("role/{}/{}/{}", role.account, role.name, role.id),
            Self::Secret { secret, .. } => format!("secret/{}", secret.arn),
            Self::Unresolved { selector } => format!("unresolved/{selector}"),
        }
    }

    /// What only one task at a time may work on: the identity that carries the credential. A key
    /// and its user share it, because both write the user's policies; a secret that holds a user's key
    /// shares it too, because both work on the user's keys.
    pub fn lock(&self) -> String {
        match self {
            Self::AccessKey { user, .. }
            | Self::User { user }
            | Self::Secret { issuer: Issuer::AccessKey { user }, .. } => {
                format!("user/{}/{}", user.account, user.name)
            }
            Self::Role { role } => format!("role/{}/{}", role.account, role.name),
            Self::Secret { .. } | Self::Unresolved { .. } => self.key(),
        }
    }

    /// What a person reads in a table or a log line. Key ids and names are identifiers, not secrets.
    pub fn label(&self) -> String {
        match self {
            Self::AccessKey { key_id, user } => format!("{key_id} of {}", user.name),
            Self::User { user } => format!("user {}", user.name),
            Self::Role { role } => format!("role {}", role.name),
            Self::Secret { secret, .. } => format!("secret {}", secret.name),
            Self::Unresolved { selector } => selector.to_string(),
        }
    }
}
