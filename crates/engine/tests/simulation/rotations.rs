//! Secrets in a run: which there are, what happens to them, and others who change their labels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::{Value as Json, json};
use severance_lifecycle::event::ROTATION_TYPE;
use severance_lifecycle::secret::{SecretRef, Strategy};
use severance_lifecycle::secret_view::{CURRENT, PENDING, PREVIOUS};

use crate::clock::{epoch, pause};
use crate::coverage::Cell;
use crate::issuers::LOGIN;
use crate::provider::accounts;
use crate::scenario::{Publication, event, key, notice, tags, user};
use crate::sim::{Scope, Sim};
use crate::vault::{Secret, Value, Version};
use crate::world::{Time, World};
use crate::{sharing, usable};

const MINUTE: i64 = 60_000;

/// When whoever made a second key for himself takes it away again.
const ROOM_MINUTES: i64 = 25;

/// The secrets that a run may have.
const NAMES: [&str; 8] = ["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"];

/// Those that contract `c-1` has to itself, and the one that it shares.
const THEIRS: [&str; 2] = ["s5", "s7"];
const SHARED: &str = "s4";

/// The secrets that an action must come about on.
fn aimed_at(action: &str) -> &'static [&'static str] {
    match action {
        "make-key" => &["s0", "s1"],
        "try-version" => &["s0", "s2"],
        "prepare-version" | "set-version" => &["s2", "s3", "s4"],
        "promote-version" => &["s0", "s3"],
        "finish-version" => &["s4"],
        "retire-version" => &["s3", "s4"],
        "end-sessions" | "drop-label" => &["s2", "s3"],
        "rotate-secret" => &["s6"],
        "deny-readers" | "allow-readers" => &["s4", "s5"],
        "remove-replicas" | "schedule-deletion" | "restore-secret" => &["s5", "s7"],
        _ => &[],
    }
}

/// Makes the secrets of a run.
pub fn populate(sim: &Sim, world: &mut World, aim: Cell) {
    for name in NAMES {
        if sim.chance.happens(2_500) || aimed_at(aim.0).contains(&name) {
            secret(sim, world, name);
        }
    }
}

/// A secret, with the user whose key it holds where it holds one.
pub fn secret(sim: &Sim, world: &mut World, name: &str) {
    let before = epoch() - TimeDelta::days(60);
    let strategy = match name {
        "s0" | "s1" | "s5" => Strategy::IamAccessKey,
        "s2" | "s7" => Strategy::Database { alternating: false },
        "s3" => Strategy::Database { alternating: true },
        "s4" => Strategy::Webhook { name: "crm".to_owned() },
        _ => Strategy::Managed,
    };
    let number = world.next_serial();
    let (mut logins, mut accepted) = (BTreeMap::new(), BTreeSet::new());
    let value = match strategy {
        Strategy::IamAccessKey => Value::Key(user_of(sim, world, name)),
        Strategy::Database { .. } => {
            logins.insert("app".to_owned(), Some(number));
            Value::Login { user: "app".to_owned(), password: number }
        }
        _ => {
            accepted.insert(number);
            Value::Opaque(number)
        }
    };
    let mut bound = tags(&[("severance:zone", "acme")]);
    if THEIRS.contains(&name) || name == SHARED {
        bound.insert("severance:contract".to_owned(), "c-1".to_owned());
    }
    if name == SHARED {
        bound.insert("severance:shared-with".to_owned(), "c-2".to_owned());
    }
    let replicated = THEIRS.contains(&name) || sim.chance.happens(3_000);
    let lag = TimeDelta::milliseconds(sim.chance.between(0, 40_000));
    let account = accounts()[0].clone();
    let arn = format!("arn:aws:secretsmanager:eu-west-1:{account}:secret:{name}-AbCdEf");
    let first = Version {
        id: format!("EXAMPLE1-90ab-cdef-fedc-{number:012}"),
        stages: [CURRENT.to_owned()].into(),
        created: before,
        listed: before,
        current_at: Some(before),
        value,
    };
    let reference =
        SecretRef { account, region: "eu-west-1".to_owned(), arn, name: name.to_owned() };
    let mut secret = Secret {
        reference,
        strategy,
        tags: bound,
        versions: vec![first],
        replicas: replicated.then(|| ("us-east-1".to_owned(), lag)).into_iter().collect(),
        denies: BTreeSet::new(),
        deleted_at: None,
        current_since: before,
        function: None,
        function_failed: false,
        logins,
        accepted,
        accepting: Vec::new(),
        // Nobody could end the connections of a login that is to have no password.
        has_administrator: name != "s2" || sim.more.happens(5_000),
        sessions: BTreeSet::new(),
        logging_in: Vec::new(),
        meddled: false,
    };
    if sim.chance.happens(2_000) {
        // Somebody's rotation was left half done.
        left_pending(&mut secret, number, before + TimeDelta::days(1));
        sim.note("a stale pending version");
    }
    world.secrets.insert(secret.reference.arn.clone(), secret);
}

/// The user of a secret's key, which is its only one; or one of whom somebody has another.
fn user_of(sim: &Sim, world: &mut World, secret: &str) -> String {
    let before = epoch() - TimeDelta::days(90);
    let name = secret.replace('s', "k");
    user(sim, world, 0, &name, &[("severance:zone", "acme")]);
    let mut keys = vec![key(world, true, before)];
    let held = keys[0].id.clone();
    if secret == "s1" && sim.chance.happens(3_000) {
        let theirs = key(world, false, before);
        sim.scope.lock().unwrap().theirs.insert(theirs.id.clone());
        keys.push(theirs);
        sim.note("a rotation without room for its key");
    }
    let at = (accounts()[0].clone(), name);
    world.users.get_mut(&at).unwrap().keys = keys;
    held
}

/// Somebody stores what is current once more, as pending.
fn left_pending(secret: &mut Secret, number: u64, at: Time) {
    let value = secret.current().value.clone();
    secret.store(&format!("OTHERS01-90ab-cdef-fedc-{number:012}"), value, at, at);
}

/// Chooses what happens to a run's secrets, and notes what that puts in scope.
pub fn publications(sim: &Sim, world: &World, scope: &mut Scope, aim: Cell) -> Vec<Publication> {
    let chance = &sim.chance;
    let named = |names: &[&str]| -> Vec<Json> {
        let there = names.iter().filter(|name| world.secret_named(name).is_some());
        there.map(|name| json!({"secret": name})).collect()
    };
    let mut out = Vec::new();
    let mut rotated: Vec<&str> = vec!["s0", "s1", "s2", "s3", "s4", "s6"];
    rotated.retain(|_| chance.happens(8_000) || !aimed_at(aim.0).is_empty());
    let selectors = named(&rotated);
    scope.grace = TimeDelta::hours(2);
    let short = chance.happens(5_000);
    let request = |id: &str, at: i64, selectors: &[Json]| {
        let mut data = json!({"credentials": selectors, "cause": "requested"});
        if short {
            data["grace"] = "PT30M".into();
        }
        Publication { at_ms: at, record: event(id, ROTATION_TYPE, &data) }
    };
    if short {
        scope.grace = TimeDelta::minutes(30);
    }
    if !selectors.is_empty() {
        out.push(request("rotate", chance.between(200, 20_000), &selectors));
        if chance.happens(2_000) {
            out.push(request("rotate-again", chance.between(200, 200_000), &selectors));
        }
    }
    // In the middle of the rotation, in its grace, or before it.
    let when = || {
        if chance.happens(7_000) {
            chance.between(200, 60_000)
        } else {
            chance.between(60_000, 150 * MINUTE)
        }
    };
    let severity = || if chance.happens(5_000) { "critical" } else { "high" };
    let must = ["end-sessions", "drop-label"].contains(&aim.0);
    let burnt: Vec<&str> =
        ["s0", "s2", "s3", "s4"].into_iter().filter(|_| chance.happens(4_000) || must).collect();
    let selectors = named(&burnt);
    if !selectors.is_empty() {
        out.push(notice("burnt", when(), severity(), &selectors.into()));
    }
    let ends = |name: &str| THEIRS.contains(&name);
    let mut exposed: Vec<&str> = burnt.into_iter().chain(THEIRS).collect();
    if let Some(held) = world.secret_named("s1").filter(|_| chance.happens(5_000))
        && let Value::Key(id) = &held.current().value
    {
        out.push(notice("burnt-key", when(), severity(), &json!([{"access_key_id": id}])));
        exposed.push("s1");
    }
    // The whole user whose key a secret holds, before a rotation of it, amid one or after.
    if let Some(held) = world.secret_named("s0").filter(|_| chance.happens(2_500))
        && let Value::Key(id) = &held.current().value
        && !aimed_at(aim.0).contains(&"s0")
    {
        let owner = &world.key(id).unwrap().0;
        let named = json!([{"user": owner.name, "account": owner.account}]);
        out.push(notice("user-of-s0", when(), severity(), &named));
        scope.users.insert(owner.id.clone());
        scope.compromised.insert(owner.id.clone());
        sim.note("a user revoked whose key a secret holds");
    }
    for secret in world.secrets.values().filter(|it| !sharing::is_others(it)) {
        let (arn, name) = (secret.reference.arn.clone(), secret.reference.name.as_str());
        if ends(name) {
            scope.ending.insert(arn.clone());
        }
        if let (Value::Key(id), true) = (&secret.current().value, exposed.contains(&name)) {
            let (owner, _) = world.key(id).unwrap();
            scope.keys.insert(id.clone(), owner.id.clone());
            if !ends(name) {
                scope.compromised.insert(id.clone());
            }
        }
        scope.secrets.insert(arn);
    }
    out
}

/// Whoever knows a login uses it: connections are opened for as long as that works.
pub fn log_in(sim: &Sim, world: &mut World, now: Time) {
    world.pass(now);
    for secret in world.secrets.values_mut() {
        let works: Vec<u64> = secret.logins.values().copied().flatten().collect();
        for password in works {
            secret.sessions.insert(password);
            let in_at = now
                + TimeDelta::milliseconds(sim.chance.between(0, LOGIN.num_milliseconds() - 1_000));
            secret.logging_in.push((in_at, password));
        }
    }
}

/// Somebody else changes a secret's labels.
pub fn relabel(sim: &Sim) {
    let now = sim.clock.provider();
    let mut world = sim.world.lock().unwrap();
    world.pass(now);
    let number = world.next_serial();
    let ours = world.secrets.values().filter(|it| !sharing::is_others(it));
    let arns: Vec<String> = ours.map(|it| it.reference.arn.clone()).collect();
    if arns.is_empty() {
        return;
    }
    let arn = &arns[usize::try_from(sim.chance.below(arns.len() as u64)).unwrap()];
    let secret = world.secrets.get_mut(arn).unwrap();
    if secret.deleted_at.is_some() {
        return;
    }
    let single = secret.is_single_login();
    match sim.chance.below(3) {
        0 => {
            left_pending(secret, number, now);
            sim.note("somebody's version made pending");
            // For a moment only the pending one is accepted.
            secret.meddled |= single;
        }
        1 => {
            for version in &mut secret.versions {
                version.stages.remove(PENDING);
            }
            sim.note("the pending label taken off by others");
            secret.meddled |= single;
        }
        // What a rotation function made current is taken at its word: that is another's rotation.
        _ if secret.strategy == Strategy::Managed => {}
        _ => {
            // Back to what works, or did: not to what others spoilt.
            let back = secret.labelled(PREVIOUS).filter(|it| it.value != Value::Unfit);
            if let Some(back) = back.map(|it| it.id.clone()) {
                secret.move_label(CURRENT, &back, now);
                secret.meddled = true;
                sim.note("the current label moved back by others");
            }
        }
    }
}

/// Whoever made a second key for himself takes it away again, and there is room.
pub async fn makes_room(sim: Arc<Sim>) {
    let theirs = sim.scope.lock().unwrap().theirs.clone();
    pause(ROOM_MINUTES * MINUTE).await;
    usable::theirs_are_there(&sim);
    sim.scope.lock().unwrap().theirs.retain(|key_id| !theirs.contains(key_id));
    let mut world = sim.world.lock().unwrap();
    for user in world.users.values_mut() {
        user.keys.retain(|key| !theirs.contains(&key.id));
    }
}
