//! The worker is killed with SIGKILL again and again under load, and nothing is lost, nothing is
//! repeated beyond what was in flight, and nothing else is touched.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test; what it prints says how far a long run got"
)]

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use severance_lifecycle::case::{CaseState, Closing};
use severance_sandbox::aws::CallRecord;
use severance_tests::aws::{Key, Tried, try_keys};
use severance_tests::calls::deactivates;
use severance_tests::clock::{monotonic, now};
use severance_tests::events::{Event, key_notice};
use severance_tests::wait::until;
use severance_tests::worker::Worker;
use severance_tests::world::{World, key_of, user};

const NOTICES: usize = 1_000;
const KILLS: usize = 20;
/// Every fourth key's secret half is known to the worker, so that it is probed.
const PROBED: usize = 4;
/// Users that no notice names.
const BYSTANDERS: usize = 50;
/// What every call takes while the worker is being killed, in milliseconds.
const LATENCY: u64 = 40;
/// The longest that a worker lives after it has begun to work, in milliseconds.
const LIFE: u64 = 400;
/// No run is bounded by less: the machine may be busy.
const LIMIT: Duration = Duration::from_mins(4);

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_under_a_thousand_notices_lose_nothing_and_touch_nothing_else() {
    let seed: u64 = std::env::var("SEVERANCE_TEST_SEED").map_or(7, |it| it.parse().unwrap());
    println!("seed {seed} (SEVERANCE_TEST_SEED sets another)");
    let world = World::new().await;
    let load = Load::seed(&world).await;
    let mut settings = world.settings();
    "count_every_credential = false".clone_into(&mut settings.limits);
    // Few calls at once, so that the load outlasts the kills.
    "concurrency = 16".clone_into(&mut settings.engine);
    "warn".clone_into(&mut settings.log);
    let mut worker = world.worker(&settings).await;

    world.sandbox.control.set_latency(LATENCY).await;
    let kills = kill_again_and_again(&world, &mut worker, &load, seed).await;
    world.sandbox.control.set_latency(0).await;
    println!("{} the kills are over", now());
    let what = format!("{NOTICES} closed cases");
    until(&what, LIMIT, async || {
        let counts = worker.api.counts().await?;
        (counts.cases_closed == NOTICES as u64).then_some(())
    })
    .await;

    println!("{} all cases are closed", now());
    every_noticed_key_is_refused_and_every_other_works(&world, &load).await;
    every_notice_has_exactly_one_closed_case(&worker, &load).await;
    let changes = world.worker_changes().await;
    no_change_is_outside_the_cases(&changes, &load);
    repeats_are_at_most_the_calls_in_flight(&changes, &kills);
}

/// Who is noticed, and who must be left alone.
struct Load {
    events: Vec<Event>,
    noticed: Vec<Key>,
    users: HashSet<String>,
    left_alone: Vec<Key>,
}

impl Load {
    async fn seed(world: &World) -> Self {
        let noticed = (0..NOTICES).map(|n| {
            let name = format!("leaked-{n:04}");
            let mut seed = user(&name, &[]);
            seed.secret = (n % PROBED == 0).then(|| format!("{name}/key"));
            // The second key is the user's good one.
            seed.access_keys = 2;
            seed
        });
        let users = world.seed(noticed.collect()).await;
        world.name_keys_of_secrets(&users).await;
        let bystanders = (0..BYSTANDERS).map(|n| {
            let mut seed = user(&format!("bystander-{n:02}"), &[]);
            seed.access_keys = 1;
            seed
        });
        let bystanders = world.seed(bystanders.collect()).await;
        let second = users.iter().map(|user| {
            let (id, secret) = &user.access_keys[1];
            Key::new(id, secret)
        });
        let noticed: Vec<Key> = users.iter().map(key_of).collect();
        Self {
            events: noticed
                .iter()
                .enumerate()
                .map(|(n, key)| key_notice(&format!("notice-{n}"), &key.id))
                .collect(),
            left_alone: second.chain(bystanders.iter().map(key_of)).collect(),
            users: users.into_iter().map(|user| user.name).collect(),
            noticed,
        }
    }
}

/// The calls in flight at each kill.
async fn kill_again_and_again(
    world: &World,
    worker: &mut Worker,
    load: &Load,
    seed: u64,
) -> Vec<usize> {
    let mut rng = StdRng::seed_from_u64(seed);
    let deadline = monotonic() + LIMIT;
    let mut in_flight = Vec::new();
    // Most of the load is there from the start, the rest comes between the kills.
    let (first, later) = load.events.split_at(NOTICES - NOTICES / 10);
    world.publisher.publish_all(first).await;
    let mut later = later.chunks(later.len().div_ceil(KILLS));
    let mut log = Log { world, seen: 0 };
    while in_flight.len() < KILLS {
        assert!(monotonic() < deadline, "only {} kills in {LIMIT:?}", in_flight.len());
        if let Some(batch) = later.next() {
            world.publisher.publish_all(batch).await;
        }
        log.work_has_begun().await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..LIFE))).await;
        let killed_at = now();
        worker.kill();
        let struck = log.calls_in_flight(killed_at).await;
        println!("{killed_at} kill {}: {struck} calls in flight", in_flight.len() + 1);
        // A kill that lands on nothing proves nothing: it does not count.
        if struck > 0 {
            in_flight.push(struck);
        }
        worker.restart();
    }
    in_flight
}

/// The sandbox's log, read on from where it was read last.
struct Log<'w> {
    world: &'w World,
    seen: u64,
}

impl Log<'_> {
    async fn read(&mut self) -> Vec<CallRecord> {
        let mut calls = self.world.sandbox.control.calls_after(self.seen).await;
        self.seen = calls.last().map_or(self.seen, |call| call.sequence);
        calls.retain(|call| call.access_key_id == self.world.worker_key.id);
        calls
    }

    /// Waits until the worker makes calls of a task (its inventory makes others).
    async fn work_has_begun(&mut self) {
        until("work on a task", LIMIT, async || {
            self.read().await.iter().any(is_of_a_task).then_some(())
        })
        .await;
    }

    /// How many calls of the worker had arrived and were not decided when it was killed. They are all
    /// carried out: AWS does not stop a call because its caller is gone.
    async fn calls_in_flight(&mut self, killed_at: DateTime<Utc>) -> usize {
        // What had arrived is logged once a call that begins now has gone through as well.
        let call = self.world.admin.get_user().user_name("admin").send();
        call.await.expect("the administrator's own user");
        let calls = self.read().await;
        let in_flight =
            calls.iter().filter(|it| it.started <= killed_at && killed_at < it.finished);
        in_flight.count()
    }
}

fn is_of_a_task(call: &CallRecord) -> bool {
    call.changed || call.operation == "GetUserPolicy"
}

async fn every_noticed_key_is_refused_and_every_other_works(world: &World, load: &Load) {
    let endpoint = &world.sandbox.endpoint;
    let refused = Tried::Refused("InvalidClientTokenId".to_owned());
    for (key, tried) in load.noticed.iter().zip(try_keys(endpoint, &load.noticed).await) {
        assert_eq!(tried, refused, "{} was noticed", key.id);
    }
    for (key, tried) in load.left_alone.iter().zip(try_keys(endpoint, &load.left_alone).await) {
        assert_eq!(tried, Tried::Accepted, "{} was not noticed", key.id);
    }
}

async fn every_notice_has_exactly_one_closed_case(worker: &Worker, load: &Load) {
    let cases = worker.api.cases(2 * NOTICES).await;
    let mut of_event: HashMap<&str, usize> = HashMap::new();
    for summary in &cases {
        let case = &summary.case;
        *of_event.entry(&case.event.id).or_default() += 1;
        assert_eq!(case.state, CaseState::Closed { how: Closing::Done }, "{case:?}");
        assert_eq!((summary.tasks, summary.finished), (1, 1), "{case:?}");
    }
    for event in &load.events {
        assert_eq!(of_event.get(event.id.as_str()), Some(&1), "cases of {}", event.id);
    }
    assert_eq!(cases.len(), NOTICES);
}

fn no_change_is_outside_the_cases(changes: &[CallRecord], load: &Load) {
    let noticed: HashSet<&str> = load.noticed.iter().map(|key| key.id.as_str()).collect();
    for change in changes {
        let user = change.resource.rsplit('/').next().unwrap_or_default();
        assert!(load.users.contains(user), "outside every case: {change:?}");
        match change.operation.as_str() {
            "UpdateAccessKey" => {
                assert!(noticed.contains(change.subject.as_deref().unwrap()), "{change:?}");
            }
            "PutUserPolicy" => {}
            _ => panic!("nothing but keys switched off and sessions denied: {change:?}"),
        }
    }
}

fn repeats_are_at_most_the_calls_in_flight(changes: &[CallRecord], in_flight: &[usize]) {
    let mut of_key: HashMap<&str, usize> = HashMap::new();
    for change in changes.iter().filter(|change| deactivates(change)) {
        *of_key.entry(change.subject.as_deref().unwrap()).or_default() += 1;
    }
    assert_eq!(of_key.len(), NOTICES, "keys that the worker deactivated");
    let repeated: usize = of_key.values().map(|times| times - 1).sum();
    let in_flight: usize = in_flight.iter().sum();
    println!("{repeated} deactivations beyond one per key; {in_flight} calls were in flight");
    assert!(repeated <= in_flight, "{repeated} repeats, {in_flight} in flight");
}
