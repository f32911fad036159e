//! The invariants of rotation: what is handed out works, one credential a rotation, nobody else's key.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use severance_lifecycle::action::Action;
use severance_lifecycle::credential::{Target, UserRef};
use severance_lifecycle::event::Trigger;
use severance_lifecycle::policy::Desired;
use severance_lifecycle::rotation::RevokeOrder;
use severance_lifecycle::secret::{Issuer, is_of, is_ours};
use severance_lifecycle::secret_action::SecretAction;
use severance_lifecycle::secret_view::PENDING;
use severance_lifecycle::task::{BlockReason, Mode, Task, TaskState};

use crate::provider::worker_now;
use crate::scenario::zones;
use crate::sim::Sim;
use crate::store::Store;
use crate::vault::{Secret, Value, Version};
use crate::world::{Time, World};
use crate::{mishaps, sharing, values};

/// What is handed out is accepted by its issuer, everywhere; of one login with one password, that or what is
/// about to be.
pub fn check(sim: &Sim) {
    let now = sim.clock.provider();
    let mut world = sim.world.lock().unwrap();
    world.pass(now);
    values::check(sim, &world);
    let refused: Vec<&Secret> = world
        .secrets
        .values()
        .filter(|secret| !secret.meddled && !sharing::is_others(secret))
        // What is hidden is handed out to nobody.
        .filter(|secret| secret.deleted_at.is_none())
        .filter(|secret| !is_usable(&world, secret, now))
        .collect();
    if refused.is_empty() {
        return;
    }
    let store = sim.store.lock().unwrap();
    for secret in refused.into_iter().filter(|it| !is_excused(sim, &store, it)) {
        let (name, version) = (&secret.reference.name, &secret.current().id);
        // Told once for each.
        if sim.unusable.lock().unwrap().insert(version.clone()) {
            sim.violated(format!("{name} hands out {version}, which its issuer refuses"));
        }
    }
}

fn is_usable(world: &World, secret: &Secret, now: Time) -> bool {
    let works = |version: &Version| world.accepts(secret, &version.value, now);
    let pending = secret.labelled(PENDING);
    works(secret.current()) || (secret.is_single_login() && pending.is_some_and(works))
}

/// The credential was to die first: what is current is what is exposed, or nobody needs it any more.
fn is_excused(sim: &Sim, store: &Store, secret: &Secret) -> bool {
    let current = secret.current();
    if is_of_revoked_user(store, secret) {
        return true;
    }
    store.tasks.values().map(|row| &row.task).any(|task| {
        let burnt = current.created < task.noticed_at;
        let old = task.record.rotation.old.as_ref();
        let leaves = burnt || old.is_some_and(|old| old.version == current.id);
        match (&task.target, task.desired) {
            (Target::AccessKey { key_id, .. }, Desired::Revoked) => {
                current.value == Value::Key(key_id.clone())
            }
            (Target::Secret { .. }, Desired::Revoked) => is_on(task, secret),
            (Target::Secret { .. }, Desired::Rotated) => {
                is_on(task, secret) && dies_first(sim, task) && leaves
            }
            _ => false,
        }
    })
}

/// Whether a case has the user revoked whose key the secret holds.
fn is_of_revoked_user(store: &Store, secret: &Secret) -> bool {
    let holds_key = matches!(secret.current().value, Value::Key(_));
    let name = secret.reference.name.replace('s', "k");
    holds_key && revoked_users(store).any(|user| user.name == name)
}

/// Users that are to be revoked as a whole, by a case that was not superseded.
fn revoked_users(store: &Store) -> impl Iterator<Item = &UserRef> {
    store.tasks.values().map(|row| &row.task).filter_map(|task| match &task.target {
        Target::User { user }
            if task.desired == Desired::Revoked
                && task.mode == Mode::Enforce
                && task.state != TaskState::Superseded =>
        {
            Some(user)
        }
        _ => None,
    })
}

fn is_on(task: &Task, secret: &Secret) -> bool {
    matches!(&task.target, Target::Secret { secret: on, .. } if on.arn == secret.reference.arn)
}

fn dies_first(sim: &Sim, task: &Task) -> bool {
    let zones = zones(sim.cuts_shared);
    let order = zones.get(&task.binding.zone).order(task);
    // What could not be replaced by then is not kept alive for it.
    let overdue = sim.clock.provider() >= task.deadline;
    let Target::Secret { secret, .. } = &task.target else { return false };
    // Nor what is hidden, or was for a while.
    let hidden = sim.hidden.lock().unwrap().contains_key(&secret.arn);
    task.trigger == Trigger::CompromiseNotice
        && (order == RevokeOrder::RevokeFirst || overdue || hidden)
}

fn maker<'a>(store: &'a Store, version: &str) -> Option<&'a Task> {
    store.tasks.values().map(|row| &row.task).find(|task| is_of(version, &task.id))
}

/// A key is about to be made: one a rotation, and one for each whose secret half was lost, which is gone by
/// then.
pub fn makes_key(sim: &Sim, world: &World, version: &str) {
    let store = sim.store.lock().unwrap();
    let Some(task) = maker(&store, version) else {
        return sim.violated(format!("a key is made for {version}, which is nobody's"));
    };
    let there = world.keys_made_by(&task.id);
    if !there.is_empty() {
        sim.violated(format!("a key is made for {version} beside {}", there.join(", ")));
    }
    let mut made = sim.made.lock().unwrap();
    let (made, lost) = made.entry(task.id.clone()).or_default();
    *made += 1;
    // One that a compromise switched off, or that somebody handed out again after its end, is spoilt.
    let works = |id: &String| world.key(id).is_some_and(|(_, key)| key.status.read().is_active());
    let spoilt = world.secrets.values().flat_map(|secret| &secret.versions);
    let spoilt = spoilt.filter(|it| is_of(&it.id, &task.id));
    let spoilt = spoilt.filter(|it| matches!(&it.value, Value::Key(id) if !works(id))).count();
    if *made > 1 + *lost + u32::try_from(spoilt).unwrap() {
        sim.violated(format!("{made} keys are made for {}, {lost} were lost", task.id));
    }
    // One whose user another case just took may have been looked at before that.
    let settled = worker_now(sim) - TimeDelta::minutes(1);
    let is_known = |it: &Task| {
        it.planned_at < settled
            && task.target.key_user().is_some_and(
                |user| matches!(&it.target, Target::User { user: whole } if whole == user),
            )
    };
    if store.holds(task).user && store.tasks.values().any(|row| is_known(&row.task)) {
        sim.violated(format!("{} makes a key for a user that is revoked", task.id));
    }
    if let Target::Secret { secret, .. } = &task.target {
        comes_too_late(sim, world, task, &secret.arn);
    }
}

/// The secret half of a key that was just made is lost.
pub fn half_made(sim: &Sim, version: &str) {
    let store = sim.store.lock().unwrap();
    if let Some(task) = maker(&store, version) {
        sim.made.lock().unwrap().entry(task.id.clone()).or_default().1 += 1;
    }
}

/// A value is about to be stored: one a rotation.
pub fn prepares(sim: &Sim, world: &World, arn: &str, version: &str) {
    let store = sim.store.lock().unwrap();
    let secret = &world.secrets[arn];
    let Some(task) = maker(&store, version) else {
        return sim.violated(format!("{version} is stored, which is nobody's"));
    };
    if secret.version(version).is_some() {
        return;
    }
    if let Some(before) = secret.versions.iter().find(|it| is_of(&it.id, &task.id)) {
        sim.violated(format!("{version} is stored beside {}", before.id));
    }
    comes_too_late(sim, world, task, arn);
}

/// A routine rotation ends by what another task made current since it began: it makes nothing of its own.
fn comes_too_late(sim: &Sim, world: &World, task: &Task, arn: &str) {
    let secret = &world.secrets[arn];
    let current = secret.current();
    let old = task.record.rotation.old.as_ref();
    let Some(old) = old.and_then(|old| secret.version(&old.version)) else { return };
    let taken_over = task.trigger == Trigger::Rotation
        && is_ours(&current.id)
        && !is_of(&current.id, &task.id)
        && current.created > old.created
        // What a compromise had refused since then helps nobody: whoever comes by makes another.
        && world.still_accepts(secret, &current.value, sim.clock.provider());
    if taken_over {
        sim.violated(format!("a second version for {} after {}", task.id, current.id));
    }
}

/// An old credential is about to end: not before its grace is over, unless it is exposed or nobody's.
pub fn ends(sim: &Sim, action: &Action) {
    let world = sim.world.lock().unwrap();
    let secret = match action {
        Action::DeactivateKey { key_id, .. } => {
            world.holders(key_id).find(|it| !sharing::is_others(it))
        }
        Action::Secret { secret, what: SecretAction::Retire { .. } } => {
            world.secrets.get(&secret.arn)
        }
        _ => None,
    };
    let Some(secret) = secret.filter(|it| !it.meddled && it.deleted_at.is_none()) else { return };
    let is_it = |it: &&Version| match action {
        Action::DeactivateKey { key_id, .. } => it.value == Value::Key(key_id.clone()),
        Action::Secret { what: SecretAction::Retire { version, .. }, .. } => it.id == *version,
        _ => false,
    };
    let left = secret.versions.iter().find(is_it).and_then(|it| it.current_at);
    let now = sim.clock.provider();
    let store = sim.store.lock().unwrap();
    let exposed = store.tasks.values().map(|row| &row.task).any(|task| {
        let key =
            matches!(&task.target, Target::AccessKey { key_id, .. } if secret.holds_key(key_id));
        let hurries = task.trigger == Trigger::CompromiseNotice || task.desired == Desired::Revoked;
        let whole = matches!((&task.target, action),
            (Target::User { user }, Action::DeactivateKey { user: of, .. }) if user.id == of.id);
        (key || whole || is_on(task, secret)) && hurries
    });
    let grace = sim.scope.lock().unwrap().grace;
    // When the next one was handed out; of somebody else's, when it was made: AWS tells no more.
    let next = secret.versions.iter().filter(|it| it.current_at.is_some() && it.current_at > left);
    let next = next.min_by_key(|it| it.current_at);
    let handed_out =
        |it: &Version| if is_ours(&it.id) { it.current_at.unwrap_or(now) } else { it.created };
    let since = next.map_or(now, handed_out);
    if !exposed && now < since + grace {
        sim.violated(format!("{action}, {} after its successor was handed out", now - since));
    }
}

/// What somebody else has on our users is as he left it.
pub fn theirs_are_there(sim: &Sim) {
    let world = sim.world.lock().unwrap();
    let scope = sim.scope.lock().unwrap();
    for id in &scope.theirs {
        // Of a user that is named whole, every key ends.
        let ended = world.key(id).is_some_and(|(user, _)| scope.users.contains(&user.id));
        if !ended && !world.key(id).is_some_and(|(_, key)| key.status.read().is_active()) {
            sim.violated(format!("{id} is somebody else's, and was touched"));
        }
    }
}

/// What of a secret's old credential still works, once that counts as dead.
pub fn alive(world: &World, task: &Task, now: Time) -> Vec<String> {
    let Target::Secret { secret, issuer } = &task.target else { return Vec::new() };
    let Some(old) = &task.record.rotation.old else { return Vec::new() };
    let Some(here) = world.secrets.get(&secret.arn) else { return Vec::new() };
    let Some(version) = here.version(&old.version) else { return Vec::new() };
    let thorough = task.trigger != Trigger::Rotation;
    let mut found = Vec::new();
    if world.still_accepts(here, &version.value, now) {
        found.push(format!("the old value of {}, {}", secret.name, old.version));
    }
    if task.trigger == Trigger::CompromiseNotice {
        found.extend(sharing::alive(world, task, now));
    }
    if let Value::Key(id) = &version.value {
        let sessions = world.working_sessions(id, now);
        let sessions = sessions.into_iter().filter(|_| thorough);
        found.extend(sessions.map(|it| format!("a session of {} from {id}", it.of)));
    }
    let compromise = task.trigger == Trigger::CompromiseNotice || task.desired == Desired::Revoked;
    let open = here.password(&old.version).filter(|it| here.sessions.contains(it));
    if open.is_some() && compromise && matches!(issuer, Issuer::Database { .. }) {
        found.push(format!("a connection with {}", old.version));
    }
    found
}

/// A rotation counts as done.
pub fn rotated(sim: &Sim, store: &Store, world: &World, task: &Task) {
    let Target::Secret { secret, .. } = &task.target else { return };
    let Some(here) = world.secrets.get(&secret.arn) else { return };
    sim.note("rotation proven");
    let rotation = &task.record.rotation;
    let ours = rotation.new.as_ref().is_some_and(|new| is_of(new, &task.id));
    if task.trigger == Trigger::Rotation && !ours && rotation.new.as_deref().is_some_and(is_ours) {
        sim.note("a routine rotation ended by another's version");
    }
    let takes = |it: &str| is_ours(it) && !is_of(it, &task.id);
    if task.trigger == Trigger::CompromiseNotice && rotation.new.as_deref().is_some_and(takes) {
        sim.note("a compromise took a pending version over");
    }
    if !here.meddled {
        handed_out(sim, store, world, here, task);
    }
}

/// Something new is handed out, and works.
fn handed_out(sim: &Sim, store: &Store, world: &World, here: &Secret, task: &Task) {
    let (now, name) = (sim.clock.provider(), &here.reference.name);
    let current = here.current();
    let old = task.record.rotation.old.as_ref();
    if here.deleted_at.is_some() {
        sim.note("an exposed secret ended while it is hidden");
        return;
    }
    // Nor once it is restored, where its user is revoked meanwhile.
    let was_hidden = sim.hidden.lock().unwrap().contains_key(&here.reference.arn);
    if was_hidden && is_of_revoked_user(store, here) {
        return;
    }
    if old.is_none_or(|old| old.version == current.id) {
        sim.violated(format!("rotated, and nothing new is handed out: {name}"));
    }
    // What others deleted for a while, a case may have had end meanwhile.
    let ends = store.tasks.values().map(|row| &row.task);
    if ends.into_iter().any(|it| it.desired == Desired::Revoked && it.target == task.target) {
        return;
    }
    // Of one login with one password the next rotation may have begun.
    if !is_usable(world, here, now) && !is_excused(sim, store, here) {
        sim.violated(format!("rotated, and what is handed out is refused: {name}"));
    }
}

/// Whether it is about a login that could not be tried before it died, by this task or another. Nobody stores
/// values here that are not held.
pub fn is_unproven(task: &Task) -> bool {
    let login = matches!(&task.target, Target::Secret { issuer: Issuer::Database { .. }, .. });
    let not_held =
        matches!(&task.state, TaskState::Blocked { reason: BlockReason::NotHeld { .. } });
    login && not_held && !task.record.rotation.possessed
}

/// What must hold of secrets when everything has settled.
pub fn at_the_end(sim: &Sim, store: &Store, world: &World) {
    let tasks = || store.tasks.values().map(|row| &row.task);
    for task in tasks().filter(|task| task.desired.ends_a_credential()) {
        let Target::Secret { secret, .. } = &task.target else { continue };
        match &task.state {
            TaskState::Blocked { reason: BlockReason::UserIsRevoked { .. } } => {
                sim.note("a rotation that gave way to its user's end");
            }
            TaskState::Blocked { reason: BlockReason::EndedByAnotherCase }
                if tasks().any(|it| it.desired == Desired::Revoked && it.target == task.target) =>
            {
                sim.note("a rotation that gave way to its secret's end");
            }
            TaskState::Blocked { reason }
                if store.unmended.contains(&secret.arn) && mishaps::is_for_good(reason) =>
            {
                sim.note("a rotation blocked by what nobody mends");
            }
            // It died by another task, or its last try was lost: a person stores the value once more.
            TaskState::Blocked { reason: BlockReason::NotHeld { .. } } if is_unproven(task) => {
                sim.note("an exposed login that died before it was proven to be held");
            }
            TaskState::Blocked { reason } => {
                sim.violated(format!("{} is blocked at the end: {reason}", secret.name));
            }
            TaskState::Done { .. } if task.desired == Desired::Rotated => {
                let Some(here) = world.secrets.get(&secret.arn) else { continue };
                handed_out(sim, store, world, here, task);
            }
            _ => {}
        }
    }
    for user in world.users.values() {
        for key in user.keys.iter().filter(|key| world.is_orphan(key)) {
            sim.violated(format!("an orphan key is left: {} of {}", key.id, user.name));
        }
    }
    no_key_of_a_revoked_user_is_ours(sim, store, world);
    values::at_the_end(sim, store, world);
}

/// A user that is revoked, and not put back, has no active key that we made.
fn no_key_of_a_revoked_user_is_ours(sim: &Sim, store: &Store, world: &World) {
    let reinstated = &sim.scope.lock().unwrap().reinstated;
    for UserRef { id, .. } in revoked_users(store).filter(|it| !reinstated.contains(&it.id)) {
        let user = world.users.values().find(|user| user.id == *id);
        let keys = user.into_iter().flat_map(|user| &user.keys);
        for key in keys.filter(|key| key.version.is_some() && key.status.read().is_active()) {
            sim.violated(format!(
                "{id} is revoked, and a key that we made for it is active: {}",
                key.id
            ));
        }
    }
}

/// Whether a task is held up by what may pass: the run goes on until it has.
pub fn may_pass(task: &Task, unmended: &BTreeSet<String>) -> bool {
    let stays = |reason: &BlockReason| {
        matches!(&task.target, Target::Secret { secret, .. } if unmended.contains(&secret.arn))
            && mishaps::is_for_good(reason)
    };
    let for_good = |reason: &BlockReason| {
        stays(reason)
            || matches!(
                reason,
                BlockReason::NotFound
                    | BlockReason::UserIsRevoked { .. }
                    | BlockReason::EndedByAnotherCase
            )
    };
    let blocked = matches!(&task.state, TaskState::Blocked { reason } if !for_good(reason));
    blocked && matches!(task.target, Target::Secret { .. }) && task.desired.ends_a_credential()
}

/// Whether a key of a secret's user is ours to touch: made by us, or held by a secret that is in scope.
pub fn is_ours_to_touch(world: &World, secrets: &BTreeSet<String>, key_id: &str) -> bool {
    let made = world.key(key_id).is_some_and(|(_, key)| key.version.is_some());
    made || world.holders(key_id).any(|secret| secrets.contains(&secret.reference.arn))
}
