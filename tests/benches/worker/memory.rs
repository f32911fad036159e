//! Resident memory: of an idle worker, and with 100,000 open tasks.

use std::time::Duration;

use severance_sandbox::aws::{Fault, FaultRule};
use severance_tests::clock::now;
use severance_tests::events::contract_end;
use severance_tests::wait::until;
use severance_tests::worker::Worker;
use severance_tests::world::World;

use crate::report::{Goal, Report};
use crate::setup::{LIMIT, quiet, settings, users};

const TASKS: usize = 100_000;
const SAMPLES: usize = 5;

pub(crate) async fn run() -> Report {
    let mut report = Report::new("memory");
    let world = World::new().await;
    let mut worker = world.worker(&settings(&world)).await;
    quiet(&world).await;
    let idle = resident(&worker).await;
    worker.stop().await;
    let mut worker = open_tasks(&world).await;
    let loaded = resident(&worker).await;
    worker.kill();
    report.row("resident, idle", "MB", idle, Some(Goal::AtMost(40.0)));
    report.row("resident, 100,000 open tasks", "MB", loaded, Some(Goal::AtMost(100.0)));
    report.note(
        "The tasks are one contract end's, of 100,000 users. Their provider never answers GetUser, so \
         that they stay open and as many calls as may be hang in flight.",
    );
    report
}

/// A worker with 100,000 open tasks that cannot go on.
pub(crate) async fn open_tasks(world: &World) -> Worker {
    let control = &world.sandbox.control;
    let tags = [("severance:zone", "acme"), ("severance:contract", "payments")];
    users(world, "open", TASKS, &tags).await;
    let mut settings = settings(world);
    settings.ledger = world.dir().join("open.db");
    "[zones.acme]\nmode = \"enforce\"\n".clone_into(&mut settings.more);
    let worker = world.worker(&settings).await;
    quiet(world).await;
    // Every task asks for this first; a listing, which a contract end waits for, does not.
    let operation = Some("GetUser".to_owned());
    control.fault(&FaultRule { operation, ..FaultRule::new(Fault::Hang) }).await;
    let end = contract_end("all", ("acme", "payments"), "ended", 1, now());
    world.publisher.publish(&end).await;
    until("the open tasks", LIMIT, async || {
        let counts = worker.api.counts().await?;
        (counts.tasks_open >= TASKS as u64).then_some(())
    })
    .await;
    worker
}

/// Samples, in MB (10⁶ bytes), a second apart.
async fn resident(worker: &Worker) -> Vec<f64> {
    let mut samples = Vec::new();
    for _ in 0..SAMPLES {
        tokio::time::sleep(Duration::from_secs(1)).await;
        #[allow(clippy::cast_precision_loss, reason = "bytes of memory fit an f64")]
        samples.push(worker.resident() as f64 / 1e6);
    }
    println!("resident: {samples:.1?} MB");
    samples
}
