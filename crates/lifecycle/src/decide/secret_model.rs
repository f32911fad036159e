//! A secret and its issuer as a pure model; see [`apply`](super::model::apply).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::credential::Target;
use crate::observe::{KeyState, KeyStatus, KeyView, Presence};
use crate::record::{ProbeAnswer, Record};
use crate::secret::Issuer;
use crate::secret_action::SecretAction;
use crate::secret_view::{CURRENT, Held, PENDING, PREVIOUS, SecretView, UserKey, VersionState};

/// Makes of a view what the action would make of the secret.
pub(super) fn apply(
    what: &SecretAction,
    target: &Target,
    view: &mut SecretView,
    now: DateTime<Utc>,
) {
    match what {
        SecretAction::MakeKey { version, .. } => {
            let key_id = format!("AKIA{version}");
            let state = KeyState {
                id: key_id.clone(),
                status: KeyStatus::Active,
                created: now,
                probeable: true,
            };
            if let Some(keys) = &mut view.keys {
                keys.keys.push(UserKey { state, used: false, elsewhere: false });
            }
            store(view, version, Held::AccessKey { key_id }, now);
        }
        SecretAction::Prepare { version, from } => {
            let from = view.version(from).map_or(Held::Opaque, |from| from.held.clone());
            store(view, version, next(target, from), now);
        }
        SecretAction::Rotate { version } => {
            let held = view.current().map_or(Held::Opaque, |current| current.held.clone());
            store(view, version, held, now);
            promote(view, version);
        }
        SecretAction::Promote { version, .. } => promote(view, version),
        SecretAction::DropLabel { label, version } => {
            let is_it = |it: &&mut VersionState| it.id == *version;
            view.versions.iter_mut().filter(is_it).for_each(|it| {
                it.stages.remove(label);
            });
        }
        SecretAction::Deny { .. } => view.denied = true,
        SecretAction::Allow { .. } => view.denied = false,
        SecretAction::RemoveReplicas { .. } => view.replicas.clear(),
        SecretAction::ScheduleDeletion { .. } => view.deleted_at = Some(now),
        SecretAction::Restore => view.deleted_at = None,
        SecretAction::Set { .. }
        | SecretAction::Try { .. }
        | SecretAction::Finish { .. }
        | SecretAction::Retire { .. }
        | SecretAction::EndSessions { .. } => {}
    }
}

/// Switches a key of the secret's user.
pub(super) fn set_key(view: &mut SecretView, key_id: &str, status: KeyStatus) {
    let Some(keys) = &mut view.keys else { return };
    let all = keys.keys.iter_mut().map(|key| &mut key.state);
    let old = keys.old.iter_mut().filter_map(|old| old.key.as_mut());
    all.chain(old).filter(|key| key.id == key_id).for_each(|key| key.status = status);
}

/// Deletes a key of the secret's user.
pub(super) fn delete_key(view: &mut SecretView, key_id: &str) {
    let Some(keys) = &mut view.keys else { return };
    keys.keys.retain(|key| key.state.id != key_id);
    if let Some(old) = &mut keys.old {
        old.key = old.key.take().filter(|key| key.id != key_id);
    }
}

/// Has the view show the old key by itself, as a look does that knows which key it is.
pub(super) fn show_old(view: &mut SecretView, record: &Record) {
    let Some(Held::AccessKey { key_id }) = record.rotation.old.as_ref().map(|old| &old.held) else {
        return;
    };
    let Some(keys) = view.keys.as_mut().filter(|keys| keys.old.is_none()) else { return };
    let key = keys.keys.iter().find(|key| key.state.id == *key_id).map(|key| key.state.clone());
    let (denies, roles, intruders) = (Vec::new(), Vec::new(), Vec::new());
    let others = BTreeMap::new();
    keys.old = Some(KeyView { user: keys.user, key, denies, roles, intruders, others });
}

/// What trying a version would tell.
pub(super) fn answer(version: &str, view: &SecretView, record: &Record) -> ProbeAnswer {
    let rotation = &record.rotation;
    let is_old = rotation.old.as_ref().is_some_and(|old| old.version == version);
    let accepted = match view.version(version).map(|version| &version.held) {
        Some(Held::AccessKey { key_id }) => view
            .user_keys()
            .iter()
            .any(|key| key.state.id == *key_id && key.state.status.is_active()),
        Some(Held::Login { username }) if is_old => {
            let replaced = |id: &String| {
                view.version(id).is_some_and(|it| it.login() == Some(username.as_str()))
            };
            !rotation.retired.contains(version) && !rotation.set.keys().any(replaced)
        }
        Some(_) if is_old => !rotation.retired.contains(version),
        Some(_) => rotation.set.contains_key(version),
        None => false,
    };
    let endpoint = "issuer".to_owned();
    if accepted { ProbeAnswer::Accepted { endpoint } } else { ProbeAnswer::Refused { endpoint } }
}

/// The secret's user's key view, for denies and roles.
pub(super) fn old_key(view: &mut SecretView) -> Option<&mut KeyView> {
    view.keys.as_mut()?.old.as_mut().filter(|old| old.user == Presence::Same)
}

fn store(view: &mut SecretView, version: &str, held: Held, now: DateTime<Utc>) {
    for other in &mut view.versions {
        other.stages.remove(PENDING);
    }
    if view.version(version).is_none() {
        let stages = BTreeSet::from([PENDING.to_owned()]);
        let id = version.to_owned();
        view.versions.push(VersionState { id, stages, created: now, held });
    }
}

/// The label moves, and `AWSPREVIOUS` follows it.
fn promote(view: &mut SecretView, version: &str) {
    for it in &mut view.versions {
        it.stages.remove(PREVIOUS);
        if it.stages.remove(CURRENT) && it.id != version {
            it.stages.insert(PREVIOUS.to_owned());
        }
        if it.id == version {
            it.stages.insert(CURRENT.to_owned());
        }
    }
    for replica in &mut view.replicas {
        replica.in_sync = true;
    }
}

/// What a new value holds: the other of two users in turns, else the same login.
fn next(target: &Target, from: Held) -> Held {
    const CLONE: &str = "_clone";
    match (target, from) {
        (
            Target::Secret { issuer: Issuer::Database { alternating: true }, .. },
            Held::Login { username },
        ) => {
            let other = username.strip_suffix(CLONE).map(str::to_owned);
            Held::Login { username: other.unwrap_or_else(|| format!("{username}{CLONE}")) }
        }
        (_, from) => from,
    }
}
