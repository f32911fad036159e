//! A role: the routes into it, and its sessions.

use chrono::{DateTime, Utc};

use super::{Check, Decision, Situation, act, deny, first, proof, wait};
use crate::action::{Action, Change, DenyScope};
use crate::credential::RoleRef;
use crate::observe::{DenyState, Presence, RoleView};
use crate::policy::{Policy, RoleSessions, ServiceRoles};
use crate::task::{BlockReason, Verification};
use crate::trust::{self, TrustReading};

/// Revokes a role: the partner's principals out of the trust policy (or, where nobody would be left,
/// everything denied), then its sessions, once at once and once beyond the spread of that change.
pub(super) fn revoke(
    situation: &Situation<'_>,
    role: &RoleRef,
    view: &RoleView,
    now: DateTime<Utc>,
) -> Decision {
    let reading = trust::read(&view.trust, &situation.policy.partner);
    let here = Here { situation, role, view, reading, now };
    let checks: [&dyn Fn() -> Check; 9] = [
        &|| here.is_missing_for_sure(),
        &|| here.can_be_changed(),
        &|| here.partner_is_known(),
        &|| here.partner_is_out(),
        &|| here.everyone_is_let_in(),
        &|| here.sessions_are_denied(DateTime::<Utc>::MIN_UTC),
        &|| here.trust_has_spread(),
        &|| here.sessions_are_denied_beyond_that(),
        &|| here.denies_have_spread_or_sessions_ended(),
    ];
    first(situation.record, now, &checks).unwrap_or_else(|| match situation.record.sealed_since {
        Some(_) => Decision::Done(Verification::ControlPlane),
        None => wait(now + situation.policy.proof.window, "not proven yet"),
    })
}

/// Whether the trust policy still lets somebody of the partner in, by name or with everyone.
pub(super) fn partner_can_enter(view: &RoleView, policy: &Policy) -> bool {
    let reading = trust::read(&view.trust, &policy.partner);
    !reading.partner.is_empty() || (reading.everyone && !policy.partner.is_empty())
}

/// Whether the role's older sessions are left to end by themselves, since cutting them would cut
/// everyone's.
pub(super) fn sessions_may_end_by_themselves(view: &RoleView, policy: &Policy) -> bool {
    policy.shared_roles == RoleSessions::List && trust::read(&view.trust, &policy.partner).others
}

struct Here<'a> {
    situation: &'a Situation<'a>,
    role: &'a RoleRef,
    view: &'a RoleView,
    reading: TrustReading,
    now: DateTime<Utc>,
}

impl Here<'_> {
    fn missing(&self) -> bool {
        self.view.role != Presence::Same
    }

    fn closed(&self) -> bool {
        self.view.denies.iter().any(DenyState::denies_everything)
    }

    fn is_missing_for_sure(&self) -> Check {
        let Situation { record, policy, .. } = self.situation;
        self.missing().then(|| proof::look_twice(record, policy, self.now)).flatten()
    }

    fn can_be_changed(&self) -> Check {
        (!self.missing() && self.view.service_linked)
            .then_some(Decision::Blocked(BlockReason::ServiceLinkedRole))
    }

    fn partner_is_known(&self) -> Check {
        let Situation { record, policy, .. } = self.situation;
        let taken_out = record.changes.iter().any(|c| matches!(c, Change::TrustRemoved { .. }));
        let nobody = policy.needs_partner && policy.partner.is_empty();
        (nobody && !self.missing() && !taken_out && !self.closed()).then(|| {
            Decision::Blocked(BlockReason::NoPartnerPrincipal {
                trusted: trust::principals(&self.view.trust),
            })
        })
    }

    fn partner_is_out(&self) -> Check {
        if self.changes_nothing() || self.closed() || self.reading.partner.is_empty() {
            return None;
        }
        let removed: Vec<_> =
            self.reading.partner.iter().chain(&self.reading.stale).cloned().collect();
        if trust::without(&self.view.trust, &removed).is_some() {
            let role = self.role.clone();
            return Some(act(Action::RemoveTrust { role, removed }, "the partner may assume it"));
        }
        self.workloads_may_die().or_else(|| {
            Some(self.deny(
                DenyScope::Everything,
                "it is the partner's alone, and a trust policy cannot be empty",
            ))
        })
    }

    /// Where nobody is known to be the partner's, that the trust stays is told by itself.
    fn everyone_is_let_in(&self) -> Check {
        let partner_is_known = !self.situation.policy.partner.is_empty();
        (self.reading.everyone && partner_is_known && !self.missing() && !self.closed()).then(
            || {
                let trusted = self.reading.suspicious.clone();
                Decision::Blocked(BlockReason::EveryoneTrusted { trusted })
            },
        )
    }

    fn sessions_are_denied(&self, from: DateTime<Utc>) -> Check {
        let policy = self.situation.policy;
        if self.changes_nothing()
            || sessions_may_end_by_themselves(self.view, policy)
            || self.view.denies.iter().any(|deny| deny.cuts_sessions_before(from))
        {
            return None;
        }
        self.workloads_may_die().or_else(|| {
            let scope = DenyScope::SessionsBefore(self.now + policy.cutoff_margin);
            Some(self.deny(scope, "sessions outlive the trust"))
        })
    }

    fn trust_has_spread(&self) -> Check {
        let Situation { record, policy, .. } = self.situation;
        let until = record.trust_clean_since? + policy.spread;
        (!self.missing() && self.now < until)
            .then(|| wait(until, "nobody of the partner is in it; waiting for that to hold"))
    }

    fn sessions_are_denied_beyond_that(&self) -> Check {
        self.sessions_are_denied(
            self.situation.record.dead_at? + self.situation.policy.cutoff_margin,
        )
    }

    fn denies_have_spread_or_sessions_ended(&self) -> Check {
        let Situation { record, policy, .. } = self.situation;
        if self.missing() {
            return None;
        }
        let dead_at = record.dead_at?;
        if !self.closed() && sessions_may_end_by_themselves(self.view, policy) {
            let longest = chrono::TimeDelta::seconds(i64::from(self.view.max_session_seconds));
            let reason = "others share it: its older sessions end by themselves";
            return (self.now < dead_at + longest).then(|| wait(dead_at + longest, reason));
        }
        let until = record.sealed_since? + policy.spread;
        (self.now < until).then(|| wait(until, "all is closed; waiting for it to hold everywhere"))
    }

    /// What cannot be changed, or is not there, or is not known well enough, is not touched.
    fn changes_nothing(&self) -> bool {
        self.missing() || self.view.service_linked || self.partner_is_known().is_some()
    }

    fn workloads_may_die(&self) -> Check {
        let ask = self.situation.policy.service_roles == ServiceRoles::Ask;
        (ask && !self.reading.services.is_empty()).then(|| {
            let services = self.reading.services.clone();
            Decision::Blocked(BlockReason::ServiceRole { services })
        })
    }

    fn deny(&self, scope: DenyScope, reason: &str) -> Decision {
        let Situation { record, policy, .. } = self.situation;
        deny::role(self.role, &self.view.denies, scope, reason, record, policy)
    }
}
