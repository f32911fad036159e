//! The settings that [`decide`](crate::decide) decides by: a zone's settings applied to one task.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{CaseId, TaskId};
use crate::rotation::RotationTerms;
use crate::trust::Partner;

/// What a task wants to be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Desired {
    /// Nothing authenticates with it any more, and that is proven.
    Revoked,
    /// A secret hands out a new credential that its issuer accepts, and the old one is proven dead.
    Rotated,
    /// Switched-off credentials are deleted, once quarantine is over.
    Deleted,
    /// What the case changed is put back, as far as quarantine still holds it.
    Reinstated,
}

impl Desired {
    /// Whether it ends with a credential proven dead. The others tidy up after that, or undo it.
    pub fn ends_a_credential(self) -> bool {
        matches!(self, Self::Revoked | Self::Rotated)
    }

    /// The name in words, as ids and tables use it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Rotated => "rotated",
            Self::Deleted => "deleted",
            Self::Reinstated => "reinstated",
        }
    }
}

/// Everything that a decision depends on beside what is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The case whose denies are ours. For undoing: the case that is undone.
    pub case: CaseId,
    /// The task, whose versions of a secret are ours.
    pub task: TaskId,
    /// How a key is proven dead.
    pub proof: Proof,
    /// How long a policy change takes to hold everywhere (AWS says seconds to minutes).
    pub spread: TimeDelta,
    /// How far beyond the provider's clock a cutoff is set.
    pub cutoff_margin: TimeDelta,
    /// Nothing is deleted before this moment; `None` while the revocation is not done.
    pub delete_after: Option<DateTime<Utc>>,
    /// Sessions of roles that the user could assume: cut them, or wait until the longest has ended.
    pub assumable_roles: RoleSessions,
    /// Sessions of a role that others use too: cut them, or wait until the longest has ended.
    pub shared_roles: RoleSessions,
    /// Roles that a service assumes: whether its workloads may be left dead until they refresh.
    pub service_roles: ServiceRoles,
    /// A role whose trust names nobody of the partner is blocked rather than guessed at: a contract
    /// ends for somebody, and nobody known is in it. A compromise cuts its sessions all the same.
    pub needs_partner: bool,
    /// Whom the leaving or compromised partner consists of.
    pub partner: Partner,
    /// Whether what appeared after the first exposure is taken too, or only shown.
    pub take_intruders: bool,
    /// Who else wants the target revoked; matters for undoing, and for a rotation, which gives way.
    pub holds: Holds,
    /// How a secret is rotated.
    pub rotation: RotationTerms,
}

/// Who else wants a target revoked.
#[allow(clippy::struct_excessive_bools, reason = "independent answers, each to its own question")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// Another case does: what it would have switched off stays off.
    pub other: bool,
    /// Another case wants this very target revoked, not only the identity that it belongs to.
    pub target: bool,
    /// The whole user whose key the target is or holds is to be revoked, by any case that enforces it.
    pub user: bool,
    /// One of them was opened by a compromise notice: nothing is undone at all.
    pub compromise: bool,
}

/// How a key is proven dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Refusals in a row.
    pub refusals: u32,
    /// Over at least this long; also how long a switched-off key without a secret half is watched.
    pub window: TimeDelta,
    /// In at least so many regional endpoints.
    pub endpoints: usize,
    /// Time between probes.
    pub interval: TimeDelta,
}

/// What happens to sessions of roles that cannot be told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleSessions {
    /// A deny on all older sessions of the role.
    Cut,
    /// Each role stays listed as an open exposure until its longest session has ended.
    #[default]
    List,
}

/// What happens to a role that a service assumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceRoles {
    /// Its sessions are cut; workloads stay dead until they refresh.
    Cut,
    /// The task is blocked until a person decides.
    #[default]
    Ask,
}

impl Default for Proof {
    /// IAM takes 3 to 4 s to spread in published measurements: three refusals over five seconds in
    /// two regions.
    fn default() -> Self {
        Self {
            refusals: 3,
            window: TimeDelta::seconds(5),
            endpoints: 2,
            interval: TimeDelta::milliseconds(2_500),
        }
    }
}
