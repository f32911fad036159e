//! What a person should know of a decision: findings, and every way in with how it was verified.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::look::is_cut;
use super::{Situation, deny, proof, reinstate, role};
use crate::action::Action;
use crate::credential::Target;
use crate::finding::Finding;
use crate::observe::{DenyState, KeyState, KeyView, Presence, UserView, View};
use crate::policy::{Desired, RoleSessions};
use crate::record::Record;
use crate::rotation::RevokeOrder;
use crate::secret_action::SecretAction;
use crate::secret_view::{CURRENT, SecretView};
use crate::task::{BlockReason, Verification};
use crate::trust;

/// One way of using what the task is about, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// What kind of way: `access-key`, `sessions`, `password`, `role-sessions`, `trust`, …
    pub way: String,
    /// Which one, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How it stands.
    #[serde(flatten)]
    pub standing: Standing,
}

/// How a way stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "kebab-case")]
pub enum Standing {
    /// Closed, and verified so.
    Closed {
        /// How.
        verification: Verification,
    },
    /// Closed by time: sessions that could not be cut have ended.
    Ended,
    /// Open, at most until then.
    OpenUntil {
        /// When the longest session has ended.
        until: DateTime<Utc>,
    },
    /// Open.
    Open,
}

/// Every way in, and how it stands at this look.
pub fn ways(situation: &Situation<'_>) -> Vec<Way> {
    let Situation { record, .. } = *situation;
    let mut ways = Vec::new();
    match &situation.observed.view {
        View::AccessKey(view) => {
            ways.extend(key_ways(view.key.as_slice(), record));
            let denied = view.user != Presence::Same || cut(&view.denies, situation);
            ways.push(way("sessions", None, closed_if(denied)));
            ways.extend(role_ways(situation, &view.roles));
        }
        View::User(view) => {
            ways.extend(key_ways(&view.keys, record));
            let denied = view.denies.iter().any(DenyState::denies_everything);
            let gone = view.user != Presence::Same;
            ways.push(way("sessions", None, closed_if(gone || denied)));
            ways.push(way("policies", None, closed_if(gone || denied)));
            ways.push(way("password", None, closed_if(!view.login_profile)));
            for side in &view.side {
                let id = Some(side.id.clone());
                ways.push(way(side.kind.as_str(), id, closed_if(!side.active)));
            }
            for device in &view.mfa_devices {
                ways.push(way("mfa", Some(device.clone()), Standing::Open));
            }
            ways.extend(role_ways(situation, &view.roles));
        }
        View::Role(view) => {
            let reading = trust::read(&view.trust, &situation.policy.partner);
            let denied = view.denies.iter().any(DenyState::denies_everything);
            // Where nobody is known to be the partner's, nobody was taken out.
            let known = !situation.policy.partner.is_empty();
            let out = view.role != Presence::Same
                || denied
                || (known && !role::partner_can_enter(view, situation.policy));
            ways.push(way("trust", None, closed_if(out)));
            let listed = reading.others && situation.policy.shared_roles == RoleSessions::List;
            let standing = match record.dead_at {
                Some(dead_at) if listed && !denied => {
                    let longest = i64::from(view.max_session_seconds);
                    until(dead_at + chrono::TimeDelta::seconds(longest), situation.observed.at)
                }
                _ => closed_if(view.role != Presence::Same || cut(&view.denies, situation)),
            };
            ways.push(way("sessions", None, standing));
        }
        View::Secret(view) => ways.extend(secret_ways(situation, view)),
    }
    ways
}

/// The old credential and what it reached; and that it is not handed out any more.
fn secret_ways(situation: &Situation<'_>, view: &SecretView) -> Vec<Way> {
    let rotation = &situation.record.rotation;
    let Some(old) = &rotation.old else { return Vec::new() };
    let mut ways = Vec::new();
    match view.keys.as_ref().and_then(|keys| keys.old.as_ref()) {
        Some(view) => {
            ways.extend(key_ways(view.key.as_slice(), situation.record));
            if situation.policy.rotation.is_thorough() {
                let denied = view.user != Presence::Same || cut(&view.denies, situation);
                ways.push(way("sessions", None, closed_if(denied)));
                ways.extend(role_ways(situation, &view.roles));
            }
        }
        None if rotation.old_dead_at.is_some() => {
            let standing = Standing::Closed { verification: Verification::Probed };
            ways.push(way("login", Some(old.version.clone()), standing));
        }
        None => ways.push(way("value", Some(old.version.clone()), Standing::Open)),
    }
    let handed_out = view.version(&old.version).is_some_and(|version| version.has(CURRENT));
    ways.push(way("current-version", Some(old.version.clone()), closed_if(!handed_out)));
    ways
}

fn way(name: &str, id: Option<String>, standing: Standing) -> Way {
    Way { way: name.to_owned(), id, standing }
}

fn closed_if(closed: bool) -> Standing {
    if closed {
        Standing::Closed { verification: Verification::ControlPlane }
    } else {
        Standing::Open
    }
}

fn until(end: DateTime<Utc>, now: DateTime<Utc>) -> Standing {
    if end <= now { Standing::Ended } else { Standing::OpenUntil { until: end } }
}

fn cut(denies: &[DenyState], situation: &Situation<'_>) -> bool {
    situation.record.dead_at.is_some_and(|dead_at| {
        denies.iter().any(|d| d.cuts_sessions_before(dead_at + situation.policy.cutoff_margin))
    })
}

/// Keys that are there, and those that were proven dead and deleted since.
fn key_ways<'a>(keys: &'a [KeyState], record: &'a Record) -> impl Iterator<Item = Way> + 'a {
    let is_open = |key: &KeyState| key.status.is_active() || record.dead_at.is_none();
    let here = keys.iter().map(move |key| (&key.id, is_open(key)));
    let is_there = |key_id: &String| keys.iter().any(|key| key.id == *key_id);
    let deleted = record.proven.keys().filter(move |key_id| !is_there(key_id));
    here.chain(deleted.map(|key_id| (key_id, false))).map(|(key_id, is_open)| {
        let verification = proof::verification([key_id.as_str()], record);
        let standing = if is_open { Standing::Open } else { Standing::Closed { verification } };
        way("access-key", Some(key_id.clone()), standing)
    })
}

fn role_ways<'a>(
    situation: &'a Situation<'a>,
    roles: &'a [crate::observe::RoleStanding],
) -> impl Iterator<Item = Way> + 'a {
    let now = situation.observed.at;
    roles.iter().map(move |standing| {
        let id = Some(standing.role.role.name.clone());
        let how = if standing.presence != Presence::Same {
            closed_if(true)
        } else if is_cut(standing, situation.policy) {
            closed_if(situation.record.dead_at.is_some_and(|dead_at| {
                let from = deny::roles_from(dead_at, situation.policy);
                standing.denies.iter().any(|deny| deny.cuts_sessions_before(from))
            }))
        } else {
            let ends = |dead_at| {
                let one = std::slice::from_ref(standing);
                deny::residuals(one, dead_at, situation.policy).next().map(|(_, until)| until)
            };
            situation.record.dead_at.and_then(ends).map_or(Standing::Open, |end| until(end, now))
        };
        way("role-sessions", id, how)
    })
}

/// What a person should know at this look.
pub fn findings(desired: Desired, situation: &Situation<'_>) -> Vec<Finding> {
    match desired {
        Desired::Revoked | Desired::Rotated => revocation_findings(situation),
        Desired::Reinstated => restoration_findings(situation),
        Desired::Deleted => Vec::new(),
    }
}

fn revocation_findings(situation: &Situation<'_>) -> Vec<Finding> {
    let Situation { target, observed, record, policy } = *situation;
    let mut found = Vec::new();
    match &observed.view {
        View::AccessKey(view) => {
            let user = target.label();
            found.extend(intruder_findings(user.rsplit(' ').next().unwrap_or_default(), view));
            found.extend(residual_findings(&view.roles, record, situation));
        }
        View::User(view) => {
            found.extend(routes_finding(target, view, record));
            found.extend(residual_findings(&view.roles, record, situation));
        }
        View::Role(view) => {
            let reading = trust::read(&view.trust, &policy.partner);
            let role = match target {
                Target::Role { role } => role.name.clone(),
                other => other.label(),
            };
            if !reading.suspicious.is_empty() {
                let principals = reading.suspicious.clone();
                found.push(Finding::SuspiciousTrust { role: role.clone(), principals });
            }
            if !reading.services.is_empty() {
                let services = reading.services.clone();
                found.push(Finding::ServiceWorkloads { role: role.clone(), services });
            }
            if policy.partner.is_empty() && view.role == Presence::Same {
                let trusted = trust::principals(&view.trust);
                found.push(Finding::TrustKept { role: role.clone(), trusted });
            }
            let listed = reading.others && policy.shared_roles == RoleSessions::List;
            if let Some(dead_at) = record.dead_at.filter(|_| listed) {
                let longest = chrono::TimeDelta::seconds(i64::from(view.max_session_seconds));
                found.push(Finding::ResidualSessions { role, until: dead_at + longest });
            }
        }
        View::Secret(view) => {
            found.extend(readers_findings(situation, view));
            found.extend(unreplaced_finding(situation, view));
            found.extend(left_keys_finding(situation, view));
            if let Some(old) = view.keys.as_ref().and_then(|keys| keys.old.as_ref()) {
                // During a routine rotation its owner may do as he likes.
                if let Some(user) = target.key_user().filter(|_| policy.rotation.is_thorough()) {
                    found.extend(intruder_findings(&user.name, old));
                }
                found.extend(residual_findings(&old.roles, record, situation));
            }
        }
    }
    found
}

/// What reaches a user, once: before everything is denied, since the deny itself is a policy too.
fn routes_finding(target: &Target, view: &UserView, record: &Record) -> Option<Finding> {
    let is_told = record.told.iter().any(|told| matches!(told, Finding::Routes { .. }));
    let Target::User { user } = target else { return None };
    let denied = view.denies.iter().any(DenyState::denies_everything);
    (!is_told && !denied && !view.routes.is_empty())
        .then(|| Finding::Routes { user: user.name.clone(), routes: view.routes.clone() })
}

/// Those who leave and could not be denied the secret.
fn readers_findings(situation: &Situation<'_>, view: &SecretView) -> Option<Finding> {
    let Target::Secret { secret, .. } = situation.target else { return None };
    let (case, readers) =
        (situation.policy.case.clone(), situation.policy.rotation.leaving.clone());
    let deny =
        Action::Secret { secret: secret.clone(), what: SecretAction::Deny { case, readers } };
    let refused = situation.record.refused.get(&deny.site()).filter(|_| !view.denied)?;
    let why = match refused {
        // The message differs from one refusal to the next, and is no news.
        BlockReason::Refused { operation, code, .. } => format!("{operation} refused: {code}"),
        other => other.to_string(),
    };
    Some(Finding::ReadersNotDenied { secret: secret.name.clone(), why })
}

/// What was exposed is dead by its deadline and nothing followed it: whoever reads the secret fails.
fn unreplaced_finding(situation: &Situation<'_>, view: &SecretView) -> Option<Finding> {
    let Target::Secret { secret, .. } = situation.target else { return None };
    let (rotation, terms) = (&situation.record.rotation, &situation.policy.rotation);
    let old = rotation.old.as_ref()?;
    let overdue = terms.replace_by.is_some_and(|by| situation.observed.at >= by)
        && terms.order == RevokeOrder::ReplaceThenRevoke
        && rotation.new.is_none()
        && rotation.old_dead_at.is_some();
    let handed_out = view.version(&old.version).is_some_and(|version| version.has(CURRENT));
    (overdue && handed_out).then(|| {
        let credential = rotation.old_key().unwrap_or(&old.version).to_owned();
        Finding::HandsOutRevoked { secret: secret.name.clone(), credential }
    })
}

/// The secret was deleted for good: its keys are in no version any more. Those that are exposed die all the same.
fn left_keys_finding(situation: &Situation<'_>, view: &SecretView) -> Option<Finding> {
    let Situation { target: Target::Secret { secret, .. }, record, policy, observed } = *situation
    else {
        return None;
    };
    let is_gone = view.secret == Presence::Missing && proof::gone(record, policy, observed.at);
    let terms = &policy.rotation;
    let ends = |key_id: &String| {
        let exposed = terms.ends || terms.exposed_at.is_some();
        let rotation = &record.rotation;
        exposed && (rotation.old_key() == Some(key_id) || rotation.beside_keys.contains(key_id))
    };
    let left = view.user_keys().iter().filter(|key| {
        let id = &key.state.id;
        let was_its_own = record.rotation.own_keys.contains(id);
        key.state.status.is_active() && was_its_own && !key.elsewhere && !ends(id)
    });
    let keys: Vec<_> = left.map(|key| key.state.id.clone()).collect();
    (is_gone && !keys.is_empty())
        .then(|| Finding::KeysOfMissingSecret { secret: secret.name.clone(), keys })
}

fn intruder_findings<'a>(user: &'a str, view: &'a KeyView) -> impl Iterator<Item = Finding> + 'a {
    let found = view.intruders.iter();
    found.map(move |what| Finding::Intruder { user: user.to_owned(), what: what.clone() })
}

fn residual_findings(
    roles: &[crate::observe::RoleStanding],
    record: &Record,
    situation: &Situation<'_>,
) -> Vec<Finding> {
    let Some(dead_at) = record.dead_at else {
        return Vec::new();
    };
    deny::residuals(roles, dead_at, situation.policy)
        .map(|(standing, until)| Finding::ResidualSessions {
            role: standing.role.role.name.clone(),
            until,
        })
        .collect()
}

fn restoration_findings(situation: &Situation<'_>) -> Vec<Finding> {
    situation
        .record
        .changes
        .iter()
        .filter_map(|change| {
            if !reinstate::can_restore(&situation.observed.view, change) {
                Some(Finding::CannotRestore { change: change.clone() })
            } else if reinstate::is_held(situation.policy.holds, change) {
                Some(Finding::HeldByAnotherCase { change: change.clone() })
            } else {
                None
            }
        })
        .collect()
}
