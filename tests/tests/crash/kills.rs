//! Killing a worker under load, at random moments.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use severance_lifecycle::case::{CaseState, Closing};
use severance_sandbox::aws::CallRecord;
use severance_tests::clock::{monotonic, now};
use severance_tests::events::Event;
use severance_tests::wait::until;
use severance_tests::worker::Worker;
use severance_tests::world::World;

const KILLS: usize = 20;
/// What every call takes while the worker is being killed, in milliseconds.
const LATENCY: u64 = 40;
/// No run is bounded by less: the machine may be busy.
const LIMIT: Duration = Duration::from_mins(4);

/// A kill that struck something.
pub(crate) struct Kill {
    /// It was dead between these moments.
    pub(crate) between: (DateTime<Utc>, DateTime<Utc>),
    /// The calls in flight.
    pub(crate) struck: Vec<CallRecord>,
}

/// What a failed run can be repeated with.
fn seed() -> u64 {
    let seed: u64 = std::env::var("SEVERANCE_TEST_SEED").map_or(7, |it| it.parse().unwrap());
    println!("seed {seed} (SEVERANCE_TEST_SEED sets another)");
    seed
}

/// What a worker is killed under.
pub(crate) struct Load<'a> {
    /// What is there from the start.
    pub(crate) first: &'a [Event],
    /// What comes between the kills, after so many of them.
    pub(crate) later: &'a [Event],
    pub(crate) after: usize,
    /// The longest that a worker lives after it has begun to work, in milliseconds.
    pub(crate) life: u64,
}

/// A worker with so few calls at once that the load outlasts the kills. `engine` and `zone` are lines of its
/// configuration.
pub(crate) async fn worker(world: &World, engine: &str, zone: &str) -> Worker {
    let mut settings = world.settings();
    "count_every_credential = false".clone_into(&mut settings.limits);
    settings.engine = format!("concurrency = 16\n{engine}");
    "warn".clone_into(&mut settings.log);
    settings.zone += zone;
    world.worker(&settings).await
}

/// Kills under the load, then waits until there are so many closed cases as events.
pub(crate) async fn kill_until_done(
    world: &World,
    worker: &mut Worker,
    load: Load<'_>,
) -> Vec<Kill> {
    world.sandbox.control.set_latency(LATENCY).await;
    world.publisher.publish_all(load.first).await;
    let kills = kill_again_and_again(world, worker, &load).await;
    world.sandbox.control.set_latency(0).await;
    println!("{} the kills are over", now());
    let cases = load.first.len() + load.later.len();
    let what = format!("{cases} closed cases");
    until(&what, LIMIT, async || {
        let counts = worker.api.counts().await?;
        (counts.cases_closed == cases as u64).then_some(())
    })
    .await;
    println!("{} all cases are closed", now());
    kills
}

async fn kill_again_and_again(world: &World, worker: &mut Worker, load: &Load<'_>) -> Vec<Kill> {
    let mut rng = StdRng::seed_from_u64(seed());
    let deadline = monotonic() + LIMIT;
    let mut kills = Vec::new();
    let mut later = load.later.chunks(load.later.len().div_ceil(KILLS - load.after));
    let mut log = Log { world, seen: 0 };
    while kills.len() < KILLS {
        assert!(monotonic() < deadline, "only {} kills in {LIMIT:?}", kills.len());
        if kills.len() >= load.after
            && let Some(batch) = later.next()
        {
            world.publisher.publish_all(batch).await;
        }
        log.work_has_begun().await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..load.life))).await;
        let killed_at = now();
        worker.kill();
        let between = (killed_at, now());
        let struck = log.calls_in_flight(killed_at).await;
        println!("{killed_at} kill {}: {} calls in flight", kills.len() + 1, struck.len());
        // A kill that lands on nothing proves nothing: it does not count.
        if !struck.is_empty() {
            kills.push(Kill { between, struck });
        }
        worker.restart();
    }
    for batch in later {
        world.publisher.publish_all(batch).await;
    }
    kills
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

    /// The calls of the worker that had arrived and were not decided when it was killed. They are all
    /// carried out: AWS does not stop a call because its caller is gone.
    async fn calls_in_flight(&mut self, killed_at: DateTime<Utc>) -> Vec<CallRecord> {
        // What had arrived is logged once a call that begins now has gone through as well.
        let call = self.world.admin.get_user().user_name("admin").send();
        call.await.expect("the administrator's own user");
        let mut calls = self.read().await;
        calls.retain(|it| it.started <= killed_at && killed_at < it.finished);
        calls
    }
}

fn is_of_a_task(call: &CallRecord) -> bool {
    call.changed || call.operation == "GetUserPolicy"
}

/// Every event has one case, which is closed with its one task done, and there are no other cases.
pub(crate) async fn every_event_has_exactly_one_closed_case(worker: &Worker, events: &[Event]) {
    let cases = worker.api.cases(2 * events.len()).await;
    let mut of_event: HashMap<&str, usize> = HashMap::new();
    for summary in &cases {
        let case = &summary.case;
        *of_event.entry(&case.event.id).or_default() += 1;
        assert_eq!(case.state, CaseState::Closed { how: Closing::Done }, "{case:?}");
        assert_eq!((summary.tasks, summary.finished), (1, 1), "{case:?}");
    }
    for event in events {
        assert_eq!(of_event.get(event.id.as_str()), Some(&1), "cases of {}", event.id);
    }
    assert_eq!(cases.len(), events.len());
}

/// What a call's resource is called: the last part of its ARN.
pub(crate) fn resource(call: &CallRecord) -> &str {
    call.resource.rsplit(['/', ':']).next().unwrap_or_default()
}

/// Whether a change is what the revocation of one of these keys makes of one of these users.
pub(crate) fn is_of_a_notice(
    change: &CallRecord,
    users: &HashSet<String>,
    noticed: &HashSet<&str>,
) -> bool {
    let of_key = || change.subject.as_deref().is_some_and(|key| noticed.contains(key));
    users.contains(resource(change))
        && match change.operation.as_str() {
            "UpdateAccessKey" => of_key(),
            "PutUserPolicy" => true,
            _ => false,
        }
}
