//! A burst of 5,000 notices, one key each, to "all accepted by the provider", against the bare loop.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use severance_sandbox::aws::CallRecord;
use severance_tests::calls::first_deactivations;
use severance_tests::clock::now;
use severance_tests::events::key_notice;
use severance_tests::wait::until;
use severance_tests::world::World;

use crate::bare_loop::{self, Recipe};
use crate::report::{Goal, Report};
use crate::setup::{LIMIT, closed, quiet, seconds, settings, users};

const NOTICES: usize = 5_000;
const ROUNDS: usize = 3;
/// The log is read so often while the worker is measured. The loop is measured without a reader.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// Rates in keys a second, worker and loop in turns.
struct Rates {
    worker: Vec<f64>,
    bare: Vec<f64>,
}

pub(crate) async fn run() -> Report {
    let mut report = Report::new("burst");
    let world = World::new().await;
    for latency in [40, 0] {
        let mut recipe = None;
        let mut rates = Rates { worker: Vec::new(), bare: Vec::new() };
        for round in 0..ROUNDS {
            let (rate, seen) = worker_burst(&world, latency, round).await;
            rates.worker.push(rate);
            let recipe = recipe.get_or_insert(seen);
            rates.bare.push(bare_burst(&world, latency, round, recipe).await);
        }
        tell(&mut report, latency, &rates, recipe.as_ref());
    }
    report
}

async fn worker_burst(world: &World, latency: u64, round: usize) -> (f64, Recipe) {
    let control = &world.sandbox.control;
    let name = format!("worker-{latency}-{round}");
    let keys = users(world, &name, NOTICES, &[]).await;
    let mut settings = settings(world);
    settings.ledger = world.dir().join(format!("{name}.db"));
    let mut worker = world.worker(&settings).await;
    quiet(world).await;
    control.set_latency(latency).await;
    let events: Vec<_> =
        keys.iter().map(|(_, key)| key_notice(&format!("{name}-{}", key.id), &key.id)).collect();
    let begun = now();
    world.publisher.publish_all(&events).await;
    let calls = accepted(world, NOTICES).await;
    control.set_latency(0).await;
    let firsts = first_deactivations(&calls);
    let rate = rate(begun, firsts.values().copied());
    let recipe = recipe(&calls, &firsts, &keys[NOTICES / 2].0.name, &keys[NOTICES / 2].1.id);
    let first = calls.iter().map(|call| call.started).min().expect("a call");
    println!(
        "worker at {latency} ms: {rate:.1} keys/s, the first call {:.0} ms after the first event",
        seconds(begun, first) * 1000.0
    );
    closed(&worker, NOTICES).await;
    // Stopped in order, so that the next worker finds its offsets committed.
    worker.stop().await;
    (rate, recipe)
}

async fn bare_burst(world: &World, latency: u64, round: usize, recipe: &Recipe) -> f64 {
    let control = &world.sandbox.control;
    let keys = users(world, &format!("bare-{latency}-{round}"), NOTICES, &[]).await;
    let pairs: Vec<_> = keys.into_iter().map(|(user, key)| (user.name, key.id)).collect();
    control.clear_log().await;
    control.set_latency(latency).await;
    let begun = bare_loop::run(&world.sandbox.endpoint, &world.worker_key, recipe, &pairs).await;
    control.set_latency(0).await;
    let calls = control.changes_after(0).await;
    let rate = rate(begun, first_deactivations(&calls).into_values());
    println!("bare loop at {latency} ms: {rate:.1} keys/s");
    rate
}

/// Waits until so many keys are deactivated; the log so far.
async fn accepted(world: &World, keys: usize) -> Vec<CallRecord> {
    let control = &world.sandbox.control;
    let mut calls = Vec::new();
    until(&format!("{keys} deactivations"), LIMIT, async || {
        let after = calls.last().map_or(0, |call: &CallRecord| call.sequence);
        calls.extend(control.calls_after(after).await);
        // Asking takes of the same two cores.
        tokio::time::sleep(BETWEEN_LOOKS).await;
        (first_deactivations(&calls).len() >= keys).then_some(())
    })
    .await;
    calls
}

#[allow(clippy::cast_precision_loss, reason = "a count of keys")]
fn rate(begun: DateTime<Utc>, accepted: impl Iterator<Item = DateTime<Utc>>) -> f64 {
    let last = accepted.max().expect("a key");
    NOTICES as f64 / seconds(begun, last)
}

/// The operations that the worker called for one key, up to its acceptance.
fn recipe(
    calls: &[CallRecord],
    firsts: &HashMap<&str, DateTime<Utc>>,
    user: &str,
    key: &str,
) -> Recipe {
    let suffix = format!("/{user}");
    let about = |call: &&CallRecord| {
        call.subject.as_deref() == Some(key) || call.resource.ends_with(&suffix)
    };
    let mut seen: Vec<_> =
        calls.iter().filter(about).filter(|call| call.finished <= firsts[key]).collect();
    seen.sort_by_key(|call| call.started);
    Recipe(seen.iter().map(|call| call.operation.clone()).collect())
}

fn tell(report: &mut Report, latency: u64, rates: &Rates, recipe: Option<&Recipe>) {
    let ratios = rates.worker.iter().zip(&rates.bare).map(|(worker, bare)| worker / bare).collect();
    let goal = (latency > 0).then_some(Goal::AtLeast(0.98));
    report.row(format!("worker, {latency} ms a call"), "keys/s", rates.worker.clone(), None);
    report.row(format!("bare loop, {latency} ms a call"), "keys/s", rates.bare.clone(), None);
    report.row(format!("worker / bare loop, {latency} ms a call"), "ratio", ratios, goal);
    if let Some(Recipe(operations)) = recipe {
        let calls = operations.join(", ");
        report.note(format!("Calls per key up to acceptance at {latency} ms: {calls}."));
    }
}
