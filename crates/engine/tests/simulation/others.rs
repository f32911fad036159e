//! Others who change things while a run goes on: whoever holds what is compromised, Terraform, an attacker
//! who leaves something behind, people.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::TimeDelta;
use severance_engine::ports::Clock;
use severance_lifecycle::case::CaseState;
use severance_lifecycle::ids::CaseId;
use severance_lifecycle::observe::KeyStatus;
use severance_lifecycle::trust;

use crate::clock::{epoch, pause};
use crate::provider::accounts;
use crate::scenario::{PARTNER, key, person_of_three};
use crate::sim::Sim;
use crate::world::{Spread, User, World, trusting};
use crate::{rotations, usable};

/// Until then others keep changing things.
const OTHERS_MINUTES: i64 = 30;

/// Whoever holds what is compromised uses it: sessions are minted for as long as that works.
pub async fn attack(sim: Arc<Sim>) {
    let end = epoch() + TimeDelta::minutes(OTHERS_MINUTES);
    let mut round = 0;
    while sim.clock.provider() < end {
        let keys: Vec<String> = sim.scope.lock().unwrap().keys.keys().cloned().collect();
        let now = sim.clock.provider();
        {
            let mut world = sim.world.lock().unwrap();
            for key in &keys {
                world.mint_from_key(key, now);
            }
            let users = ["u1", "u2", "u3"].iter().flat_map(|name| {
                world.users.values().filter(|u| u.name == *name).flat_map(|u| &u.keys)
            });
            let more: Vec<String> = users.map(|key| key.id.clone()).collect();
            for key in &more {
                world.mint_from_key(key, now);
            }
            world.assume(PARTNER, PARTNER, now);
            rotations::log_in(&sim, &mut world, now);
        }
        usable::check(&sim);
        round += 1;
        pause(if round < 150 { 700 } else { 20_000 }).await;
    }
}

/// Sets the worker's clock while much is in hand, so that leases end under it.
pub async fn clock_setter(sim: Arc<Sim>) {
    if sim.chance.happens(3_000) {
        pause(sim.chance.between(1_000, 90_000)).await;
        sim.set_clock(TimeDelta::hours(1));
    }
}

/// Others change things: Terraform puts back what it knows, an attacker leaves something behind,
/// somebody makes a user again, and the worker's clock is set.
pub async fn others(sim: Arc<Sim>) {
    let turns = sim.chance.below(4);
    let mut whens: Vec<i64> =
        (0..turns).map(|_| sim.chance.between(1_000, OTHERS_MINUTES * 60_000)).collect();
    whens.sort_unstable();
    let mut passed = 0;
    for when in whens {
        pause(when - passed).await;
        passed = when;
        match sim.chance.below(9) {
            0 => terraform_denies(&sim),
            1 => terraform_keys(&sim),
            2 => intruder(&sim),
            3 => remake(&sim),
            4 => terraform_trust(&sim),
            5..=7 => rotations::relabel(&sim),
            _ => {
                let hour = TimeDelta::hours(1);
                sim.set_clock(if sim.chance.happens(5_000) { hour } else { -hour / 6 });
            }
        }
    }
}

fn some_user(sim: &Sim, world: &World) -> (severance_lifecycle::ids::AccountId, String) {
    let names: Vec<_> = world
        .users
        .iter()
        .filter(|((_, name), _)| name != "u4" && !name.starts_with('g'))
        .map(|(at, _)| at.clone())
        .collect();
    names[usize::try_from(sim.chance.below(names.len() as u64)).unwrap()].clone()
}

fn terraform_denies(sim: &Sim) {
    let now = sim.clock.provider();
    let mut world = sim.world.lock().unwrap();
    let at = some_user(sim, &world);
    let user = world.users.get_mut(&at).unwrap();
    if !user.denies.read().is_empty() {
        user.denies.set(BTreeMap::new(), now, TimeDelta::zero());
        let lock = user.lock();
        world.touch(&lock, now);
        sim.note("denies taken off by others");
    }
}

fn terraform_keys(sim: &Sim) {
    let now = sim.clock.provider();
    let mut world = sim.world.lock().unwrap();
    let at = some_user(sim, &world);
    let user = world.users.get_mut(&at).unwrap();
    let lock = user.lock();
    let mut any = false;
    for key in user.keys.iter_mut().filter(|key| !key.status.read().is_active()) {
        key.status.set(KeyStatus::Active, now, TimeDelta::zero());
        any = true;
    }
    if any {
        world.touch(&lock, now);
        sim.note("keys switched on by others");
    }
}

fn terraform_trust(sim: &Sim) {
    let now = sim.clock.provider();
    let mut world = sim.world.lock().unwrap();
    let role = world.roles.values_mut().find(|role| role.name == "r2").unwrap();
    let mut principals = trust::principals(role.trust.read());
    if !principals.iter().any(|principal| principal == PARTNER) {
        principals.push(PARTNER.to_owned());
        role.trust.set(trusting(&principals), now, TimeDelta::zero());
        let lock = role.lock();
        world.touch(&lock, now);
        sim.note("trust put back by others");
    }
}

fn intruder(sim: &Sim) {
    let now = sim.clock.provider();
    let mut world = sim.world.lock().unwrap();
    let name = ["u0", "u1", "u6"][usize::try_from(sim.chance.below(3)).unwrap()];
    let planted = key(&mut world, false, now);
    let id = planted.id.clone();
    let user = world.users.get_mut(&(accounts()[0].clone(), name.to_owned())).unwrap();
    user.keys.push(planted);
    user.login = Some(now);
    let (lock, user) = (user.lock(), user.id.clone());
    world.touch(&lock, now);
    let scope = &mut *sim.scope.lock().unwrap();
    if scope.taken.contains(&user) {
        // Whoever planted it uses it too.
        scope.keys.insert(id, user);
    }
    sim.note("an intruder's key and password");
}

/// Deleted and made again under its name and tags: another user, which no event names, but for those
/// whose names are still to be looked up.
fn remake(sim: &Sim) {
    let now = sim.clock.provider();
    let mut world = sim.world.lock().unwrap();
    let at = some_user(sim, &world);
    // A secret of a user that is made again holds nobody's key.
    if at.1.starts_with('k') {
        return;
    }
    let old = world.users.remove(&at).unwrap();
    let old_id = old.id.clone();
    let made = User {
        id: format!("AIDA{:016}", world.next_serial()),
        created: now,
        keys: vec![key(&mut world, false, now)],
        login: Some(now),
        sides: Vec::new(),
        mfa: BTreeSet::new(),
        denies: Spread::new(BTreeMap::new()),
        full: BTreeSet::new(),
        ..old
    };
    let looks = sim.store.lock().unwrap().may_look_up(&old_id);
    let scope = &mut *sim.scope.lock().unwrap();
    for ids in [&mut scope.users, &mut scope.compromised, &mut scope.reinstated] {
        if looks && ids.contains(&old_id) {
            ids.insert(made.id.clone());
        }
    }
    let lock = made.lock();
    world.users.insert(at, made);
    world.touch(&lock, now);
    sim.note("a user made again");
}

/// A person who looks at what is held, now and then, and lets it go.
pub async fn person(sim: Arc<Sim>) {
    loop {
        pause(sim.chance.between(10_000, 90_000)).await;
        let held = |store: &crate::store::Store| -> Vec<CaseId> {
            let held = |state: &CaseState| matches!(state, CaseState::Held { .. });
            let rows = store.cases.values().filter(|row| held(&row.case.state));
            rows.map(|row| row.case.id.clone()).collect()
        };
        let held = held(&sim.store.lock().unwrap());
        for case in held.iter().take(1) {
            sim.store.lock().unwrap().release(case, sim.clock.now());
            sim.released.notify_waiters();
            sim.note("a held case released");
        }
    }
}

/// A user is made whom a notice named before.
pub async fn late_comer(sim: Arc<Sim>) {
    pause(sim.chance.between(30_000, 400_000)).await;
    let id = person_of_three(&mut sim.world.lock().unwrap(), "g1");
    let scope = &mut *sim.scope.lock().unwrap();
    scope.users.insert(id.clone());
    scope.compromised.insert(id);
}

/// Somebody writes a trust policy between our write and our second look, from what he read before ours:
/// he adds whom he wants in, and takes back what we did.
pub fn writes_over(sim: &Sim, world: &mut World, role: &str, before: &serde_json::Value) {
    let now = sim.clock.provider();
    let added = format!("arn:aws:iam::222222222222:role/added-{}", world.next_serial());
    let Some(role) = world.roles.values_mut().find(|it| it.id == role) else { return };
    let mut document = before.clone();
    let principals = &before["Statement"][0]["Principal"]["AWS"];
    let mut principals: Vec<serde_json::Value> =
        principals.as_array().cloned().unwrap_or_else(|| vec![principals.clone()]);
    principals.push(added.clone().into());
    document["Statement"][0]["Principal"]["AWS"] = principals.into();
    role.trust.set(document, now, TimeDelta::zero());
    let (lock, id) = (role.lock(), role.id.clone());
    world.touch(&lock, now);
    world.added.push((id, added));
    sim.note("trust written over by others");
}
