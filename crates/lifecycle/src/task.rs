//! Tasks: one target's part of a case.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::credential::{Target, UserRef};
use crate::event::{Cause, Severity, Trigger};
use crate::ids::{CaseId, ContractName, TaskId, ZoneName};
use crate::observe::AssumableRole;
use crate::policy::Desired;
use crate::record::Record;
use crate::secret::Issuer;

pub use crate::block::BlockReason;

/// One target's part of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Its case.
    pub case: CaseId,
    /// What it is about.
    pub target: Target,
    /// What is to be true of it.
    pub desired: Desired,
    /// Where it belongs.
    pub binding: Binding,
    /// What opened the case.
    pub trigger: Trigger,
    /// How bad it is; only a compromise notice says.
    pub severity: Option<Severity>,
    /// Why it is rotated; only a rotation says.
    #[serde(default)]
    pub cause: Option<Cause>,
    /// The ticket that the event named.
    #[serde(default)]
    pub ticket: Option<String>,
    /// Where it queues.
    pub lane: Lane,
    /// Whether it may change anything.
    pub mode: Mode,
    /// Where the clock of time to revoke starts.
    pub noticed_at: DateTime<Utc>,
    /// When the intake stored the event.
    pub received_at: DateTime<Utc>,
    /// When it was planned.
    pub planned_at: DateTime<Utc>,
    /// When the zone's objective is missed.
    pub deadline: DateTime<Utc>,
    /// Roles that the user could assume when the case was planned.
    pub assumable: Vec<AssumableRole>,
    /// Principals that leave with this case beside the zone's own (the contract's users, by ARN and by
    /// unique id), for roles that trust them.
    pub leaving: BTreeSet<String>,
    /// How many credentials it comes to, for the blast radius.
    #[serde(default = "one")]
    pub credentials: usize,
    /// Whether the case waits for this task before it closes. Deletions after quarantine are not
    /// waited for.
    pub counts: bool,
    /// The grace that the event asks for, for [`Desired::Rotated`]; else the zone's.
    #[serde(default)]
    pub grace: Option<TimeDelta>,
    /// The case that this task undoes, for [`Desired::Reinstated`].
    pub undoes: Option<CaseId>,
    /// Nothing is deleted before this, for [`Desired::Deleted`].
    pub delete_after: Option<DateTime<Utc>>,
    /// Where it stands.
    pub state: TaskState,
    /// What it has done and seen.
    pub record: Record,
    /// When the provider accepted the last disabling call of the first pass, by our clock. Cutoffs that
    /// are put again once the credential is dead do not count.
    #[serde(default)]
    pub accepted_at: Option<DateTime<Utc>>,
    /// When it was verified, once it is done, by our clock.
    pub verified_at: Option<DateTime<Utc>>,
}

fn one() -> usize {
    1
}

impl Task {
    /// The user whose credential is to die with its sessions and those of roles that it could assume.
    pub fn user_within_reach(&self) -> Option<&UserRef> {
        let thorough = match self.desired {
            Desired::Revoked => true,
            Desired::Rotated => self.trigger != Trigger::Rotation,
            Desired::Deleted | Desired::Reinstated => false,
        };
        match &self.target {
            Target::AccessKey { user, .. }
            | Target::User { user }
            | Target::Secret { issuer: Issuer::AccessKey { user }, .. } => thorough.then_some(user),
            Target::Role { .. } | Target::Secret { .. } | Target::Unresolved { .. } => None,
        }
    }

    /// Whether its end proves a credential dead. A secret's own rotation function is taken at its word: what it
    /// replaced cannot be tried.
    pub fn proves_its_end(&self) -> bool {
        let managed = matches!(&self.target, Target::Secret { issuer: Issuer::Managed, .. });
        !(managed && self.desired == Desired::Rotated)
    }

    /// Whether a block at a later look says that a rotation which was done is of no concern any more: its
    /// secret or its user is gone, or another case ends them. Only a credential that works again is drift.
    pub fn is_over_by(&self, reason: &BlockReason) -> bool {
        let over = match reason {
            // The other case looks at the old credential too.
            BlockReason::EndedByAnotherCase | BlockReason::UserIsRevoked { .. } => true,
            // What an issuer that is told of refuses shows at no look: there the proof stands.
            BlockReason::NotFound | BlockReason::ScheduledForDeletion { .. } => {
                self.record.rotation.old_key().is_none() || self.record.dead_at.is_some()
            }
            _ => false,
        };
        let done = matches!(self.state, TaskState::Done { .. });
        over && done && self.desired == Desired::Rotated
    }
}

/// Where a task queues. The order is the order of service: urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// Compromise notices.
    Compromise,
    /// Contract ends.
    ContractEnd,
    /// Everything else: rotations, reinstatements, deletions after quarantine, later looks.
    Rest,
}

impl Lane {
    /// All lanes, urgent first.
    pub const ALL: [Self; 3] = [Self::Compromise, Self::ContractEnd, Self::Rest];

    /// The lane of a task.
    pub fn of(trigger: Trigger, desired: Desired) -> Self {
        if desired.ends_a_credential() { Self::of_case(trigger) } else { Self::Rest }
    }

    /// The lane in which a case is planned: that of its most urgent task.
    pub fn of_case(trigger: Trigger) -> Self {
        match trigger {
            Trigger::CompromiseNotice => Self::Compromise,
            Trigger::ContractEnd => Self::ContractEnd,
            Trigger::Rotation => Self::Rest,
        }
    }

    /// Its number: 0 is the most urgent.
    pub fn rank(self) -> u8 {
        self as u8
    }

    /// The label value in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compromise => "compromise",
            Self::ContractEnd => "contract-end",
            Self::Rest => "rest",
        }
    }
}

/// Where an identity belongs, by its tags.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Binding {
    /// The zone; `unassigned` where no tag says.
    pub zone: ZoneName,
    /// The contract.
    pub contract: Option<ContractName>,
    /// The asset owner.
    pub owner: Option<String>,
    /// The tier.
    pub tier: Option<String>,
}

/// Whether a zone's tasks may change anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Decide and record what would be done; change nothing.
    #[default]
    Observe,
    /// Do it.
    Enforce,
}

/// Where a task stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum TaskState {
    /// There is something to do, now or when its time comes.
    Open,
    /// It cannot be finished for now: listed, counted, escalated, retried slowly.
    Blocked {
        /// Why.
        reason: BlockReason,
    },
    /// Proven.
    Done {
        /// How.
        verification: Verification,
    },
    /// In `observe`: what would have been done is recorded.
    Observed,
    /// A newer revision of the contract took its place before it was finished.
    Superseded,
}

/// How the end of a credential was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verification {
    /// The credential itself was tried and refused, and every other way was read back.
    Probed,
    /// Only the provider's own record was read.
    ControlPlane,
}

impl Verification {
    /// The label value in metrics and outcomes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Probed => "probed",
            Self::ControlPlane => "control-plane",
        }
    }
}

impl TaskState {
    /// The name of the state, without its details.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Blocked { .. } => "blocked",
            Self::Done { .. } => "done",
            Self::Observed => "observed",
            Self::Superseded => "superseded",
        }
    }

    /// Whether the case need not wait for the task any more.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Observed | Self::Superseded)
    }
}
