//! Observed state: what the provider says is true now about a target.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::{DenyHandle, DenyScope, SideCredential};
use crate::credential::RoleRef;
use crate::secret_view::SecretView;

/// One look at the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The provider's clock at the look (its `Date` header). Windows and cutoffs count on this clock,
    /// so that a jump of ours can neither shorten nor stretch them.
    pub at: DateTime<Utc>,
    /// What was seen.
    pub view: View,
}

/// What was seen of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "view", rename_all = "kebab-case")]
pub enum View {
    /// Of an access key and its user.
    AccessKey(KeyView),
    /// Of a whole user.
    User(UserView),
    /// Of a role.
    Role(RoleView),
    /// Of a secret.
    Secret(SecretView),
}

/// Whether an identity is the one that the case means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// There, with the id that the case means.
    Same,
    /// No such identity.
    Missing,
    /// There is one of that name, made later: another identity, not to be touched.
    Replaced,
}

/// An access key's status (AWS: IAM API, `statusType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyStatus {
    /// It signs.
    Active,
    /// Switched off.
    Inactive,
    /// Past its end.
    Expired,
}

/// One access key of a user.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyState {
    /// `AKIA…`
    pub id: String,
    /// On or off.
    pub status: KeyStatus,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Whether its secret half is held by a secret that we may read, so that it can be probed.
    pub probeable: bool,
}

/// One side credential of a user.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SideState {
    /// Which kind.
    pub kind: SideCredential,
    /// Its id.
    pub id: String,
    /// Whether it is switched on.
    pub active: bool,
    /// When it was made.
    pub created: DateTime<Utc>,
}

/// A deny of the task's own case, as read back from the provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DenyState {
    /// Whose and where.
    pub handle: DenyHandle,
    /// What it covers; `None` where the policy is there but no longer says what was put (edited by
    /// someone, or detached).
    pub scope: Option<DenyScope>,
}

/// A role that the user could assume, directly or through a chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AssumableRole {
    /// The role.
    pub role: RoleRef,
    /// How long its sessions can live, in seconds.
    pub max_session_seconds: u32,
    /// AWS refuses a policy on it.
    pub service_linked: bool,
    /// A service assumes it too (EC2, Lambda): a deny leaves workloads dead until they refresh.
    pub service_assumed: bool,
}

/// An [`AssumableRole`] with what this case put on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleStanding {
    /// The role.
    pub role: AssumableRole,
    /// Whether it is still the same role.
    pub presence: Presence,
    /// This case's denies on it.
    pub denies: Vec<DenyState>,
}

/// What was seen of an access key and its user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// The user.
    pub user: Presence,
    /// The key; `None` where the user has no such key.
    pub key: Option<KeyState>,
    /// This case's denies on the user.
    pub denies: Vec<DenyState>,
    /// Roles that the user could assume.
    pub roles: Vec<RoleStanding>,
    /// What appeared on the user after the first exposure and is not this case's own.
    pub intruders: Vec<Intruder>,
    /// The user's other keys. Nothing is said of them while the key is active.
    #[serde(default)]
    pub others: BTreeMap<String, KeyStatus>,
}

/// What was seen of a whole user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserView {
    /// The user.
    pub user: Presence,
    /// Access keys, all pages.
    pub keys: Vec<KeyState>,
    /// Whether there is a console password.
    pub login_profile: bool,
    /// SSH keys, certificates, service-specific credentials, all pages.
    pub side: Vec<SideState>,
    /// Serial numbers of MFA devices.
    pub mfa_devices: Vec<String>,
    /// This case's denies on the user.
    pub denies: Vec<DenyState>,
    /// What grants the user anything, for the record: inline and attached policies, groups, boundary.
    pub routes: Routes,
    /// Roles that the user could assume.
    pub roles: Vec<RoleStanding>,
}

/// The ways by which permissions reach a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Routes {
    /// Names of inline policies.
    pub inline: Vec<String>,
    /// ARNs of attached managed policies.
    pub attached: Vec<String>,
    /// Names of groups.
    pub groups: Vec<String>,
    /// ARN of the permissions boundary.
    pub boundary: Option<String>,
}

impl Routes {
    /// Whether nothing grants the user anything by itself.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What was seen of a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleView {
    /// The role.
    pub role: Presence,
    /// AWS refuses changes to it.
    pub service_linked: bool,
    /// The trust policy as it is now.
    pub trust: Value,
    /// How long its sessions can live, in seconds.
    pub max_session_seconds: u32,
    /// This case's denies on the role.
    pub denies: Vec<DenyState>,
}

/// Something that appeared on a user after the first exposure: what an attacker leaves.
#[allow(missing_docs, reason = "the fields are named for what they are")]
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "intruder", rename_all = "kebab-case")]
pub enum Intruder {
    /// Another access key.
    AccessKey { key_id: String },
    /// A console password.
    LoginProfile,
    /// A policy attached to the user or written inline; AWS keeps no date of that, so it is told by
    /// comparison with the inventory.
    Policy { name: String },
}

impl KeyStatus {
    /// Whether the key signs.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Active)
    }
}

impl DenyState {
    /// Before when it cuts sessions, where it does not deny everything.
    pub fn cutoff(&self) -> Option<DateTime<Utc>> {
        match self.scope {
            Some(DenyScope::SessionsBefore(cutoff)) => Some(cutoff),
            Some(DenyScope::Everything) | None => None,
        }
    }

    /// Whether it denies everything.
    pub fn denies_everything(&self) -> bool {
        self.scope == Some(DenyScope::Everything)
    }

    /// Whether sessions issued before `moment` are refused by it.
    pub fn cuts_sessions_before(&self, moment: DateTime<Utc>) -> bool {
        match self.scope {
            Some(DenyScope::Everything) => true,
            Some(DenyScope::SessionsBefore(cutoff)) => cutoff >= moment,
            None => false,
        }
    }
}

impl AssumableRole {
    /// How long a session of it can live.
    pub fn max_session(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.max_session_seconds))
    }
}
