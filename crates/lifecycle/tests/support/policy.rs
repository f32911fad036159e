//! A policy for tests: everything is cut, nothing is taken along, nobody else holds anything.

use chrono::TimeDelta;
use severance_lifecycle::policy::{Holds, Policy, Proof, RoleSessions, ServiceRoles};
use severance_lifecycle::rotation::RotationTerms;
use severance_lifecycle::trust::Partner;

pub(crate) fn strict() -> Policy {
    Policy {
        case: "c-1".into(),
        task: "t-1".into(),
        proof: Proof::default(),
        spread: TimeDelta::seconds(10),
        cutoff_margin: TimeDelta::seconds(2),
        delete_after: None,
        assumable_roles: RoleSessions::Cut,
        shared_roles: RoleSessions::Cut,
        service_roles: ServiceRoles::Cut,
        needs_partner: false,
        partner: Partner::default(),
        take_intruders: false,
        holds: Holds::default(),
        rotation: RotationTerms::default(),
    }
}
