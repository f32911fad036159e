//! The provider as a pure model: what an action makes of what is seen. For `observe`, which says what
//! would be done, and for the property tests.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Decision, Situation, decide, look, secret_model};
use crate::action::{Action, DenyOrder, DenyPurpose, SideCredential};
use crate::credential::Target;
use crate::observe::{DenyState, KeyState, KeyStatus, Observed, RoleStanding, SideState, View};
use crate::policy::Desired;
use crate::record::{ProbeAnswer, Record};
use crate::secret_action::SecretAction;
use crate::trust;

/// More looks than any case can need; a plan that long is cut there.
const LONGEST_PLAN: usize = 500;

/// The actions that would be carried out from here to the end, if nobody else changed anything.
/// Probes are left out: they change nothing.
pub fn plan(desired: Desired, situation: &Situation<'_>) -> Vec<Action> {
    let Situation { target, policy, .. } = *situation;
    let mut observed = situation.observed.clone();
    let mut record = situation.record.clone();
    let mut actions = Vec::new();
    for _ in 0..LONGEST_PLAN {
        look(&mut record, target, &observed, policy);
        let here = Situation { target, observed: &observed, record: &record, policy };
        match decide(desired, &here, observed.at) {
            Decision::Act(action, _) => {
                imagine(&action, target, &mut observed, &mut record);
                if action.changes_provider() && !repeats(&actions, &action) {
                    actions.push(action);
                }
            }
            Decision::Wait(until, _) => observed.at = until,
            Decision::Done(_) | Decision::Blocked(_) => break,
        }
    }
    actions
}

/// The second cutoff is the first one moved: a person who reads a plan need not see it twice.
fn repeats(actions: &[Action], action: &Action) -> bool {
    let handle = |action: &Action| match action {
        Action::DenyUser { deny, .. } | Action::DenyRole { deny, .. } => {
            Some((action.touches(), deny.handle.clone()))
        }
        _ => None,
    };
    handle(action).is_some_and(|new| actions.iter().any(|old| handle(old).as_ref() == Some(&new)))
}

fn imagine(action: &Action, target: &Target, observed: &mut Observed, record: &mut Record) {
    if let Some(change) = action.change() {
        record.changes.insert(change);
    }
    match action {
        Action::Probe { key_id, sample, .. } => {
            let answer = ProbeAnswer::Refused { endpoint: format!("region-{}", sample % 2) };
            record.probed(key_id, &answer, observed.at);
        }
        Action::Secret { what: SecretAction::Try { version, .. }, .. } => {
            if let View::Secret(view) = &observed.view {
                let answer = secret_model::answer(version, view, record);
                record.tried(version, &answer, observed.at);
            }
        }
        action => {
            record.carried_out(action, observed.at);
            apply(action, target, &mut observed.view, observed.at);
        }
    }
    if let View::Secret(view) = &mut observed.view {
        secret_model::show_old(view, record);
    }
    observed.at += TimeDelta::milliseconds(50);
}

/// Makes of a view what the action would make of the provider's state.
#[allow(
    clippy::too_many_lines,
    reason = "one arm an action; splitting the match hides that it is whole"
)]
pub fn apply(action: &Action, target: &Target, view: &mut View, now: DateTime<Utc>) {
    match action {
        Action::Secret { what, .. } => {
            if let View::Secret(view) = view {
                secret_model::apply(what, target, view, now);
            }
        }
        Action::DeactivateKey { key_id, .. } => set_key(view, key_id, KeyStatus::Inactive),
        Action::ReactivateKey { key_id, .. } => set_key(view, key_id, KeyStatus::Active),
        Action::DeleteKey { key_id, .. } => match view {
            View::AccessKey(view) => {
                view.key = view.key.take().filter(|key| key.id != *key_id);
                view.others.remove(key_id);
            }
            View::User(view) => view.keys.retain(|key| key.id != *key_id),
            View::Secret(view) => secret_model::delete_key(view, key_id),
            View::Role(_) => {}
        },
        Action::DeleteLoginProfile { .. } => match view {
            View::User(view) => view.login_profile = false,
            View::AccessKey(view) => {
                view.intruders.retain(|i| *i != crate::observe::Intruder::LoginProfile);
            }
            View::Role(_) | View::Secret(_) => {}
        },
        Action::Deactivate { kind, id, .. } => set_side(view, *kind, id, false),
        Action::Reactivate { kind, id, .. } => set_side(view, *kind, id, true),
        Action::Delete { kind, id, .. } => {
            if let View::User(view) = view {
                view.side.retain(|side| !(side.kind == *kind && side.id == *id));
            }
        }
        Action::DeactivateMfa { serial, .. } => {
            if let View::User(view) = view {
                view.mfa_devices.retain(|device| device != serial);
            }
        }
        Action::DenyUser { deny, .. } => {
            if let Some(denies) = user_denies(view) {
                put(denies, deny);
            }
        }
        Action::AllowUser { deny, .. } => {
            if let Some(denies) = user_denies(view) {
                denies.retain(|old| old.handle != *deny);
            }
        }
        Action::DenyRole { role, deny } => {
            if let Some(denies) = role_denies(target, view, role) {
                put(denies, deny);
            }
        }
        Action::AllowRole { role, deny } => {
            if let Some(denies) = role_denies(target, view, role) {
                denies.retain(|old| old.handle != *deny);
            }
        }
        Action::RemoveTrust { removed, .. } => {
            if let View::Role(view) = view
                && let Some(document) = trust::without(&view.trust, removed)
            {
                view.trust = document;
            }
        }
        Action::RestoreTrust { removed, .. } => {
            if let View::Role(view) = view {
                view.trust = trust::with(&view.trust, removed);
            }
        }
        Action::Probe { .. } => {}
    }
}

fn set_key(view: &mut View, key_id: &str, status: KeyStatus) {
    let set = |key: &mut KeyState| {
        if key.id == key_id {
            key.status = status;
        }
    };
    match view {
        View::AccessKey(view) => {
            view.key.iter_mut().for_each(set);
            if let Some(other) = view.others.get_mut(key_id) {
                *other = status;
            }
            if status == KeyStatus::Inactive {
                view.intruders.retain(|intruder| {
                    !matches!(intruder, crate::observe::Intruder::AccessKey { key_id: id } if id == key_id)
                });
            }
        }
        View::User(view) => view.keys.iter_mut().for_each(set),
        View::Secret(view) => secret_model::set_key(view, key_id, status),
        View::Role(_) => {}
    }
}

fn set_side(view: &mut View, kind: SideCredential, id: &str, active: bool) {
    if let View::User(view) = view {
        let is_it = |side: &&mut SideState| side.kind == kind && side.id == id;
        view.side.iter_mut().filter(is_it).for_each(|side| side.active = active);
    }
}

fn put(denies: &mut Vec<DenyState>, order: &DenyOrder) {
    denies.retain(|old| old.handle != order.handle);
    debug_assert!(order.handle.purpose != DenyPurpose::Everything || denies.len() < 8);
    denies.push(DenyState { handle: order.handle.clone(), scope: Some(order.scope) });
}

fn user_denies(view: &mut View) -> Option<&mut Vec<DenyState>> {
    match view {
        View::AccessKey(view) => Some(&mut view.denies),
        View::User(view) => Some(&mut view.denies),
        View::Secret(view) => secret_model::old_key(view).map(|old| &mut old.denies),
        View::Role(_) => None,
    }
}

fn role_denies<'a>(
    target: &Target,
    view: &'a mut View,
    role: &crate::credential::RoleRef,
) -> Option<&'a mut Vec<DenyState>> {
    let standings: &mut Vec<RoleStanding> = match view {
        View::Role(view) => {
            let own = matches!(target, Target::Role { role: own } if own == role);
            return own.then_some(&mut view.denies);
        }
        View::AccessKey(view) => &mut view.roles,
        View::User(view) => &mut view.roles,
        View::Secret(view) => &mut secret_model::old_key(view)?.roles,
    };
    standings.iter_mut().find(|s| s.role.role == *role).map(|s| &mut s.denies)
}
