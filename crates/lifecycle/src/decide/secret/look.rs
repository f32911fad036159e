//! Taking a look at a secret into the record.

use chrono::{DateTime, Utc};

use super::{Here, possession};
use crate::credential::Target;
use crate::decide::{Situation, look as others};
use crate::observe::{KeyView, Observed, Presence};
use crate::policy::{Desired, Policy};
use crate::record::{Record, since};
use crate::rotation::{HandedOut, OldVersion, RotationRecord};
use crate::secret::{is_of, is_ours};
use crate::secret_view::{CURRENT, Held, PENDING, PREVIOUS, SecretView, VersionState};

/// Takes what was seen of a secret into the record.
pub(in crate::decide) fn look(
    record: &mut Record,
    target: &Target,
    observed: &Observed,
    view: &SecretView,
    policy: &Policy,
) {
    let now = observed.at;
    let missing = view.secret != Presence::Same;
    let old_key = record.rotation.old_key().map(str::to_owned);
    let old_key = old_key.as_deref();
    match view.keys.as_ref().and_then(|keys| keys.old.as_ref()) {
        Some(old) if missing => look_key_of_missing(record, old_key, old, policy, now),
        Some(old) => others::look_key(record, old_key, old, policy, now),
        None => since(&mut record.missing_since, missing, now),
    }
    if !missing {
        record.rotation.key_missing_since = None;
    }
    keep_rows(&mut record.rotation, view, now);
    if record.rotation.old.is_none() {
        record.rotation.old = what_leaves(view, policy);
    }
    name_what_leaves(&mut record.rotation, view);
    possession::keep(record, view);
    let Target::Secret { secret, issuer } = target else { return };
    let situation = Situation { target, observed, record, policy };
    let here = Here { desired: Desired::Rotated, situation: &situation, secret, issuer, view, now };
    let new = here.handed_out().map(|version| version.id.clone());
    let in_step = new.is_some() && view.replicas.iter().all(|replica| replica.in_sync);
    let dead = here.old().is_some() && here.old_is_proven_dead();
    let is_back = here.old().is_some_and(|old| {
        let of_old = |it: &VersionState| old.key_id().is_some() && it.key_id() == old.key_id();
        view.current().is_some_and(|it| it.id == old.version || of_old(it))
    });
    let beside: Vec<_> = here.burnt_beside().map(|version| version.id.clone()).collect();
    let beside_keys: Vec<_> =
        here.burnt_beside().filter_map(|version| version.key_id()).map(str::to_owned).collect();
    let rotation = &mut record.rotation;
    if let Some(new) = new {
        if rotation.new.as_ref() != Some(&new) {
            // Others may have stored what was there before.
            rotation.grace_from = None;
        }
        rotation.new = Some(new);
        rotation.promoted_at.get_or_insert(now);
        rotation.grace_from.get_or_insert(now);
    }
    if is_back {
        rotation.grace_from = None;
    }
    if in_step {
        rotation.in_step_at.get_or_insert(now);
    }
    rotation.beside.extend(beside);
    rotation.beside_keys.extend(beside_keys);
    since(&mut rotation.old_dead_at, dead, now);
}

/// The secret is missing, and its old key is looked at all the same: each has a row of its own.
fn look_key_of_missing(
    record: &mut Record,
    old_key: Option<&str>,
    old: &KeyView,
    policy: &Policy,
    now: DateTime<Utc>,
) {
    let secret = record.missing_since;
    record.missing_since = record.rotation.key_missing_since;
    others::look_key(record, old_key, old, policy, now);
    record.rotation.key_missing_since = record.missing_since;
    record.missing_since = secret;
    since(&mut record.missing_since, true, now);
}

/// What the task leaves behind: what is current at its first look. Were the record lost after that, the
/// version before ours.
fn what_leaves(view: &SecretView, policy: &Policy) -> Option<OldVersion> {
    let is_new = |version: &VersionState| is_of(&version.id, &policy.task);
    let current = view.labelled(CURRENT)?;
    let leaving = if is_new(current) { view.labelled(PREVIOUS)? } else { current };
    let unfit = matches!(leaving.held, Held::Unfit { .. } | Held::Unreadable { .. });
    (!unfit).then(|| OldVersion { version: leaving.id.clone(), held: leaving.held.clone() })
}

/// What was hidden at the first look, and has been restored since, can be read now.
fn name_what_leaves(rotation: &mut RotationRecord, view: &SecretView) {
    let Some(old) = rotation.old.as_mut().filter(|old| old.held == Held::Opaque) else { return };
    let held = view.version(&old.version).map(|version| &version.held);
    if let Some(held @ (Held::AccessKey { .. } | Held::Login { .. })) = held {
        old.held = held.clone();
    }
}

/// Since when what is current is handed out. AWS does not tell. Of what became so between two looks, the
/// second; of what was so at the first, when it was stored. But a version of ours waits between its making
/// and its handing out, for hours where it is held up: it counts from the first look that shows it.
fn handed_out_since(
    rotation: &RotationRecord,
    current: &VersionState,
    now: DateTime<Utc>,
) -> DateTime<Utc> {
    match &rotation.current {
        Some(known) if known.version == current.id => known.since,
        None if rotation.new.as_ref() == Some(&current.id) => rotation.promoted_at.unwrap_or(now),
        None if !is_ours(&current.id) => current.created,
        _ => now,
    }
}

fn keep_rows(rotation: &mut RotationRecord, view: &SecretView, now: DateTime<Utc>) {
    if let Some(current) = view.current() {
        let since = handed_out_since(rotation, current, now);
        rotation.current = Some(HandedOut { version: current.id.clone(), since });
    }
    // Not what somebody else has pending: that may be anybody's.
    let own = |it: &&VersionState| it.has(CURRENT) || it.has(PREVIOUS) || is_ours(&it.id);
    let own = view.versions.iter().filter(own).filter_map(VersionState::key_id);
    rotation.own_keys.extend(own.map(str::to_owned));
    let off = |key: &&crate::secret_view::UserKey| !key.state.status.is_active();
    let before = std::mem::take(&mut rotation.off_since);
    rotation.off_since = view
        .user_keys()
        .iter()
        .filter(off)
        .map(|key| (key.state.id.clone(), before.get(&key.state.id).copied().unwrap_or(now)))
        .collect();
    let before = std::mem::take(&mut rotation.pending_since);
    let pending = view.versions.iter().filter(|it| it.has(PENDING) && !it.has(CURRENT));
    rotation.pending_since = pending
        .filter(|version| !is_ours(&version.id))
        .map(|version| (version.id.clone(), before.get(&version.id).copied().unwrap_or(now)))
        .collect();
}

impl Here<'_> {
    /// Versions that are exposed, hold a value for sure, and are on a label now, or were made after the old
    /// one and are on none any more (their issuer may have been told of them); but the old one.
    fn burnt_beside(&self) -> impl Iterator<Item = &VersionState> {
        let old = self.old().and_then(|old| self.view.version(&old.version));
        let is_dropped = move |version: &VersionState| {
            version.stages.is_empty()
                && is_ours(&version.id)
                && old.is_some_and(|old| old.created < version.created)
        };
        let holds = move |version: &VersionState| {
            version.has(PREVIOUS)
                || is_dropped(version)
                || (version.has(PENDING) && is_ours(&version.id))
                || (version.has(CURRENT) && self.terms().ends)
        };
        let is_old =
            |version: &VersionState| self.old().is_some_and(|old| old.version == version.id);
        let all = self.view.versions.iter();
        all.filter(move |it| self.is_burnt(it) && holds(it) && !is_old(it))
    }

    /// Whether the old credential is proven dead at this look.
    fn old_is_proven_dead(&self) -> bool {
        let Some(old) = self.old() else { return false };
        match &old.held {
            Held::AccessKey { .. } => self.record().dead_at.is_some(),
            Held::Login { .. } | Held::Opaque => self.old_value_is_dead(old),
            Held::Unfit { .. } | Held::Unreadable { .. } => false,
        }
    }
}
