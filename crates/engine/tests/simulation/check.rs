//! The invariants: what must hold at every call, at every turn of a task, and at the end.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;
use severance_engine::ports::Topic;
use severance_lifecycle::action::{Action, Change, DenyScope};
use severance_lifecycle::case::{Case, CaseState, Closing};
use severance_lifecycle::credential::Target;
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::outcome;
use severance_lifecycle::policy::Desired;
use severance_lifecycle::secret_action::SecretAction;
use severance_lifecycle::task::{BlockReason, Lane, Task, TaskState, Verification};
use severance_lifecycle::trust;

use crate::ledger::{leased_by, proven};
use crate::provider::worker_now;
use crate::scenario::{PARTNER, QUARANTINE_DAYS, must_finish};
use crate::sim::{Process, Sim};
use crate::store::Store;
use crate::world::{Time, World};
use crate::{keys_of_others, sharing, usable, values};

/// A lower lane's call never starts while an accepted notice is runnable.
pub fn lane(sim: &Sim, process: Process, lane: Lane) {
    if lane == Lane::Compromise {
        return;
    }
    let urgent = sim.store.lock().unwrap().unclaimed_urgent(process, worker_now(sim));
    if let Some(urgent) = urgent {
        sim.violated(format!("a call of lane {} starts while {urgent} is due", lane.as_str()));
    }
}

pub fn account(action: &Action) -> AccountId {
    if let Action::Secret { secret, .. } = action {
        return secret.account.clone();
    }
    let lock = action.touches().into_iter().next().unwrap();
    lock.split('/').nth(1).unwrap().into()
}

/// Between the look that proves something and the commit that says so.
const SLACK: TimeDelta = TimeDelta::seconds(5);

/// Counts who changes an identity at this moment.
pub struct Busy(Arc<Sim>, BTreeSet<String>);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut busy = self.0.busy.lock().unwrap();
        for lock in &self.1 {
            if let Some(n) = busy.get_mut(lock) {
                *n -= 1;
            }
        }
    }
}

/// What must hold when an action is about to be called.
pub fn action_begins(sim: &Arc<Sim>, process: Process, action: &Action) -> Option<Busy> {
    if !action.changes_provider() {
        return None;
    }
    keys_of_others::touched(sim, action);
    keys_of_others::begins(sim, process, action);
    in_scope(sim, action);
    intended(sim, process, action);
    after_quarantine(sim, action);
    usable::ends(sim, action);
    values::hides(sim, action);
    sharing::cuts(sim, action);
    let shared = matches!(action, Action::DenyRole { .. } | Action::AllowRole { .. });
    // Denies are each case's own, by name: two cases may write theirs on one role.
    if shared {
        return None;
    }
    let locks = action.touches();
    let mut busy = sim.busy.lock().unwrap();
    for lock in &locks {
        let n = busy.entry(lock.clone()).or_default();
        *n += 1;
        if *n > 1 && !sim.clock_was_just_set() {
            sim.violated(format!("two calls change {lock} at one time: {action}"));
        }
    }
    Some(Busy(Arc::clone(sim), locks))
}

/// Only what an event names is touched, and only the very identity that it named.
fn in_scope(sim: &Sim, action: &Action) {
    let scope = sim.scope.lock().unwrap();
    let of_a_secret = |key_id: &String| {
        let world = sim.world.lock().unwrap();
        usable::is_ours_to_touch(&world, &scope.secrets, key_id)
    };
    let ok = match action {
        Action::DeactivateKey { user, key_id } | Action::DeleteKey { user, key_id } => {
            scope.users.contains(&user.id)
                || scope.keys.get(key_id) == Some(&user.id)
                || of_a_secret(key_id)
                || scope.taken_for_ours.contains(key_id)
                // Told by itself.
                || scope.theirs.contains(key_id)
        }
        Action::DeleteLoginProfile { user } => {
            scope.users.contains(&user.id) || scope.taken.contains(&user.id)
        }
        Action::Deactivate { user, .. }
        | Action::Delete { user, .. }
        | Action::DeactivateMfa { user, .. } => scope.users.contains(&user.id),
        Action::DenyUser { user, .. } | Action::AllowUser { user, .. } => {
            scope.users.contains(&user.id) || scope.keys.values().any(|id| *id == user.id)
        }
        Action::DenyRole { role, .. }
        | Action::AllowRole { role, .. }
        | Action::RemoveTrust { role, .. } => scope.roles.contains(&role.id),
        Action::ReactivateKey { user, key_id } => {
            scope.reinstated.contains(&user.id)
                && !scope.compromised.contains(key_id)
                && !scope.compromised.contains(&user.id)
        }
        Action::Reactivate { user, .. } => scope.reinstated.contains(&user.id),
        Action::RestoreTrust { role, .. } => scope.reinstated.contains(&role.id),
        Action::Probe { .. } => true,
        Action::Secret { secret, what } => match what {
            SecretAction::RemoveReplicas { .. }
            | SecretAction::ScheduleDeletion { .. }
            | SecretAction::Restore => scope.ending.contains(&secret.arn),
            _ => scope.secrets.contains(&secret.arn),
        },
    };
    if !ok {
        sim.violated(format!("outside every case: {action}"));
    }
}

/// Whoever calls holds the lease, and has written down first what it may change.
fn intended(sim: &Sim, process: Process, action: &Action) {
    let store = sim.store.lock().unwrap();
    let lock = action.touches().into_iter().next().unwrap();
    let leased: Vec<&Task> = leased_by(&store, process, worker_now(sim)).collect();
    let on_it = |task: &&&Task| {
        task.target.lock() == lock
            || task.target.key() == lock
            || task
                .assumable
                .iter()
                .any(|r| lock == format!("role/{}/{}", r.role.account, r.role.name))
    };
    let holders: Vec<&&Task> = leased.iter().filter(on_it).collect();
    if holders.is_empty() && sim.clock_was_just_set() {
        // It was read for before the clock was set, and is told after.
    } else if holders.is_empty() {
        sim.violated(format!("called without a live lease: {action}"));
    } else if let Some(change) = action.change()
        // The lease may be another's since then.
        && !sim.clock_was_just_set()
        && !holders.iter().any(|task| task.record.changes.contains(&change))
    {
        sim.violated(format!("called before the intent was stored: {action}"));
    }
}

/// Nothing is deleted while its quarantine lasts.
fn after_quarantine(sim: &Sim, action: &Action) {
    let (Action::DeleteKey { .. } | Action::Delete { .. }) = action else { return };
    let now = sim.clock.provider();
    let lock = action.touches().into_iter().next().unwrap();
    let store = sim.store.lock().unwrap();
    let targets = store.tasks.values().map(|row| &row.task.target).filter(|t| t.lock() == lock);
    let proven = sim.proven.lock().unwrap();
    let earliest = targets.filter_map(|target| proven.get(&target.key())).copied().min();
    let over = earliest.is_some_and(|at| at + TimeDelta::days(QUARANTINE_DAYS) <= now + SLACK);
    // One that is dead already makes room for a new key, and an orphan never was of any use.
    let makes_room = if let Action::DeleteKey { key_id, .. } = action {
        let world = sim.world.lock().unwrap();
        let key = world.key(key_id).map(|(_, key)| key);
        let is_dead = !world.key_works(key_id, now);
        let held = is_dead && world.holders(key_id).next().is_some();
        let taken = sim.scope.lock().unwrap().taken_for_ours.contains(key_id);
        held || taken || key.is_some_and(|key| world.is_orphan(key))
    } else {
        false
    };
    if !over && !makes_room {
        sim.violated(format!("before its quarantine is over: {action}"));
    }
}

/// A case was planned: it is held where all of it is more than the limit and than what a person let go.
pub fn sized(sim: &Sim, store: &Store, before: &Case) {
    let now = &store.cases[&before.id].case;
    let tasks = store.tasks.values().map(|row| &row.task);
    let credentials: usize =
        tasks.filter(|t| t.case == before.id && t.counts).map(|t| t.credentials).sum();
    let over = credentials > sim.blast_radius.max(before.released);
    match (&now.state, &before.state) {
        (CaseState::Open, _) if over => {
            let limit = sim.blast_radius;
            sim.violated(format!("{} has {credentials} credentials, the limit is {limit}", now.id));
        }
        (CaseState::Held { .. }, _) if !over => {
            sim.violated(format!("{} is held with {credentials} credentials", now.id));
        }
        (CaseState::Held { .. }, CaseState::Accepted) => sim.note("a case held for its size"),
        (CaseState::Held { .. }, _) => sim.note("a case held since it grew"),
        _ => {}
    }
}

/// A task turned to another state, at this commit.
pub fn turned(sim: &Sim, store: &Store, was: Option<&TaskState>, task: &Task) {
    let verified = outcome::stages(task).time_to_revoke().is_some();
    let proven_dead = matches!(task.state, TaskState::Done { .. }) && task.proves_its_end();
    if verified != proven_dead {
        sim.violated(format!(
            "a time to revoke of what is not proven, or none: {}",
            task.target.label()
        ));
    }
    if let (Some(TaskState::Done { .. }), TaskState::Blocked { reason }) = (was, &task.state)
        && matches!(reason, BlockReason::UserIsRevoked { .. } | BlockReason::EndedByAnotherCase)
    {
        sim.violated(format!("open again by what is no drift: {}: {reason}", task.target.label()));
    }
    if let TaskState::Blocked { reason: BlockReason::ServiceRole { .. } } = task.state {
        sim.note("a service's role asked about");
    }
    if let TaskState::Done { verification } = task.state
        && proven(task)
    {
        let now = sim.clock.provider();
        sim.proven.lock().unwrap().insert(task.target.key(), now);
        let world = sim.world.lock().unwrap();
        let looked = sim.looked.lock().unwrap().get(&task.target.key()).copied();
        let touched = world.touched.get(&task.target.lock()).copied();
        let meanwhile = touched.zip(looked).is_some_and(|(t, l)| t > l - TimeDelta::seconds(12));
        if !meanwhile {
            for what in alive(&world, task, now) {
                sim.violated(format!("counted as done, and alive: {what}"));
            }
        }
        if task.desired == Desired::Rotated {
            usable::rotated(sim, store, &world, task);
        } else {
            sim.note("revocation proven");
        }
        drop(world);
        if verification == Verification::Probed {
            probed(sim, task);
        }
    }
}

/// The last probes of a key that counts as probed were all refused, in two places, over the window.
fn probed(sim: &Sim, task: &Task) {
    let key_id = match &task.target {
        Target::AccessKey { key_id, .. } => key_id.as_str(),
        Target::Secret { .. } => match task.record.rotation.old_key() {
            Some(key_id) => key_id,
            None => return,
        },
        _ => return,
    };
    let probes = sim.probes.lock().unwrap();
    let all = probes.get(&format!("{} {key_id}", task.id)).cloned().unwrap_or_default();
    let told = all.iter().filter(|(.., refused)| refused.is_some()).rev();
    let row: Vec<_> = told.take_while(|(.., refused)| *refused == Some(true)).collect();
    let places: BTreeSet<_> = row.iter().map(|(_, endpoint, _)| endpoint).collect();
    let span = match (row.last(), row.first()) {
        (Some(first), Some(last)) => last.0 - first.0,
        _ => TimeDelta::zero(),
    };
    if row.len() < 3 || places.len() < 2 || span < TimeDelta::seconds(5) {
        sim.violated(format!("{key_id} counts as probed after {} refusals over {span}", row.len()));
    }
}

/// What of a revoked task still works.
fn alive(world: &World, task: &Task, now: Time) -> Vec<String> {
    let mut found = Vec::new();
    let mut key_is_dead = |key_id: &str| {
        if world.key_works(key_id, now) {
            found.push(format!("key {key_id}"));
        }
        for session in world.working_sessions(key_id, now) {
            found.push(format!(
                "a session of {} from {key_id}, issued {}",
                session.of, session.issued
            ));
        }
    };
    match &task.target {
        Target::AccessKey { key_id, user } => {
            // A user made again under that name is another's.
            if let Some(here) = world.users.values().find(|u| u.id == user.id) {
                key_is_dead(key_id);
                if task.binding.zone.as_str() == "strict" {
                    let planted = here.keys.iter().filter(|key| key.created > task.noticed_at);
                    planted.for_each(|key| key_is_dead(&key.id));
                    if here.login.is_some_and(|at| at > task.noticed_at) {
                        found.push(format!("an intruder's password on {}", here.name));
                    }
                }
            }
        }
        Target::User { user } => {
            if let Some(here) = world.users.values().find(|u| u.id == user.id) {
                here.keys.iter().for_each(|key| key_is_dead(&key.id));
                if here.login.is_some() {
                    found.push(format!("the password of {}", here.name));
                }
                let on = here.sides.iter().filter(|side| side.active);
                found.extend(on.map(|side| format!("{} of {}", side.id, here.name)));
            }
        }
        Target::Role { role } => {
            if let Some(here) = world.roles.values().find(|r| r.id == role.id) {
                let closed = world
                    .working_sessions(PARTNER, now)
                    .into_iter()
                    .filter(|session| session.of == role.id);
                found.extend(
                    closed.map(|s| format!("a session of {} issued {}", here.name, s.issued)),
                );
                let closed = here.denies.holds(now).values().any(|s| *s == DenyScope::Everything);
                if here.lets_in(PARTNER, now) && !closed {
                    found.push(format!("the partner may assume {}", here.name));
                }
            }
        }
        Target::Secret { .. } => found = usable::alive(world, task, now),
        Target::Unresolved { .. } => {}
    }
    found
}

/// What has not ended by the end. Of a bug's run, whose time is short, this says nothing.
pub const OF_THE_END: [&str; 3] =
    ["still open at the end", "is blocked at the end", "blocked by what has passed"];

/// What must hold when everything has settled.
pub fn at_the_end(sim: &Sim) {
    let store = sim.store.lock().unwrap();
    let now = sim.clock.provider();
    every_event_has_its_case(sim, &store);
    let world = sim.world.lock().unwrap();
    for row in store.tasks.values() {
        let task = &row.task;
        let what = || format!("{} ({})", task.target.label(), task.desired.as_str());
        match &task.state {
            TaskState::Open => sim.violated(format!("still open at the end: {}", what())),
            TaskState::Blocked { reason } => {
                if matches!(reason, BlockReason::Refused { .. }) {
                    sim.violated(format!("blocked by what has passed: {}: {reason}", what()));
                }
                if !told(&store, task, outcome::BLOCKED_TYPE) {
                    sim.violated(format!("blocked, and nobody was told: {}", what()));
                }
            }
            TaskState::Done { .. } => {
                if proven(task) && !superseded(&store, task) {
                    for thing in alive(&world, task, now) {
                        sim.violated(format!("done, and alive at the end: {thing}"));
                    }
                    let rotated = task.desired == Desired::Rotated;
                    let kind = if rotated { outcome::ROTATED_TYPE } else { outcome::REVOKED_TYPE };
                    if !told(&store, task, kind) {
                        sim.violated(format!("done, and nobody was told: {}", what()));
                    }
                }
                if task.desired == Desired::Deleted {
                    left_behind(sim, &world, task);
                }
                if task.desired == Desired::Reinstated {
                    restored(sim, &world, &store, task);
                }
            }
            TaskState::Superseded => {
                if !superseded(&store, task) {
                    sim.violated(format!("given up: {}", what()));
                }
            }
            TaskState::Observed => {}
        }
    }
    for id in must_finish(sim) {
        let case = store.cases.get(&id).map(|row| &row.case.state);
        if case.is_some_and(|state| matches!(state, CaseState::Accepted | CaseState::Held { .. })) {
            sim.violated(format!("case {id} was never worked on"));
        }
    }
    usable::at_the_end(sim, &store, &world);
    observed_zone_is_untouched(sim, &world);
    edits_stay(sim, &world);
    who_came_late_is_dead(sim, &world);
}

/// Of what a case switched off on account of a key, nothing outlives its quarantine.
fn left_behind(sim: &Sim, world: &World, task: &Task) {
    if !matches!(task.target, Target::AccessKey { .. } | Target::Secret { .. }) {
        return;
    }
    for change in &task.record.changes {
        let Change::KeyDeactivated { user, key_id } = change else { continue };
        let here = world.users.values().find(|it| it.id == user.id);
        if here.is_some_and(|it| it.keys.iter().any(|key| key.id == *key_id)) {
            sim.violated(format!("deleted after quarantine, and still there: {key_id}"));
        }
    }
}

fn every_event_has_its_case(sim: &Sim, store: &Store) {
    let expected = must_finish(sim);
    for id in &expected {
        if !store.cases.contains_key(id) {
            sim.violated(format!("lost: the event of case {id}"));
        }
    }
    if store.accepted != expected.len() as u64 {
        sim.violated(format!("{} events opened cases, {} should", store.accepted, expected.len()));
    }
    if store.dead_letters == 0 {
        sim.violated("the malformed event was lost".to_owned());
    }
    for (id, row) in &store.cases {
        let closings = store.closed.get(id).copied().unwrap_or(0);
        let reopenings = store.reopened.get(id).copied().unwrap_or(0);
        let superseded = CaseState::Closed { how: Closing::Superseded } == row.case.state;
        if closings > reopenings + 1 && !superseded {
            sim.violated(format!("case {id} closed {closings} times, reopened {reopenings}"));
        }
    }
}

fn told(store: &Store, task: &Task, event_type: &str) -> bool {
    store.published.iter().any(|message| {
        let typed = message.headers.iter().any(|(name, value)| {
            name == "ce_type" && value.as_deref() == Some(event_type.as_bytes())
        });
        let text =
            || String::from_utf8_lossy(message.value.as_deref().unwrap_or_default()).into_owned();
        message.topic == Topic::Outcome && typed && text().contains(task.id.as_str())
    })
}

/// Whether a higher revision of the task's contract took its place.
fn superseded(store: &Store, task: &Task) -> bool {
    let contract = store.cases.get(&task.case).and_then(|row| row.case.contract.as_ref());
    contract.and_then(|name| store.contracts.get(name)).is_some_and(|state| state.case != task.case)
}

/// What a reinstatement that is done was to put back is back, as far as nobody else holds it.
fn restored(sim: &Sim, world: &World, store: &Store, task: &Task) {
    let held = store.holds(task).other;
    for change in &task.record.changes {
        let still = match change {
            Change::KeyDeactivated { user, key_id } => {
                let here = world.users.values().find(|u| u.id == user.id);
                let key = here.and_then(|u| u.keys.iter().find(|key| key.id == *key_id));
                !held && key.is_some_and(|key| !key.status.read().is_active())
            }
            Change::UserDenied { user, deny } => {
                let here = world.users.values().find(|u| u.id == user.id);
                here.is_some_and(|u| u.denies.read().contains_key(deny))
            }
            Change::RoleDenied { role, deny } => {
                let here = world.roles.values().find(|r| r.id == role.id);
                here.is_some_and(|r| r.denies.read().contains_key(deny))
            }
            Change::SecretDenied { secret, case } => {
                world.secrets.get(&secret.arn).is_some_and(|it| it.denies.contains(case))
            }
            Change::DeletionScheduled { secret } => {
                // But where others hid it once more.
                let hidden = sim.hidden.lock().unwrap().get(&secret.arn).copied();
                let here = world.secrets.get(&secret.arn);
                !held && here.is_some_and(|it| it.deleted_at.is_some() && it.deleted_at != hidden)
            }
            _ => false,
        };
        if still {
            sim.violated(format!("reinstated, and not put back: {change:?}"));
        }
    }
}

/// A zone in `observe` is only looked at.
fn observed_zone_is_untouched(sim: &Sim, world: &World) {
    for user in
        world.users.values().filter(|u| u.tags.get("severance:zone").is_some_and(|z| z == "quiet"))
    {
        let off = user.keys.iter().any(|key| !key.status.read().is_active());
        if off || !user.denies.read().is_empty() {
            sim.violated(format!("{} is in a zone that is only observed", user.name));
        }
    }
}

/// Whom others let into a role by an edit of theirs is in still: nobody's write is undone by ours.
fn edits_stay(sim: &Sim, world: &World) {
    for (role, principal) in &world.added {
        let here = world.roles.values().find(|it| it.id == *role);
        let is_in = here.is_none_or(|it| trust::principals(it.trust.read()).contains(principal));
        if !is_in {
            sim.violated(format!("somebody let {principal} in, and that is lost"));
        }
    }
}

/// A user that was made after a notice named it is found, whatever the size of its case.
fn who_came_late_is_dead(sim: &Sim, world: &World) {
    for user in world.users.values().filter(|user| user.name == "g1") {
        if user.login.is_some() || user.keys.iter().any(|key| key.status.read().is_active()) {
            sim.violated("g1 was named, and nobody looked for it".to_owned());
        }
    }
}
