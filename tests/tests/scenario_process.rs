//! The worker as a process: it drains, it is alone on its ledger, and it does what is urgent first.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use severance_tests::aws::{Tried, try_keys};
use severance_tests::calls::{by, deactivates};
use severance_tests::clock::now;
use severance_tests::events::{contract_end, key_notice};
use severance_tests::settings::free_address;
use severance_tests::wait::until;
use severance_tests::worker::Worker;
use severance_tests::world::{World, key_of, user};

const LIMIT: Duration = Duration::from_mins(1);

fn with_key(name: &str, tags: &[(&str, &str)]) -> severance_sandbox::aws::control::UserSeed {
    let mut seed = user(name, tags);
    seed.access_keys = 1;
    seed
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_calls_in_flight_end_and_gives_leases_back() {
    let world = World::new().await;
    let users = world.seed((0..60).map(|n| with_key(&format!("leaked-{n}"), &[])).collect()).await;
    let keys: Vec<_> = users.iter().map(key_of).collect();
    let mut worker = world.worker(&world.settings()).await;
    world.inventory_done(&worker).await;
    world.sandbox.control.set_latency(100).await;
    let events: Vec<_> = keys.iter().map(|key| key_notice(&key.id, &key.id)).collect();
    world.publisher.publish_all(&events).await;
    until("work in flight", LIMIT, async || (world.worker_changes().await.len() > 5).then_some(()))
        .await;

    worker.stop().await;
    let calls = world.sandbox.control.calls_after(0).await;
    let unfinished = by(&calls, &world.worker_key.id).filter(|call| !call.answered).count();
    assert_eq!(unfinished, 0);
    let changed = world.worker_changes().await.len();
    assert!(changed < keys.len() * 3, "it was all over before the signal");
    // A lease lasts a minute: were any kept, its task would wait that long.
    world.sandbox.control.set_latency(0).await;
    worker.restart();
    worker.ready().await;
    until("all cases to close", Duration::from_secs(40), async || {
        let counts = worker.api.counts().await?;
        (counts.cases_closed == keys.len() as u64).then_some(())
    })
    .await;
    for tried in try_keys(&world.sandbox.endpoint, &keys).await {
        assert_ne!(tried, Tried::Accepted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_worker_on_the_same_ledger_is_refused_and_the_first_works_on() {
    let world = World::new().await;
    let settings = world.settings();
    let mut first = world.worker(&settings).await;
    let mut other = settings.clone();
    other.listen = free_address();
    let mut second = Worker::start(world.dir(), "second", &other, &world.worker_key);
    let status = second.process.ended(LIMIT).await;
    assert!(!status.success());
    let said = second.process.output();
    assert!(said.contains("severance.db"), "{said}");
    assert!(first.process.has_ended().is_none());
    assert!(first.api.is_ready().await);
}

/// Calls in flight at once, as configured by default.
const SLOTS: usize = 64;
const NOTICES: usize = 3 * SLOTS;
const QUEUED: usize = 150;

#[tokio::test(flavor = "multi_thread")]
async fn no_call_of_a_lower_lane_starts_while_a_notice_is_runnable() {
    let world = World::new().await;
    let tags = [("severance:zone", "acme"), ("severance:contract", "payments")];
    let queue = (0..QUEUED).map(|n| with_key(&format!("queued-{n}"), &tags));
    world.seed(queue.collect()).await;
    let noticed = (0..NOTICES).map(|n| with_key(&format!("leaked-{n}"), &[]));
    let noticed: Vec<_> = world.seed(noticed.collect()).await.iter().map(key_of).collect();
    let mut settings = world.settings();
    "blast_radius = 1000".clone_into(&mut settings.engine);
    "[zones.acme]\nmode = \"enforce\"\n".clone_into(&mut settings.more);
    let worker = world.worker(&settings).await;
    world.inventory_done(&worker).await;
    world.sandbox.control.set_latency(40).await;
    let end = contract_end("end", ("acme", "payments"), "ended", 1, now());
    world.publisher.publish(&end).await;
    until("work on the contract's end", LIMIT, async || {
        (!world.worker_changes().await.is_empty()).then_some(())
    })
    .await;
    let events: Vec<_> = noticed.iter().map(|key| key_notice(&key.id, &key.id)).collect();
    world.publisher.publish_all(&events).await;
    until("all notices to be accepted", LIMIT, async || {
        let changes = world.worker_changes().await;
        let about = |id: &str| noticed.iter().any(|key| key.id == id);
        let struck = changes
            .iter()
            .filter(|call| deactivates(call) && call.subject.as_deref().is_some_and(about));
        (struck.count() == NOTICES).then_some(())
    })
    .await;

    let calls = world.sandbox.control.calls_after(0).await;
    let calls: Vec<_> = by(&calls, &world.worker_key.id).collect();
    let mut struck: Vec<_> = calls
        .iter()
        .filter(|call| deactivates(call) && !call.resource.contains("/queued-"))
        .map(|call| call.started)
        .collect();
    struck.sort();
    // From the first blow until fewer notices are left than there are slots, some notice is always
    // runnable: each has one call in flight at most.
    let (from, to) = (struck[0], struck[NOTICES - SLOTS - 1]);
    let lower: Vec<_> = calls
        .iter()
        .filter(|call| call.resource.contains("/queued-"))
        .filter(|call| from < call.started && call.started < to)
        .map(|call| (&call.operation, call.started))
        .collect();
    assert!(lower.is_empty(), "{} calls between {from} and {to}: {lower:?}", lower.len());
    // It was held back, not over.
    until("the contract's end to go on", LIMIT, async || {
        let calls = world.sandbox.control.calls_after(0).await;
        let on = |call: &&severance_sandbox::aws::CallRecord| {
            call.resource.contains("/queued-") && call.started > to
        };
        by(&calls, &world.worker_key.id).any(|call| on(&call)).then_some(())
    })
    .await;
}
