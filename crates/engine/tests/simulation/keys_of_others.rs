//! Keys that others make on the users of secrets while a run goes on. Nobody touches them; but for one that
//! nobody used and that was made in the two minutes after an attempt of ours whose end nobody knows: where
//! there is one such key alone, nothing tells it from what that attempt made.

use std::sync::Arc;

use chrono::TimeDelta;
use severance_lifecycle::action::Action;
use severance_lifecycle::secret_action::SecretAction;

use crate::clock::{epoch, pause};
use crate::scenario::key;
use crate::sim::{Process, Sim};
use crate::usable;
use crate::world::{Key, Time, World};

/// What an attempt made was made by then, or never will be.
const ATTEMPT: TimeDelta = TimeDelta::minutes(2);

/// IAM tells when a key was made in whole seconds.
const ROUNDING: TimeDelta = TimeDelta::seconds(1);

/// What was listed since then, the look before a call may not have seen.
const LOOK: TimeDelta = TimeDelta::seconds(5);

const MINUTE: i64 = 60_000;

/// One attempt of ours to make a key.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The user's id.
    pub user: String,
    pub version: String,
    /// When whoever called had looked.
    pub at: Time,
    process: Process,
    /// It was refused or answered for good, and whoever called has stored that.
    is_known: bool,
}

/// An attempt is about to be made: as long as nothing else is known, its end is not.
pub fn begins(sim: &Sim, process: Process, action: &Action) {
    let Action::Secret { what: SecretAction::MakeKey { user, version, at, .. }, .. } = action
    else {
        return;
    };
    let attempt = Attempt {
        user: user.id.clone(),
        version: version.clone(),
        at: *at,
        process,
        is_known: false,
    };
    sim.attempts.lock().unwrap().push(attempt);
}

/// A process stored what became of its call: surely nothing, or all that was asked for.
pub fn ends(sim: &Sim, process: Process, version: &str) {
    let mut attempts = sim.attempts.lock().unwrap();
    let own = |it: &&mut Attempt| it.process == process && it.version == version;
    if let Some(attempt) = attempts.iter_mut().rev().find(own) {
        attempt.is_known = true;
    }
}

/// Whether somebody else's key cannot be told from what an attempt of ours left: so much is documented, and
/// nothing beyond.
pub fn is_taken_for_ours(sim: &Sim, world: &World, key_id: &str, now: Time) -> bool {
    let Some((user, it)) = world.key(key_id) else { return false };
    let attempts = sim.attempts.lock().unwrap();
    let unsure: Vec<&Attempt> = attempts
        .iter()
        .filter(|one| one.user == user.id)
        // Of several for one version, nobody can say which one's key that holds.
        .filter(|one| attempts.iter().any(|it| it.version == one.version && !it.is_known))
        .collect();
    let fits = |key: &&Key| {
        let is_within =
            |one: &&Attempt| (one.at - ROUNDING..=one.at + ATTEMPT).contains(&key.created);
        !key.used && world.holders(&key.id).next().is_none() && unsure.iter().any(is_within)
    };
    let seen = |key: &&Key| key.listed <= now - LOOK || key.id == key_id;
    fits(&it) && user.keys.iter().filter(seen).filter(fits).count() == 1
}

/// Somebody else's key is about to be touched.
pub fn touched(sim: &Sim, action: &Action) {
    let (Action::DeactivateKey { user, key_id } | Action::DeleteKey { user, key_id }) = action
    else {
        return;
    };
    let theirs = sim.scope.lock().unwrap().theirs.contains(key_id);
    // Who is named whole ends with whatever is on it.
    if !theirs || sim.scope.lock().unwrap().users.contains(&user.id) {
        return;
    }
    let world = sim.world.lock().unwrap();
    if is_taken_for_ours(sim, &world, key_id, sim.clock.provider()) {
        sim.scope.lock().unwrap().theirs.remove(key_id);
        sim.scope.lock().unwrap().taken_for_ours.insert(key_id.clone());
        sim.note("another's unused key taken for what was lost");
    } else {
        sim.violated(format!("{key_id} is somebody else's: {action}"));
    }
}

/// A person, or another tool, makes a key for a secret's user, uses it or not, and takes it away again.
pub async fn make(sim: Arc<Sim>) {
    if !sim.makes_keys {
        return;
    }
    let name = if sim.more.happens(7_000) {
        let Some(attempt) = first_attempt(&sim).await else { return };
        pause(sim.more.between(0, 160_000)).await;
        attempt.user
    } else {
        pause(sim.more.between(0, 60 * MINUTE)).await;
        let world = sim.world.lock().unwrap();
        let ours = world.users.values().filter(|user| user.name.starts_with('k'));
        let ours: Vec<String> = ours.map(|user| user.id.clone()).collect();
        if ours.is_empty() {
            return;
        }
        ours[usize::try_from(sim.more.below(ours.len() as u64)).unwrap()].clone()
    };
    // AWS gives a user two: whoever wants a third has to wait as well.
    for _ in 0..100 {
        if let Some(made) = made(&sim, &name) {
            return kept(&sim, &made).await;
        }
        pause(20_000).await;
    }
}

async fn first_attempt(sim: &Sim) -> Option<Attempt> {
    while sim.clock.provider() < epoch() + TimeDelta::minutes(60) {
        let first = sim.attempts.lock().unwrap().first().cloned();
        if first.is_some() {
            return first;
        }
        pause(500).await;
    }
    None
}

fn made(sim: &Sim, user: &str) -> Option<String> {
    let now = sim.clock.provider();
    let mut world = sim.world.lock().unwrap();
    let (used, listed) = (sim.more.happens(5_000), sim.more.between(0, 3_000));
    let is_full = |world: &World| {
        world.users.values().find(|it| it.id == user).is_none_or(|it| it.keys.len() >= 2)
    };
    if is_full(&world) {
        return None;
    }
    let listed = now + TimeDelta::milliseconds(listed);
    let theirs = Key { listed, used, ..key(&mut world, false, now) };
    let made = theirs.id.clone();
    sim.trace(&format!("somebody makes {made}, {}", if used { "used" } else { "not used" }));
    let here = world.users.values_mut().find(|it| it.id == user)?;
    here.keys.push(theirs);
    let lock = here.lock();
    world.touch(&lock, now);
    sim.scope.lock().unwrap().theirs.insert(made.clone());
    sim.note("somebody's key made beside a secret's");
    Some(made)
}

/// It is used some time later, and goes in the end.
async fn kept(sim: &Sim, key_id: &str) {
    pause(sim.more.between(5 * MINUTE, 15 * MINUTE)).await;
    if sim.more.happens(5_000) {
        let mut world = sim.world.lock().unwrap();
        let mut keys = world.users.values_mut().flat_map(|user| &mut user.keys);
        if let Some(key) = keys.find(|key| key.id == key_id) {
            key.used = true;
        }
    }
    pause(sim.more.between(10 * MINUTE, 60 * MINUTE)).await;
    usable::theirs_are_there(sim);
    sim.scope.lock().unwrap().theirs.remove(key_id);
    let mut world = sim.world.lock().unwrap();
    for user in world.users.values_mut() {
        user.keys.retain(|key| key.id != key_id);
    }
}
