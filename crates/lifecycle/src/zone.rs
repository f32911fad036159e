//! Zones: settings per trust zone, and how they become the [`Policy`] of one task.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::case::Case;
use crate::event::{Severity, Trigger};
use crate::ids::{UNASSIGNED_ZONE, ZoneName};
use crate::policy::{Desired, Holds, Policy, Proof, RoleSessions, ServiceRoles};
use crate::rotation::{CLIENT_CACHE, RevokeOrder, RotationTerms};
use crate::rotation_schedule::MaxAge;
use crate::task::{Mode, Task};
use crate::trust::Partner;

/// All zones, with the settings of those that are not named.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Zones {
    /// For zones without a section of their own, [`UNASSIGNED_ZONE`] among them.
    pub default: ZoneSettings,
    /// By name.
    pub named: BTreeMap<ZoneName, ZoneSettings>,
}

/// The settings of a zone.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneSettings {
    /// Whether anything is changed. `observe` unless set.
    pub mode: Mode,
    /// Whom the partner consists of, as principals of trust policies.
    pub partner: Partner,
    /// How long what was switched off is kept before it is deleted.
    pub quarantine: TimeDelta,
    /// Time to revoke that a compromise notice is to meet.
    pub compromise_objective: TimeDelta,
    /// Time to revoke that a contract end is to meet.
    pub contract_end_objective: TimeDelta,
    /// Time to rotate that a rotation is to meet, its grace not counted.
    pub rotation_objective: TimeDelta,
    /// How long an old credential keeps working once its secret hands out a new one.
    pub grace: TimeDelta,
    /// What goes first when a secret is compromised; `None`: the old credential where the severity or the
    /// secret's tier is `critical`, else the new one.
    pub compromised_secrets: Option<RevokeOrder>,
    /// How long a deleted secret can be restored, in days: 7 to 30 (AWS: Secrets Manager API,
    /// `DeleteSecret`).
    pub recovery_days: u8,
    /// How old secrets may become before they are rotated.
    pub max_age: MaxAge,
    /// How a key is proven dead.
    pub proof: Proof,
    /// How long a policy change takes to hold everywhere.
    pub spread: TimeDelta,
    /// How far beyond the provider's clock a cutoff is set.
    pub cutoff_margin: TimeDelta,
    /// When a finished task is first looked at again.
    pub recheck_after: TimeDelta,
    /// Sessions of roles that a user could assume; `None`: cut for `critical` and `high`, else list.
    pub assumable_roles: Option<RoleSessions>,
    /// Sessions of a role that others share; `None`: cut for a compromise, else list.
    pub shared_roles: Option<RoleSessions>,
    /// Roles that a service assumes; `None`: cut for a compromise that is `critical` or `high`, else
    /// ask.
    pub service_roles: Option<ServiceRoles>,
    /// Whether what appeared on a user after the first exposure is taken too.
    pub take_intruders: bool,
}

impl Default for ZoneSettings {
    fn default() -> Self {
        Self {
            mode: Mode::Observe,
            partner: Partner::default(),
            // A month: long enough for a payroll cycle to show a mistake.
            quarantine: TimeDelta::days(30),
            compromise_objective: TimeDelta::minutes(15),
            contract_end_objective: TimeDelta::hours(24),
            rotation_objective: TimeDelta::hours(24),
            grace: RotationTerms::default().grace,
            compromised_secrets: None,
            recovery_days: RotationTerms::default().recovery_days,
            max_age: MaxAge::default(),
            proof: Proof::default(),
            // Twice the published 3 to 4 s, with room.
            spread: TimeDelta::seconds(10),
            cutoff_margin: TimeDelta::seconds(2),
            recheck_after: TimeDelta::minutes(15),
            assumable_roles: None,
            shared_roles: None,
            service_roles: None,
            take_intruders: false,
        }
    }
}

impl Zones {
    /// The settings of a zone.
    pub fn get(&self, zone: &ZoneName) -> &ZoneSettings {
        self.named.get(zone).unwrap_or(&self.default)
    }

    /// The names that have a section, and the one that stands for no zone at all.
    pub fn names(&self) -> BTreeSet<ZoneName> {
        let mut names: BTreeSet<_> = self.named.keys().cloned().collect();
        names.insert(UNASSIGNED_ZONE.into());
        names
    }

    /// The policy that a task is decided by.
    pub fn policy(&self, task: &Task, holds: Holds) -> Policy {
        let zone = self.get(&task.binding.zone);
        let compromise = task.trigger == Trigger::CompromiseNotice;
        let urgent = compromise && task.severity >= Some(Severity::High);
        let sessions = |cut| {
            if cut { RoleSessions::Cut } else { RoleSessions::List }
        };
        let services = |cut| {
            if cut { ServiceRoles::Cut } else { ServiceRoles::Ask }
        };
        Policy {
            case: task.undoes.clone().unwrap_or_else(|| task.case.clone()),
            task: task.id.clone(),
            proof: zone.proof,
            spread: zone.spread,
            cutoff_margin: zone.cutoff_margin,
            delete_after: match task.desired {
                Desired::Deleted => task.delete_after,
                Desired::Revoked | Desired::Rotated | Desired::Reinstated => None,
            },
            assumable_roles: zone.assumable_roles.unwrap_or(sessions(urgent)),
            shared_roles: zone.shared_roles.unwrap_or(sessions(compromise)),
            service_roles: zone.service_roles.unwrap_or(services(urgent)),
            needs_partner: !compromise,
            partner: zone.partner.with(&task.leaving),
            take_intruders: zone.take_intruders,
            holds,
            rotation: zone.rotation(task),
        }
    }
}

impl ZoneSettings {
    /// The grace, where it is shorter than clients commonly keep a value: the last of them fail for a while.
    pub fn short_grace(&self) -> Option<TimeDelta> {
        (self.grace < CLIENT_CACHE).then_some(self.grace)
    }

    fn rotation(&self, task: &Task) -> RotationTerms {
        let compromise = task.trigger == Trigger::CompromiseNotice;
        let order = self.order(task);
        let replace_by = match order {
            RevokeOrder::RevokeFirst => task.noticed_at,
            RevokeOrder::ReplaceThenRevoke => task.deadline,
        };
        RotationTerms {
            grace: task.grace.unwrap_or(self.grace),
            order,
            replace_by: compromise.then_some(replace_by),
            exposed_at: compromise.then_some(task.noticed_at),
            ends: task.desired == Desired::Revoked,
            leaving: task.leaving.clone(),
            recovery_days: self.recovery_days,
            ..RotationTerms::default()
        }
    }

    /// What goes first where a secret is compromised: as the zone says, else by how critical the compromise
    /// or the secret's tier is.
    pub fn order(&self, task: &Task) -> RevokeOrder {
        let tier = task.binding.tier.as_deref();
        let critical = task.severity == Some(Severity::Critical)
            || tier.is_some_and(|tier| tier.eq_ignore_ascii_case("critical"));
        let usual =
            if critical { RevokeOrder::RevokeFirst } else { RevokeOrder::ReplaceThenRevoke };
        self.compromised_secrets.unwrap_or(usual)
    }

    /// When what a case asks for is to be done: of a rotation the grace comes on top, since the old
    /// credential is meant to work so long.
    pub fn deadline(&self, case: &Case) -> DateTime<Utc> {
        let grace = match case.trigger {
            Trigger::Rotation => case.grace.unwrap_or(self.grace),
            Trigger::CompromiseNotice | Trigger::ContractEnd => TimeDelta::zero(),
        };
        case.noticed_at + self.objective(case.trigger) + grace
    }

    /// The time to revoke that an event of this kind is to meet.
    pub fn objective(&self, trigger: Trigger) -> TimeDelta {
        match trigger {
            Trigger::CompromiseNotice => self.compromise_objective,
            Trigger::ContractEnd => self.contract_end_objective,
            Trigger::Rotation => self.rotation_objective,
        }
    }
}
