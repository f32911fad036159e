//! From kill -9 to the first provider call after the restart: with 100,000 open tasks, and with an
//! empty ledger.

use severance_tests::clock::now;
use severance_tests::wait::until;
use severance_tests::worker::Worker;
use severance_tests::world::World;

use crate::memory::open_tasks;
use crate::report::{Goal, Report};
use crate::setup::{LIMIT, quiet, seconds, settings};

const ROUNDS: usize = 5;

pub(crate) async fn run() -> Report {
    let mut report = Report::new("restart");
    let world = World::new().await;
    let mut empty_worker = world.worker(&settings(&world)).await;
    quiet(&world).await;
    empty_worker.stop().await;
    let mut loaded_worker = open_tasks(&world).await;
    loaded_worker.kill();
    let (mut empty, mut loaded, mut task) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        empty.push(first_call(&world, &mut empty_worker, false).await);
        loaded.push(first_call(&world, &mut loaded_worker, false).await);
        task.push(first_call(&world, &mut loaded_worker, true).await);
    }
    let more = loaded.iter().zip(&empty).map(|(loaded, empty)| loaded - empty).collect();
    let tasks = task.iter().zip(&empty).map(|(task, empty)| task - empty).collect();
    report.row("to the first call, empty ledger", "s", empty, None);
    report.row("to the first call, 100,000 open tasks", "s", loaded, None);
    report.row("to the first call of a task, 100,000 open tasks", "s", task, None);
    report.row("more than with an empty ledger", "s", more, Some(Goal::AtMost(0.5)));
    report.row("more, to the first call of a task", "s", tasks, Some(Goal::AtMost(0.5)));
    report
}

/// Starts the worker, kills it, starts it again; seconds from the kill to its first call.
async fn first_call(world: &World, worker: &mut Worker, of_a_task: bool) -> f64 {
    worker.restart();
    call_after(world, false).await;
    let killed = now();
    worker.kill();
    world.sandbox.control.clear_log().await;
    worker.restart();
    let taken = call_after(world, of_a_task).await;
    worker.kill();
    seconds(killed, taken)
}

/// When the worker's next call (of a task, not of its own start or its inventory) arrived.
async fn call_after(world: &World, of_a_task: bool) -> chrono::DateTime<chrono::Utc> {
    let control = &world.sandbox.control;
    control.clear_log().await;
    until("a call of the worker", LIMIT, async || {
        let calls = control.calls_after(0).await;
        let own = calls.iter().filter(|call| call.access_key_id == world.worker_key.id);
        let mut fitting = own.filter(|call| !of_a_task || is_of_a_task(&call.operation));
        fitting.next().map(|call| call.started)
    })
    .await
}

/// A task of a user looks at the user first; starting and listing ask for other things.
fn is_of_a_task(operation: &str) -> bool {
    operation == "GetUser"
}
