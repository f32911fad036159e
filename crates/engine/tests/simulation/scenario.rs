//! What happens in a run: identities, events, and others who change things meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::{Value, json};
use severance_lifecycle::action::{DenyPlace, SideCredential};
use severance_lifecycle::event::{COMPROMISE_NOTICE_TYPE, CONTRACT_END_TYPE};
use severance_lifecycle::ids::{CaseId, EventKey, ZoneName};
use severance_lifecycle::observe::KeyStatus;
use severance_lifecycle::task::Mode;
use severance_lifecycle::trust::Partner;
use severance_lifecycle::zone::{ZoneSettings, Zones};

use crate::clock::{epoch, pause};
use crate::provider::accounts;
use crate::sim::Sim;
use crate::world::{Key, Role, Side, Spread, Time, User, World, trusting};

pub const PARTNER: &str = "arn:aws:iam::999900001111:user/partner-ext";
pub const QUARANTINE_DAYS: i64 = 2;
/// Until then others keep changing things.
const OTHERS_MINUTES: i64 = 30;

pub fn zones() -> Zones {
    let enforced = ZoneSettings {
        mode: Mode::Enforce,
        quarantine: TimeDelta::days(QUARANTINE_DAYS),
        partner: Partner { accounts: BTreeSet::new(), principals: [PARTNER.to_owned()].into() },
        ..ZoneSettings::default()
    };
    let named = [(ZoneName::from("acme"), enforced)].into();
    Zones { default: ZoneSettings::default(), named }
}

/// One event as it is published: when (ms), and its record.
pub struct Publication {
    pub at_ms: i64,
    pub record: Vec<u8>,
}

fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn key(world: &mut World, probeable: bool, created: Time) -> Key {
    let id = format!("AKIA{:016}", world.next_serial());
    Key { id, status: Spread::new(KeyStatus::Active), created, probeable }
}

fn user(
    sim: &Sim,
    world: &mut World,
    account: usize,
    name: &str,
    bound: &[(&str, &str)],
) -> String {
    let before = epoch() - TimeDelta::days(90);
    let keys = (0..2).map(|_| key(world, sim.chance.happens(6_000), before)).collect();
    let id = format!("AIDA{:016}", world.next_serial());
    let sides = [
        SideCredential::SshKey,
        SideCredential::SigningCertificate,
        SideCredential::ServiceCredential,
    ];
    let user = User {
        account: accounts()[account].clone(),
        name: name.to_owned(),
        id: id.clone(),
        created: before,
        tags: tags(bound),
        keys,
        login: sim.chance.happens(8_000).then_some(before),
        sides: sides
            .into_iter()
            .filter(|_| sim.chance.happens(7_000))
            .map(|kind| Side { kind, id: format!("{name}-{kind:?}"), active: true })
            .collect(),
        mfa: (0..sim.chance.below(3)).map(|n| format!("mfa/{name}/{n}")).collect(),
        denies: Spread::new(BTreeMap::new()),
        full: BTreeSet::new(),
    };
    world.users.insert((user.account.clone(), user.name.clone()), user);
    id
}

fn role(world: &mut World, account: usize, name: &str, bound: &[(&str, &str)], trusts: &[String]) {
    let id = format!("AROA{:016}", world.next_serial());
    let role = Role {
        account: accounts()[account].clone(),
        name: name.to_owned(),
        id,
        tags: tags(bound),
        trust: Spread::new(trusting(trusts)),
        denies: Spread::new(BTreeMap::new()),
        max_session: 3_600,
    };
    world.roles.insert((role.account.clone(), role.name.clone()), role);
}

fn arn(account: usize, kind: &str, name: &str) -> String {
    format!("arn:aws:iam::{}:{kind}/{name}", accounts()[account])
}

/// Makes the world of a run.
pub fn populate(sim: &Sim) {
    let mut world = World::default();
    let acme = [("severance:zone", "acme")];
    let bound = [("severance:zone", "acme"), ("severance:contract", "c-1")];
    for name in ["u0", "u1", "u10", "u5", "u7"] {
        user(sim, &mut world, 0, name, &acme);
    }
    for name in ["u2", "u3"] {
        user(sim, &mut world, 1, name, &bound);
    }
    user(sim, &mut world, 0, "u4", &[("severance:zone", "quiet")]);
    let full = sim.chance.below(3);
    let u1 = world.users.get_mut(&(accounts()[0].clone(), "u1".to_owned())).unwrap();
    u1.full.extend((full > 0).then_some(DenyPlace::Inline));
    u1.full.extend((full > 1).then_some(DenyPlace::Managed));
    role(&mut world, 0, "r0", &acme, &[arn(0, "user", "u0"), arn(0, "user", "u10")]);
    role(&mut world, 0, "r1", &acme, &[arn(0, "role", "r0")]);
    role(&mut world, 1, "r2", &bound, &[PARTNER.to_owned(), arn(1, "user", "ours")]);
    role(&mut world, 1, "r3", &bound, &[PARTNER.to_owned()]);
    role(&mut world, 1, "r4", &acme, &[arn(1, "user", "u2")]);
    *sim.world.lock().unwrap() = world;
}

fn key_of(sim: &Sim, account: usize, name: &str, nth: usize) -> (String, String) {
    let world = sim.world.lock().unwrap();
    let user = &world.users[&(accounts()[account].clone(), name.to_owned())];
    (user.keys[nth].id.clone(), user.id.clone())
}

fn event(id: &str, kind: &str, data: &Value) -> Vec<u8> {
    json!({"specversion": "1.0", "type": kind, "source": "/sim", "id": id, "data": data})
        .to_string()
        .into_bytes()
}

fn at(ms: i64) -> String {
    (epoch() + TimeDelta::milliseconds(ms)).to_rfc3339()
}

fn notice(id: &str, ms: i64, severity: &str, credentials: &Value) -> Publication {
    let data = json!({"credentials": credentials, "discovered_at": at(ms - 60_000),
        "severity": severity, "reporter": "sim", "reason": "found"});
    Publication { at_ms: ms, record: event(id, COMPROMISE_NOTICE_TYPE, &data) }
}

fn contract(id: &str, ms: i64, change: &str, revision: u64, effective_ms: i64) -> Publication {
    let data = json!({"contract": "c-1", "zone": "acme", "effective_at": at(effective_ms),
        "reason": "over", "change": change, "revision": revision});
    Publication { at_ms: ms, record: event(id, CONTRACT_END_TYPE, &data) }
}

/// Chooses a run's events, and notes what they put in scope.
pub fn publications(sim: &Sim, undo: bool) -> Vec<Publication> {
    let chance = &sim.chance;
    let mut out = Vec::new();
    let mut scope = sim.scope.lock().unwrap();
    let soon = || chance.between(200, 20_000);
    let mut name_key = |account: usize, name: &str, nth: usize| {
        let (key, user) = key_of(sim, account, name, nth);
        scope.keys.insert(key.clone(), user);
        scope.compromised.insert(key.clone());
        json!([{"access_key_id": key}])
    };
    out.push(notice("key-of-u0", soon(), "critical", &name_key(0, "u0", 0)));
    out.push(notice("key-of-u5", soon(), "low", &name_key(0, "u5", 1)));
    out.push(notice("key-of-u4", soon(), "high", &name_key(0, "u4", 0)));
    let covered = chance.happens(2_500);
    if covered {
        out.push(notice("key-of-u2", soon() * 4, "high", &name_key(1, "u2", 0)));
    }
    let nobody = json!([{"access_key_id": "AKIA9999999999999999"}, {"access_key_id": "ASIA1234123412341234"}]);
    out.push(notice("nobody", soon(), "high", &nobody));
    out.push(notice(
        "user-u1",
        soon(),
        "high",
        &json!([{"user": "u1", "account": "111111111111"}]),
    ));
    let world = sim.world.lock().unwrap();
    let id = |account: usize, name: &str| {
        world.users[&(accounts()[account].clone(), name.to_owned())].id.clone()
    };
    scope.users.insert(id(0, "u1"));
    scope.compromised.insert(id(0, "u1"));
    scope.users.extend([id(1, "u2"), id(1, "u3")]);
    scope.roles.extend(world.roles.values().map(|role| role.id.clone()));
    let effective = chance.between(5_000, 60_000);
    out.push(contract("end", soon(), "ended", 2, effective));
    scope.contract_cases.insert(case_of("end"));
    if chance.happens(2_000) {
        // A lower revision that comes late.
        out.push(contract("stale", soon() + 30_000, "ended", 1, effective));
    }
    if chance.happens(2_000) {
        out.push(contract("extended", soon(), "extended", 3, effective + 120_000));
        scope.contract_cases.insert(case_of("extended"));
    }
    if undo {
        let when = chance.between(60_000, 1_500_000);
        out.push(contract("reinstated", when, "reinstated", 4, when));
        scope.reinstated.extend([id(1, "u2"), id(1, "u3")]);
        scope.reinstated.extend(world.roles.values().map(|role| role.id.clone()));
    }
    drop(world);
    for n in 0..out.len() {
        if chance.happens(4_000) {
            let again = out[n].at_ms + chance.between(0, 100_000);
            out.push(Publication { at_ms: again, record: out[n].record.clone() });
        }
    }
    let conflict = json!({"credentials": [{"user": "u10"}], "discovered_at": at(0), "severity": "low",
        "reporter": "sim", "reason": "other content"});
    out.push(Publication {
        at_ms: 50_000,
        record: event("nobody", COMPROMISE_NOTICE_TYPE, &conflict),
    });
    out.push(Publication { at_ms: soon(), record: b"{\"specversion\":\"1.0\"".to_vec() });
    out.sort_by_key(|publication| publication.at_ms);
    out
}

pub fn case_of(id: &str) -> CaseId {
    CaseId::of(&EventKey { source: "/sim".into(), id: id.into() })
}

/// The cases that the published events must have opened.
pub fn must_finish(sim: &Sim) -> BTreeSet<CaseId> {
    let topic = sim.topic.lock().unwrap();
    let ids = topic.records.iter().filter_map(|record| {
        let event: Value = serde_json::from_slice(record).ok()?;
        Some(case_of(event["id"].as_str()?))
    });
    ids.collect()
}

/// Publishes, in virtual time.
pub async fn publish(sim: Arc<Sim>, publications: Vec<Publication>) {
    let mut now = 0;
    for publication in publications {
        pause(publication.at_ms - now).await;
        now = publication.at_ms;
        sim.topic.lock().unwrap().records.push(publication.record);
        sim.arrived.notify_one();
    }
}

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
        }
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
        match sim.chance.below(6) {
            0 => terraform_denies(&sim),
            1 => terraform_keys(&sim),
            2 => intruder(&sim),
            3 => remake(&sim),
            4 => terraform_trust(&sim),
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
        .filter(|((_, name), _)| name != "u4")
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
    let document = trusting(&[PARTNER.to_owned(), arn(1, "user", "ours")]);
    if *role.trust.read() != document {
        role.trust.set(document, now, TimeDelta::zero());
        let lock = role.lock();
        world.touch(&lock, now);
        sim.note("trust put back by others");
    }
}

fn intruder(sim: &Sim) {
    let now = sim.clock.provider();
    let mut world = sim.world.lock().unwrap();
    let at =
        (accounts()[0].clone(), if sim.chance.happens(5_000) { "u0" } else { "u1" }.to_owned());
    let planted = key(&mut world, false, now);
    let user = world.users.get_mut(&at).unwrap();
    user.keys.push(planted);
    user.login = Some(now);
    let lock = user.lock();
    world.touch(&lock, now);
    sim.note("an intruder's key and password");
}

/// Deleted and made again under its name and tags: another user, which no event names, but for those
/// whose names are still to be looked up.
fn remake(sim: &Sim) {
    let now = sim.clock.provider();
    let mut world = sim.world.lock().unwrap();
    let at = some_user(sim, &world);
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
