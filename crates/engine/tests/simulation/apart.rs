//! A secret of one zone that holds the key of a user of another one, in a world in which nothing fails by chance.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::json;
use severance_engine::EngineConfig;
use severance_lifecycle::credential::Target;
use severance_lifecycle::ids::ZoneName;
use severance_lifecycle::task::{BlockReason, Mode, Task, TaskState};

use crate::calm::{Worker, is_done, nothing_broke, publish, tasks, until};
use crate::clock::pause;
use crate::provider::accounts;
use crate::rotations;
use crate::run::config;
use crate::scenario::{Publication, event, notice, tags};
use crate::sim::Sim;
use crate::vault::Value;

const HOUR: i64 = 3_600_000;

/// A secret of a zone that enforces, its user tagged with this one, and its key.
fn apart(sim: &Sim, zone: &str) -> String {
    let mut world = sim.world.lock().unwrap();
    rotations::secret(sim, &mut world, "s0");
    let secret = world.secret_named("s0").unwrap();
    let Value::Key(held) = secret.current().value.clone() else { panic!("s0 holds a key") };
    let arn = secret.reference.arn.clone();
    let user = world.users.get_mut(&(accounts()[0].clone(), "k0".to_owned())).unwrap();
    user.tags = tags(&[("severance:zone", zone)]);
    let mut scope = sim.scope.lock().unwrap();
    scope.keys.insert(held.clone(), user.id.clone());
    scope.compromised.insert(held.clone());
    scope.secrets.insert(arn);
    held
}

fn retag_user(sim: &Sim, zone: &str) {
    let at = (accounts()[0].clone(), "k0".to_owned());
    sim.world.lock().unwrap().users.get_mut(&at).unwrap().tags = tags(&[("severance:zone", zone)]);
}

fn of_secret(sim: &Sim) -> Task {
    let is_it = |task: &Task| matches!(task.target, Target::Secret { .. });
    tasks(sim).into_iter().find(is_it).expect("the secret's task")
}

fn is_apart(task: &Task) -> bool {
    let TaskState::Blocked { reason } = &task.state else { return false };
    let (quiet, acme) = (ZoneName::from("quiet"), ZoneName::from("acme"));
    matches!(reason, BlockReason::UserOfAnotherZone { user, zone, secret_zone }
        if user == "k0" && *zone == quiet && *secret_zone == acme)
}

fn listing_often(sim: &Sim) -> EngineConfig {
    EngineConfig { inventory_every: TimeDelta::minutes(10), ..config(sim) }
}

fn rotation(sim: &Sim) {
    let data = json!({"credentials": [{"secret": "s0"}], "cause": "requested"});
    let kind = severance_lifecycle::event::ROTATION_TYPE;
    publish(sim, Publication { at_ms: 0, record: event("rotate", kind, &data) });
}

#[tokio::test(start_paused = true)]
async fn no_retry_gives_a_zone_a_say_over_a_user_of_another_one() {
    for leaks in [true, false] {
        let sim = Arc::new(Sim::calm(100));
        let held = apart(&sim, "quiet");
        let _worker = Worker::start(&sim, 0, listing_often(&sim));
        until("both accounts are listed", || sim.store.lock().unwrap().listed.len() == 2).await;
        if leaks {
            publish(&sim, notice("leak", 0, "high", &json!([{"secret": "s0"}])));
        } else {
            rotation(&sim);
        }
        until("it is planned", || !tasks(&sim).is_empty()).await;
        // Beyond the longest pause between two tries of what is blocked.
        pause(20 * HOUR).await;
        assert!(sim.changes.lock().unwrap().is_empty(), "quiet only observes");
        assert!(is_apart(&of_secret(&sim)), "{:?}", of_secret(&sim).state);
        assert!(!of_secret(&sim).record.rotation.vouched);

        retag_user(&sim, "acme");
        until("its user's tag is right, and it goes on", || is_done(&of_secret(&sim))).await;
        assert!(of_secret(&sim).record.rotation.vouched);
        assert!(
            sim.world
                .lock()
                .unwrap()
                .key(&held)
                .is_none_or(|(_, key)| { !key.status.read().is_active() })
        );
        nothing_broke(&sim);
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_given_to_the_zone_of_its_user_follows_that_zones_mode() {
    let sim = Arc::new(Sim::calm(100));
    apart(&sim, "quiet");
    let _worker = Worker::start(&sim, 0, listing_often(&sim));
    until("both accounts are listed", || sim.store.lock().unwrap().listed.len() == 2).await;
    rotation(&sim);
    until("it is blocked", || tasks(&sim).iter().any(is_apart)).await;
    for secret in sim.world.lock().unwrap().secrets.values_mut() {
        secret.tags = tags(&[("severance:zone", "quiet")]);
    }
    until("it is looked at", || of_secret(&sim).state == TaskState::Observed).await;
    let task = of_secret(&sim);
    assert_eq!((task.binding.zone.as_str(), task.mode), ("quiet", Mode::Observe));
    assert!(sim.changes.lock().unwrap().is_empty());
    nothing_broke(&sim);
}

#[tokio::test(start_paused = true)]
async fn a_secret_without_a_zone_is_bound_by_its_user_once_that_ones_tag_is_right() {
    let sim = Arc::new(Sim::calm(100));
    apart(&sim, "acme quiet");
    for secret in sim.world.lock().unwrap().secrets.values_mut() {
        secret.tags.clear();
    }
    let _worker = Worker::start(&sim, 0, listing_often(&sim));
    until("both accounts are listed", || sim.store.lock().unwrap().listed.len() == 2).await;
    rotation(&sim);
    let flattened = |task: &Task| {
        matches!(&task.state, TaskState::Blocked { reason: BlockReason::FlattenedBoundary { .. } })
    };
    until("it is blocked", || tasks(&sim).iter().any(flattened)).await;
    pause(20 * HOUR).await;
    assert!(flattened(&of_secret(&sim)), "{:?}", of_secret(&sim).state);
    retag_user(&sim, "acme");
    until("it is replaced", || is_done(&of_secret(&sim))).await;
    assert_eq!(of_secret(&sim).binding.zone.as_str(), "acme");
    nothing_broke(&sim);
}
