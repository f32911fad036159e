//! Rotation by age, in a world in which nothing fails by chance.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use severance_engine::ports::Clock;
use severance_lifecycle::event::{Cause, Payload, SelectorTarget};
use severance_lifecycle::ids::ZoneName;
use severance_lifecycle::plan::{Identity, IdentityDetail, SecretDetail};
use severance_lifecycle::rotation_schedule::{Limit, MaxAge};
use severance_lifecycle::secret::Strategy;
use severance_lifecycle::task::Mode;
use severance_lifecycle::zone::{ZoneSettings, Zones};

use crate::calm::Worker;
use crate::clock::{epoch, pause};
use crate::provider::accounts;
use crate::run::config;
use crate::scenario::tags;
use crate::sim::Sim;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// Secrets of `acme` may become 30 days old, others are never too old.
fn aging() -> Zones {
    let max_age = MaxAge { default: Limit::Age(TimeDelta::days(30)), ..MaxAge::default() };
    let acme = ZoneSettings { mode: Mode::Enforce, max_age, ..ZoneSettings::default() };
    let named = [(ZoneName::from("acme"), acme)].into();
    Zones { default: ZoneSettings::default(), named }
}

fn worker(sim: &Arc<Sim>, process: u64) -> Worker {
    let worker = Worker::start(sim, process, config(sim));
    worker.engine.set_zones(aging());
    worker
}

/// A secret that was stored so many days ago. No key is known to be in it, so that its case goes no further
/// than its plan.
fn secret(name: &str, days: i64) -> (Identity, SecretDetail) {
    let detail = SecretDetail {
        region: "us-east-1".to_owned(),
        strategy: Strategy::IamAccessKey,
        holds: BTreeSet::new(),
        last_rotated: Some(epoch() - TimeDelta::days(days)),
        deleted_at: None,
        owning_service: None,
    };
    let account = accounts()[0].clone();
    let arn = format!("arn:aws:secretsmanager:us-east-1:{account}:secret:{name}-AbCdEf");
    let identity = Identity {
        account,
        unique_id: arn.clone(),
        arn,
        name: name.to_owned(),
        created: epoch() - TimeDelta::days(1_000),
        tags: tags(&[("severance:zone", "acme")]),
        detail: IdentityDetail::Secret(detail.clone()),
    };
    (identity, detail)
}

/// The listing has it, and every later one.
fn list(sim: &Sim, (identity, detail): (Identity, SecretDetail)) {
    let identity = Identity { detail: IdentityDetail::Secret(detail), ..identity };
    let mut store = sim.store.lock().unwrap();
    let place = i64::try_from(store.places.len()).unwrap() + 1_000;
    store.places.entry(identity.arn.clone()).or_insert(place);
    store.inventory.insert(identity.arn.clone(), (identity, i64::MAX));
}

/// How many cases ask for each secret's rotation, by its name.
fn asked(sim: &Sim) -> BTreeMap<String, usize> {
    let store = sim.store.lock().unwrap();
    let mut asked = BTreeMap::new();
    for row in store.cases.values() {
        let Payload::Rotation(rotation) = &row.event.payload else { panic!("{:?}", row.event) };
        assert_eq!(rotation.cause, Cause::Policy);
        assert!(row.case.noticed_at <= sim.clock.now(), "{:?}", row.case);
        let [selector] = &rotation.credentials[..] else { panic!("{rotation:?}") };
        let SelectorTarget::Secret(arn) = &selector.target else { panic!("{selector:?}") };
        let name = arn.rsplit(':').next().unwrap().strip_suffix("-AbCdEf").unwrap();
        *asked.entry(name.to_owned()).or_default() += 1;
    }
    asked
}

fn once(names: &[&str]) -> BTreeMap<String, usize> {
    names.iter().map(|name| ((*name).to_owned(), 1)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_too_old_gets_one_case_also_after_a_restart_and_one_that_was_rotated_none()
{
    let sim = Arc::new(Sim::calm(100));
    list(&sim, secret("old", 100));
    list(&sim, secret("rotated", 1));
    let (elsewhere, detail) = secret("elsewhere", 100);
    list(&sim, (Identity { tags: BTreeMap::new(), ..elsewhere }, detail));
    let (untold, detail) = secret("untold", 100);
    list(&sim, (untold, SecretDetail { strategy: Strategy::Untold, ..detail }));
    let (deleted, detail) = secret("deleted", 100);
    let deleted_at: Option<DateTime<Utc>> = Some(epoch() + TimeDelta::days(7));
    list(&sim, (deleted, SecretDetail { deleted_at, ..detail }));

    for process in 0..4 {
        let _worker = worker(&sim, process);
        pause(DAY / 2 + HOUR).await;
    }
    assert_eq!(asked(&sim), once(&["old"]));

    // It was rotated, and so both are young; then the other one is too old.
    let (old, detail) = secret("old", 0);
    list(&sim, (old, SecretDetail { last_rotated: Some(sim.clock.now()), ..detail }));
    let _worker = worker(&sim, 4);
    pause(24 * DAY).await;
    assert_eq!(asked(&sim), once(&["old"]));
    pause(4 * DAY).await;
    assert_eq!(asked(&sim), once(&["old", "rotated"]));
    assert!(sim.violations.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_becomes_too_old_at_once_is_asked_for_over_the_day_whatever_was_missed() {
    const SECRETS: usize = 250;
    let sim = Arc::new(Sim::calm(100));
    for number in 0..SECRETS {
        list(&sim, secret(&format!("s{number}"), 100));
    }
    let started = worker(&sim, 0);
    pause(HOUR).await;
    let first = asked(&sim).len();
    assert!(0 < first && first < SECRETS / 8, "{first} in the first hour");
    drop(started);
    // Nobody worked for half a day.
    pause(DAY / 2).await;
    let _worker = worker(&sim, 1);
    pause(HOUR).await;
    let second = asked(&sim).len();
    assert!(second < SECRETS / 4, "{second} after a night, and {first} before it");
    // From one of the day before to one of the day after at most.
    pause(2 * DAY).await;
    let all = asked(&sim);
    assert_eq!(all.len(), SECRETS, "each has a moment on every date");
    assert!(all.values().all(|times| *times == 1));
}
