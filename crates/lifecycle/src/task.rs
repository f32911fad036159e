//! Tasks: one target's part of a case.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::credential::Target;
use crate::event::{Severity, Trigger};
use crate::ids::{CaseId, ContractName, TaskId, ZoneName};
use crate::observe::AssumableRole;
use crate::policy::Desired;
use crate::record::Record;

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
    /// How bad it is; contract ends have none.
    pub severity: Option<Severity>,
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

/// Where a task queues. The order is the order of service: urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// Compromise notices.
    Compromise,
    /// Contract ends.
    ContractEnd,
    /// Everything else: reinstatements, deletions after quarantine, later looks.
    Rest,
}

impl Lane {
    /// All lanes, urgent first.
    pub const ALL: [Self; 3] = [Self::Compromise, Self::ContractEnd, Self::Rest];

    /// The lane of a task.
    pub fn of(trigger: Trigger, desired: Desired) -> Self {
        match (desired, trigger) {
            (Desired::Revoked, Trigger::CompromiseNotice) => Self::Compromise,
            (Desired::Revoked, Trigger::ContractEnd) => Self::ContractEnd,
            (Desired::Deleted | Desired::Reinstated, _) => Self::Rest,
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

/// Why a task cannot be finished for now.
#[allow(missing_docs, reason = "the fields are named for what they are")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "block", rename_all = "kebab-case")]
pub enum BlockReason {
    /// The selector names nothing in any account that is configured.
    NotFound,
    /// The key's account is not configured.
    AccountNotConfigured { account: String },
    /// An `ASIA` id is a session; AWS does not say whose. Name its user or role.
    SessionKey,
    /// A root user's key: a person must act.
    RootKey,
    /// The id belongs to no account of this partition, or to another partition.
    UnknownKey,
    /// Tagged with two zones or two contracts: reported, never guessed at.
    FlattenedBoundary { tag: String },
    /// The worker's own identity or a break-glass identity.
    Protected,
    /// AWS refuses changes to service-linked roles.
    ServiceLinkedRole,
    /// A service assumes the role; policy asks a person to decide.
    ServiceRole { services: Vec<String> },
    /// No place is left for a deny: inline full, managed policies full, boundary not allowed.
    NoPlaceForDeny,
    /// What was switched off is on again; deleting it would be wrong and so would ignoring it.
    SwitchedOnAgain { what: String },
    /// A compromise covers it: it is not reinstated.
    VetoedByCompromise,
    /// The provider refuses and waiting will not help.
    Refused { operation: String, code: String, message: String },
    /// The contract ends for somebody, and the role's trust names nobody known to be the partner's.
    NoPartnerPrincipal { trusted: Vec<String> },
    /// Probes of a key prove nothing, again and again.
    ProbeInconclusive { key_id: String, why: String },
    /// What is bound by tags is known in full only from a listing that began after the event.
    NotListed,
    /// Secrets are handled by a later version; the credential that the secret holds can be named
    /// by itself.
    SecretSelector,
}

impl fmt::Display for BlockReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("nothing of that name in any configured account"),
            Self::AccountNotConfigured { account } => {
                write!(f, "account {account} is not configured")
            }
            Self::SessionKey => f.write_str(
                "a session's key id: AWS does not say whose; publish a notice for its user or role",
            ),
            Self::RootKey => f.write_str("a root user's key: only its account's owner can act"),
            Self::UnknownKey => f.write_str("no account of this partition has such a key"),
            Self::FlattenedBoundary { tag } => write!(f, "flattened boundary: {tag}"),
            Self::Protected => f.write_str("the worker's own or a break-glass identity"),
            Self::ServiceLinkedRole => f.write_str("a service-linked role: AWS refuses changes"),
            Self::ServiceRole { services } => {
                write!(f, "assumed by {}: cutting it leaves workloads dead", services.join(", "))
            }
            Self::NoPlaceForDeny => f.write_str("no place is left for a deny"),
            Self::SwitchedOnAgain { what } => write!(f, "{what} was switched on again"),
            Self::VetoedByCompromise => f.write_str("a compromise covers it"),
            Self::Refused { operation, code, message } => {
                write!(f, "{operation} refused: {code}: {message}")
            }
            Self::NoPartnerPrincipal { trusted } => write!(
                f,
                "none of those it trusts is known to be the partner's ({}): name the partner's \
                 accounts or principals in its zone",
                trusted.join(", ")
            ),
            Self::ProbeInconclusive { key_id, why } => {
                write!(f, "probes of {key_id} prove nothing: {why}")
            }
            Self::NotListed => f.write_str("waiting for every account to be listed once more"),
            Self::SecretSelector => f.write_str("secrets are not handled by this version"),
        }
    }
}
