//! What happens in a run: identities and events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::{Value, json};
use severance_lifecycle::action::{DenyPlace, SideCredential};
use severance_lifecycle::event::{COMPROMISE_NOTICE_TYPE, CONTRACT_END_TYPE};
use severance_lifecycle::ids::{CaseId, EventKey, ZoneName};
use severance_lifecycle::observe::KeyStatus;
use severance_lifecycle::policy::RoleSessions;
use severance_lifecycle::task::Mode;
use severance_lifecycle::trust::Partner;
use severance_lifecycle::zone::{ZoneSettings, Zones};

use crate::clock::{epoch, pause};
use crate::coverage::Cell;
use crate::provider::accounts;
use crate::sim::Sim;
use crate::world::{Key, Role, Side, Spread, Time, User, World, trusting, trusting_service};
use crate::{rotations, sharing};

pub const PARTNER: &str = "arn:aws:iam::999900001111:user/partner-ext";
pub const QUARANTINE_DAYS: i64 = 2;

/// `acme` enforces and `strict` also takes what an intruder left; `cut` says what happens to sessions of
/// roles that others share.
pub fn zones(cut: bool) -> Zones {
    let enforced = ZoneSettings {
        mode: Mode::Enforce,
        quarantine: TimeDelta::days(QUARANTINE_DAYS),
        partner: Partner { accounts: BTreeSet::new(), principals: [PARTNER.to_owned()].into() },
        shared_roles: cut.then_some(RoleSessions::Cut),
        ..ZoneSettings::default()
    };
    let strict = ZoneSettings { take_intruders: true, ..enforced.clone() };
    let named = [(ZoneName::from("acme"), enforced), (ZoneName::from("strict"), strict)].into();
    Zones { default: ZoneSettings::default(), named }
}

/// One event as it is published: when (ms), and its record.
pub struct Publication {
    pub at_ms: i64,
    pub record: Vec<u8>,
}

pub fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

pub fn key(world: &mut World, probeable: bool, created: Time) -> Key {
    let id = format!("AKIA{:016}", world.next_serial());
    let status = Spread::new(KeyStatus::Active);
    Key { id, status, created, probeable, listed: created, used: true, version: None }
}

pub fn user(
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

pub fn role(world: &mut World, account: usize, name: &str, bound: &[(&str, &str)], trust: Value) {
    let id = format!("AROA{:016}", world.next_serial());
    let role = Role {
        account: accounts()[account].clone(),
        name: name.to_owned(),
        id,
        tags: tags(bound),
        trust: Spread::new(trust),
        denies: Spread::new(BTreeMap::new()),
        max_session: 3_600,
    };
    world.roles.insert((role.account.clone(), role.name.clone()), role);
}

pub fn arn(account: usize, kind: &str, name: &str) -> String {
    format!("arn:aws:iam::{}:{kind}/{name}", accounts()[account])
}

/// Makes the world of a run.
pub fn populate(sim: &Sim, aim: Cell) {
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
    person_of_three(&mut world, "g0");
    user(sim, &mut world, 0, "u6", &[("severance:zone", "strict")]);
    roles(&mut world);
    rotations::populate(sim, &mut world, aim);
    sharing::populate(sim, &mut world);
    *sim.world.lock().unwrap() = world;
}

/// Roles that somebody named can reach, that trust the partner, or that are named themselves; and `r9`,
/// which is none of these.
fn roles(world: &mut World) {
    let acme = [("severance:zone", "acme")];
    let bound = [("severance:zone", "acme"), ("severance:contract", "c-1")];
    let user = |account, name| arn(account, "user", name);
    let partner = PARTNER.to_owned();
    role(world, 0, "r0", &acme, trusting(&[user(0, "u0"), user(0, "u10"), user(0, "k0")]));
    role(world, 0, "r1", &acme, trusting(&[arn(0, "role", "r0")]));
    role(world, 1, "r2", &bound, trusting(&[partner.clone(), user(1, "ours")]));
    role(world, 1, "r3", &bound, trusting(std::slice::from_ref(&partner)));
    role(world, 1, "r4", &acme, trusting(&[user(1, "u2")]));
    let both = [user(0, "u0"), user(0, "u5")];
    role(world, 0, "r5", &acme, trusting_service(&both, "ec2.amazonaws.com"));
    role(world, 1, "r6", &bound, trusting_service(&[partner], "lambda.amazonaws.com"));
    role(world, 0, "r7", &acme, trusting_service(&[user(0, "ours")], "ec2.amazonaws.com"));
    role(world, 0, "r9", &acme, trusting(&[user(0, "u7")]));
}

/// A user whose credentials are three: two keys and a password.
pub fn person_of_three(world: &mut World, name: &str) -> String {
    let before = epoch() - TimeDelta::days(90);
    let id = format!("AIDA{:016}", world.next_serial());
    let user = User {
        account: accounts()[0].clone(),
        name: name.to_owned(),
        id: id.clone(),
        created: before,
        tags: tags(&[("severance:zone", "acme")]),
        keys: (0..2).map(|_| key(world, false, before)).collect(),
        login: Some(before),
        sides: Vec::new(),
        mfa: BTreeSet::new(),
        denies: Spread::new(BTreeMap::new()),
        full: BTreeSet::new(),
    };
    world.users.insert((user.account.clone(), user.name.clone()), user);
    id
}

fn key_of(sim: &Sim, account: usize, name: &str, nth: usize) -> (String, String) {
    let world = sim.world.lock().unwrap();
    let user = &world.users[&(accounts()[account].clone(), name.to_owned())];
    (user.keys[nth].id.clone(), user.id.clone())
}

pub fn event(id: &str, kind: &str, data: &Value) -> Vec<u8> {
    json!({"specversion": "1.0", "type": kind, "source": "/sim", "id": id, "data": data})
        .to_string()
        .into_bytes()
}

fn at(ms: i64) -> String {
    (epoch() + TimeDelta::milliseconds(ms)).to_rfc3339()
}

pub fn notice(id: &str, ms: i64, severity: &str, credentials: &Value) -> Publication {
    let data = json!({"credentials": credentials, "discovered_at": at(ms - 60_000),
        "severity": severity, "reporter": "sim", "reason": "found"});
    Publication { at_ms: ms, record: event(id, COMPROMISE_NOTICE_TYPE, &data) }
}

pub fn contract(id: &str, ms: i64, change: &str, revision: u64, effective_ms: i64) -> Publication {
    let data = json!({"contract": "c-1", "zone": "acme", "effective_at": at(effective_ms),
        "reason": "over", "change": change, "revision": revision});
    Publication { at_ms: ms, record: event(id, CONTRACT_END_TYPE, &data) }
}

/// Chooses a run's events, and notes what they put in scope.
pub fn publications(sim: &Sim, undo: bool, aim: Cell) -> Vec<Publication> {
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
    out.push(notice("key-of-u6", soon(), "critical", &name_key(0, "u6", 0)));
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
    let role = json!([{"role": "r7", "account": "111111111111"}]);
    out.push(notice("role-r7", soon(), "critical", &role));
    // The second of them is made later.
    out.push(notice("grows", soon(), "high", &json!([{"user": "g0"}, {"user": "g1"}])));
    let world = sim.world.lock().unwrap();
    let id = |account: usize, name: &str| {
        world.users[&(accounts()[account].clone(), name.to_owned())].id.clone()
    };
    scope.users.extend([id(0, "u1"), id(0, "g0")]);
    scope.compromised.extend([id(0, "u1"), id(0, "g0")]);
    scope.taken.insert(id(0, "u6"));
    scope.users.extend([id(1, "u2"), id(1, "u3")]);
    let named = world.roles.values().filter(|role| role.name != "r9");
    scope.roles.extend(named.map(|role| role.id.clone()));
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
        // What a notice covers is not given back by an undoing that came before the notice.
        let earliest = if covered { 110_000 } else { 0 };
        let when = chance.between(60_000, 1_500_000).max(earliest);
        out.push(contract("reinstated", when, "reinstated", 4, when));
        scope.reinstated.extend([id(1, "u2"), id(1, "u3")]);
        let bound =
            world.roles.values().filter(|role| ["r2", "r3", "r4", "r6"].contains(&&*role.name));
        scope.reinstated.extend(bound.map(|role| role.id.clone()));
        scope
            .reinstated
            .extend(world.users.values().filter(|it| it.name == "k5").map(|it| it.id.clone()));
    }
    out.extend(rotations::publications(sim, &world, &mut scope, aim));
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
