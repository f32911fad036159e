//! Turns of their own, in a world in which nothing fails by chance: a run comes by them, and says nothing of
//! each.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use chrono::TimeDelta;
use serde_json::json;
use severance_engine::ports::{Clock, Topic};
use severance_engine::{Engine, EngineConfig};
use severance_lifecycle::case::CaseState;
use severance_lifecycle::event::ROTATION_TYPE;
use severance_lifecycle::finding::Finding;
use severance_lifecycle::task::{BlockReason, Task, TaskState};
use severance_lifecycle::zone::Zones;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::{epoch, pause};
use crate::provider::accounts;
use crate::rotations;
use crate::run::{config, consume, process_of};
use crate::scenario::{
    Publication, arn, case_of, contract, event, key, notice, person_of_three, role, tags, user,
    zones,
};
use crate::sim::{Process, Sim};
use crate::vault::Value;

const MINUTE: i64 = 60_000;
const ACME: [(&str, &str); 1] = [("severance:zone", "acme")];

/// A worker; dropped, it is killed.
pub struct Worker {
    pub engine: Engine,
    hand: JoinHandle<()>,
}

impl Worker {
    pub fn start(sim: &Arc<Sim>, process: Process, config: EngineConfig) -> Self {
        let (engine, inbox) = process_of(sim, process, config);
        let (sim, running) = (Arc::clone(sim), engine.clone());
        let hand = tokio::spawn(async move {
            tokio::select! {
                _ = running.run(CancellationToken::new()) => {}
                () = consume(&sim, &inbox, process) => {}
            }
        });
        Self { engine, hand }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.hand.abort();
    }
}

pub fn publish(sim: &Sim, publication: Publication) {
    sim.topic.lock().unwrap().records.push(publication.record);
    sim.arrived.notify_one();
}

/// Makes a user whose first key is in scope, and answers that key's id.
pub fn user_with_key(sim: &Sim, name: &str) -> String {
    let mut world = sim.world.lock().unwrap();
    let id = user(sim, &mut world, 0, name, &ACME);
    let key = world.users[&(accounts()[0].clone(), name.to_owned())].keys[0].id.clone();
    sim.scope.lock().unwrap().keys.insert(key.clone(), id);
    key
}

fn person(sim: &Sim, name: &str) {
    let id = person_of_three(&mut sim.world.lock().unwrap(), name);
    sim.scope.lock().unwrap().users.insert(id);
}

pub fn key_notice(id: &str, key: &str) -> Publication {
    notice(id, MINUTE, "high", &json!([{"access_key_id": key}]))
}

/// The tasks that their case waits for, but for those that stand for a look at the next listing.
pub fn tasks(sim: &Sim) -> Vec<Task> {
    let store = sim.store.lock().unwrap();
    let tasks = store.tasks.values().map(|row| row.task.clone());
    tasks.filter(|task| task.counts && !looks(task)).collect()
}

fn looks(task: &Task) -> bool {
    task.state == TaskState::Blocked { reason: BlockReason::SecretsNotListed }
}

fn state(sim: &Sim, id: &str) -> CaseState {
    sim.store.lock().unwrap().cases[&case_of(id)].case.state.clone()
}

pub fn is_done(task: &Task) -> bool {
    matches!(task.state, TaskState::Done { .. })
}

pub fn times_called(sim: &Sim, action: &str) -> usize {
    sim.changes.lock().unwrap().iter().filter(|(_, name)| *name == action).count()
}

pub fn nothing_broke(sim: &Sim) {
    let violations = sim.violations.lock().unwrap();
    assert!(violations.is_empty(), "{violations:#?}");
}

/// Virtual time passes until this is so.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    // Closely at first; what is looked for slowly may take a day.
    for step in [20, 2_000] {
        for _ in 0..50_000 {
            if is_so() {
                return;
            }
            pause(step).await;
        }
    }
    panic!("never: {what}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_takes_longer_than_its_lease_is_stored_by_whoever_began_it() {
    let sim = Arc::new(Sim::calm(100));
    let _worker = Worker::start(&sim, 0, config(&sim));
    until("both accounts are listed", || sim.store.lock().unwrap().listed.len() == 2).await;
    // The inventory has not seen this user: whose the key is has to be asked.
    let key = user_with_key(&sim, "u0");
    let lease = EngineConfig::default().lease.num_milliseconds();
    sim.slow_lookup.store(lease * 7, SeqCst);
    publish(&sim, key_notice("leak", &key));
    pause(lease * 6).await;
    assert_eq!(state(&sim, "leak"), CaseState::Accepted, "it is being planned");
    until("it is planned", || !tasks(&sim).is_empty()).await;
    assert_eq!(sim.store.lock().unwrap().claims[&case_of("leak")], 1, "one plan, one lease");
    until("the key is proven dead", || tasks(&sim).iter().any(is_done)).await;
    assert_eq!(times_called(&sim, "deactivate-key"), 1);
    nothing_broke(&sim);
}

#[tokio::test(start_paused = true)]
async fn observe_is_a_brake_on_tasks_that_are_open() {
    let sim = Arc::new(Sim::calm(100));
    let key = user_with_key(&sim, "u0");
    let worker = Worker::start(&sim, 0, config(&sim));
    publish(&sim, key_notice("leak", &key));
    until("the first blow", || times_called(&sim, "deny-user") == 1).await;
    assert!(tasks(&sim).iter().all(|task| task.state == TaskState::Open));
    worker.engine.set_zones(Zones::default());
    pause(30 * MINUTE).await;
    assert_eq!(tasks(&sim)[0].state, TaskState::Observed);
    // Proven dead, it would have been denied beyond its death.
    assert_eq!(times_called(&sim, "deny-user"), 1);
    let before = sim.changes.lock().unwrap().len();
    worker.engine.set_zones(zones(false));
    worker.engine.wake();
    pause(30 * MINUTE).await;
    assert_eq!(
        sim.changes.lock().unwrap().len(),
        before,
        "what was braked does not start by itself"
    );
    assert_eq!(tasks(&sim)[0].state, TaskState::Observed);
    nothing_broke(&sim);
}

#[tokio::test(start_paused = true)]
async fn tags_that_change_in_mid_case_are_told_once_and_the_case_goes_on_as_planned() {
    let sim = Arc::new(Sim::calm(100));
    let key = user_with_key(&sim, "u0");
    let inventory_every = TimeDelta::minutes(2);
    let _worker = Worker::start(&sim, 0, EngineConfig { inventory_every, ..config(&sim) });
    publish(&sim, key_notice("leak", &key));
    until("it is planned", || !tasks(&sim).is_empty()).await;
    let at = (accounts()[0].clone(), "u0".to_owned());
    let elsewhere = tags(&[("severance:zone", "quiet")]);
    sim.world.lock().unwrap().users.get_mut(&at).unwrap().tags = elsewhere;
    // Beyond the second look after the proof.
    pause(26 * 60 * MINUTE).await;
    let store = sim.store.lock().unwrap();
    let told = store.published.iter().filter(|message| {
        let text = String::from_utf8_lossy(message.value.as_deref().unwrap_or_default());
        message.topic == Topic::Escalation && text.contains("tags-changed")
    });
    assert_eq!(told.count(), 1);
    drop(store);
    let task = tasks(&sim).remove(0);
    assert!(is_done(&task), "{:?}", task.state);
    assert_eq!(task.binding.zone.as_str(), "acme", "or a leaver would escape by another tag");
    nothing_broke(&sim);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_cannot_be_listed_for_ten_minutes_raises_the_alarm_and_holds_nobody_up() {
    let sim = Arc::new(Sim::calm(100));
    let bound = [("severance:zone", "acme"), ("severance:contract", "c-1")];
    let id = user(&sim, &mut sim.world.lock().unwrap(), 0, "u2", &bound);
    sim.scope.lock().unwrap().users.insert(id);
    let refuses = accounts()[1].clone();
    sim.unlistable.lock().unwrap().insert(refuses.clone());
    let _worker = Worker::start(&sim, 0, config(&sim));
    publish(&sim, contract("end", 0, "ended", 1, 0));
    pause(2 * MINUTE).await;
    sim.clock.jump(TimeDelta::minutes(30));
    pause(7 * MINUTE).await;
    assert!(
        sim.store.lock().unwrap().alarms.is_empty(),
        "it may pass, and a clock that is set is no time"
    );
    assert_eq!(state(&sim, "end"), CaseState::Accepted, "what it holds may be missed");
    pause(3 * MINUTE).await;
    let wanted = Finding::AccountNotListed { account: refuses.0 };
    let told: Vec<Finding> =
        sim.store.lock().unwrap().alarms.iter().map(|(_, told)| told.clone()).collect();
    assert_eq!(told, std::slice::from_ref(&wanted));
    until("the contract's end is done", || tasks(&sim).iter().any(is_done)).await;
    pause(60 * MINUTE).await;
    assert_eq!(sim.store.lock().unwrap().alarms.len(), 1, "told once");
    nothing_broke(&sim);
}

#[tokio::test(start_paused = true)]
async fn a_case_that_grows_in_steps_is_held_and_stays_released_up_to_what_was_released() {
    let sim = Arc::new(Sim::calm(4));
    person(&sim, "g0");
    let worker = Worker::start(&sim, 0, config(&sim));
    let names = json!([{"user": "g0"}, {"user": "g1"}, {"user": "g2"}]);
    publish(&sim, notice("grows", MINUTE, "high", &names));
    let done = |n: usize| tasks(&sim).iter().filter(|task| is_done(task)).count() == n;
    until("the first is done, three credentials of four", || done(1)).await;
    assert_eq!(state(&sim, "grows"), CaseState::Open);

    person(&sim, "g1");
    let held = |credentials| CaseState::Held { credentials, limit: 4 };
    until("the second is found, and held", || state(&sim, "grows") == held(6)).await;
    let changed = sim.changes.lock().unwrap().len();
    pause(60 * MINUTE).await;
    assert_eq!(sim.changes.lock().unwrap().len(), changed, "nothing of what was added is begun");
    assert!(done(1));
    sim.store.lock().unwrap().release(&case_of("grows"), sim.clock.now());
    worker.engine.wake();
    until("the second is done", || done(2)).await;

    // Another process knows as well what was released.
    drop(worker);
    let worker = Worker::start(&sim, 1, config(&sim));
    pause(24 * 60 * MINUTE).await;
    assert_eq!(state(&sim, "grows"), CaseState::Open, "six were released");
    person(&sim, "g2");
    until("the third is found, and held", || state(&sim, "grows") == held(9)).await;
    sim.store.lock().unwrap().release(&case_of("grows"), sim.clock.now());
    worker.engine.wake();
    until("all is done", || done(3)).await;
    nothing_broke(&sim);
}

#[tokio::test(start_paused = true)]
async fn a_role_that_was_made_after_the_last_listing_is_cut_before_a_compromise_is_over() {
    let sim = Arc::new(Sim::calm(100));
    let key = user_with_key(&sim, "u0");
    let _worker = Worker::start(&sim, 0, config(&sim));
    until("both accounts are listed", || sim.store.lock().unwrap().listed.len() == 2).await;
    pause(MINUTE).await;
    let trust = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": arn(0, "user", "u0")}, "Action": "sts:AssumeRole"}
    ]});
    let at = (accounts()[0].clone(), "back-door".to_owned());
    let id = {
        let mut world = sim.world.lock().unwrap();
        role(&mut world, 0, "back-door", &[], trust);
        world.roles[&at].id.clone()
    };
    sim.scope.lock().unwrap().roles.insert(id);
    publish(&sim, key_notice("leak", &key));
    until("the key is done", || tasks(&sim).iter().any(is_done)).await;
    let cut = !sim.world.lock().unwrap().roles[&at].denies.read().is_empty();
    assert!(cut, "its sessions may be held by whoever held the key");
    nothing_broke(&sim);
}

#[tokio::test(start_paused = true)]
async fn an_exposed_key_without_room_for_another_is_dead_right_after_its_deadline() {
    let sim = Arc::new(Sim::calm(100));
    let (held, theirs) = {
        let mut world = sim.world.lock().unwrap();
        rotations::secret(&sim, &mut world, "s1");
        let Value::Key(held) = world.secret_named("s1").unwrap().current().value.clone() else {
            panic!("s1 holds a key")
        };
        // Somebody's own key takes the second of the two places.
        let theirs = key(&mut world, false, epoch() - TimeDelta::days(90));
        let id = theirs.id.clone();
        let user = world.users.get_mut(&(accounts()[0].clone(), "k1".to_owned())).unwrap();
        user.keys.retain(|key| key.id == held);
        user.keys.push(theirs);
        let user = user.id.clone();
        let mut scope = sim.scope.lock().unwrap();
        scope.keys.insert(held.clone(), user);
        scope.compromised.insert(held.clone());
        scope.theirs.insert(id.clone());
        scope.secrets.insert(world.secret_named("s1").unwrap().reference.arn.clone());
        (held, id)
    };
    let works = |id: &str| {
        let world = sim.world.lock().unwrap();
        world.key(id).is_some_and(|(_, key)| key.status.read().is_active())
    };
    let _worker = Worker::start(&sim, 0, config(&sim));
    until("both accounts are listed", || sim.store.lock().unwrap().listed.len() == 2).await;
    publish(&sim, notice("leak", MINUTE, "high", &json!([{"secret": "s1"}])));
    let no_room = |task: &Task| {
        let TaskState::Blocked { reason } = &task.state else { return false };
        matches!(reason, BlockReason::NoRoomForKey { keys } if keys.contains(&theirs))
    };
    until("a person is asked", || tasks(&sim).iter().any(no_room)).await;
    let deadline = tasks(&sim).iter().find(|task| no_room(task)).unwrap().deadline;
    let left = (deadline - sim.clock.now()).num_milliseconds();
    assert!(left > 5 * MINUTE, "{left} ms");
    pause(left - 1_000).await;
    assert!(works(&held), "before its deadline it waits for what follows it");
    pause(31_000).await;
    assert!(!works(&held), "it waits no longer");
    assert!(works(&theirs));
    // And its place goes to what follows it.
    until("it is replaced", || tasks(&sim).iter().all(is_done)).await;
    assert!(works(&theirs));
    nothing_broke(&sim);
}

/// Its zone has it looked at within the minute in which what is blocked may be waited for.
#[tokio::test(start_paused = true)]
async fn what_blocks_a_task_no_longer_is_not_shown_until_its_grace_ends() {
    let sim = Arc::new(Sim::calm(100));
    {
        let mut world = sim.world.lock().unwrap();
        rotations::secret(&sim, &mut world, "s4");
        let arn = world.secret_named("s4").unwrap().reference.arn.clone();
        sim.scope.lock().unwrap().secrets.insert(arn);
    }
    let worker = Worker::start(&sim, 0, config(&sim));
    let mut soon = zones(false);
    soon.named.values_mut().for_each(|zone| zone.recheck_after = TimeDelta::seconds(30));
    worker.engine.set_zones(soon);
    let data = json!({"credentials": [{"secret": "s4"}], "cause": "requested"});
    publish(&sim, Publication { at_ms: MINUTE, record: event("rotate", ROTATION_TYPE, &data) });
    let in_grace = |task: &Task| task.record.rotation.in_step_at.is_some();
    until("it is in its grace", || tasks(&sim).iter().any(in_grace)).await;
    pause(10_000).await;
    // As a case that has the secret end leaves it, and is withdrawn.
    let reason = BlockReason::EndedByAnotherCase;
    let blocked = TaskState::Blocked { reason };
    sim.store.lock().unwrap().tasks.values_mut().for_each(|row| row.task.state = blocked.clone());
    assert_eq!(tasks(&sim)[0].state, blocked);
    pause(MINUTE).await;
    assert_eq!(tasks(&sim)[0].state, TaskState::Open);
    nothing_broke(&sim);
}

#[tokio::test(start_paused = true)]
async fn notices_of_keys_share_a_listing_that_no_blow_waits_for_and_close_after_it() {
    let sim = Arc::new(Sim::calm(100));
    let keys: Vec<String> = (0..40).map(|n| user_with_key(&sim, &format!("u{n}"))).collect();
    let _worker = Worker::start(&sim, 0, config(&sim));
    until("both accounts are listed", || sim.store.lock().unwrap().listed.len() == 2).await;
    let before = sim.listings.load(SeqCst);
    // As long as it does not answer, no account is listed.
    sim.unlistable.lock().unwrap().extend(accounts());
    for (n, key) in keys.iter().enumerate() {
        publish(&sim, key_notice(&format!("leak-{n}"), key));
    }
    // Nor are roles that somebody may have made since: what is proven dead is not done yet.
    let dead = |task: &&Task| task.record.dead_at.is_some();
    let all_dead = || tasks(&sim).iter().filter(dead).count() == keys.len();
    until("every key is proven dead", all_dead).await;
    let closed = |n| matches!(state(&sim, &format!("leak-{n}")), CaseState::Closed { .. });
    assert!((0..keys.len()).all(|n| !closed(n)), "a secret may hand one out");

    let failed = sim.listings.load(SeqCst);
    sim.unlistable.lock().unwrap().clear();
    until("all are closed", || (0..keys.len()).all(closed)).await;
    let listings = sim.listings.load(SeqCst) - failed;
    assert!(failed > before && listings <= 4, "{listings} listings of two accounts");
    assert_eq!(times_called(&sim, "deactivate-key"), keys.len());
    nothing_broke(&sim);
}
