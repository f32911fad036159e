//! Contract ends: held by their size, put off, withdrawn, and in the wrong order.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use chrono::TimeDelta;
use severance_lifecycle::case::{CaseState, Closing};
use severance_tests::aws::{Key, Tried, try_key, try_keys};
use severance_tests::clock::now;
use severance_tests::events::{contract_end, notice};
use severance_tests::settings::Settings;
use severance_tests::world::{World, key_of, probeable};

const LIMIT: Duration = Duration::from_secs(40);
const CONTRACT: (&str, &str) = ("acme", "payments");
const TAGS: [(&str, &str); 2] = [("severance:zone", "acme"), ("severance:contract", "payments")];

/// The zone of the contract is enforced.
fn settings(world: &World) -> Settings {
    let mut settings = world.settings();
    "[zones.acme]\nmode = \"enforce\"\n".clone_into(&mut settings.more);
    settings
}

async fn users_of_contract(world: &World, count: usize) -> Vec<Key> {
    let seeds = (0..count).map(|n| probeable(&format!("acme-{n}"), &TAGS));
    world.seed(seeds.collect()).await.iter().map(key_of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_over_the_blast_radius_changes_nothing_until_it_is_released() {
    let world = World::new().await;
    let keys = users_of_contract(&world, 5).await;
    let mut settings = settings(&world);
    "blast_radius = 4".clone_into(&mut settings.engine);
    let worker = world.worker(&settings).await;
    world.inventory_done(&worker).await;
    world.publisher.publish(&contract_end("end", CONTRACT, "ended", 1, now())).await;

    let held =
        worker.api.case_when("end", LIMIT, |case| case.summary.case.state.as_str() == "held").await;
    assert!(world.worker_changes().await.is_empty());
    worker.api.release(held.summary.case.id.as_str()).await;
    worker.api.closed("end", LIMIT).await;
    for (key, tried) in keys.iter().zip(try_keys(&world.sandbox.endpoint, &keys).await) {
        assert_ne!(tried, Tried::Accepted, "{}", key.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_is_extended_waits_and_a_lower_revision_that_comes_late_changes_nothing() {
    let world = World::new().await;
    let keys = users_of_contract(&world, 1).await;
    let worker = world.worker(&settings(&world)).await;
    world.inventory_done(&worker).await;
    let tomorrow = now() + TimeDelta::days(1);
    world.publisher.publish(&contract_end("r2", CONTRACT, "extended", 2, tomorrow)).await;
    let put_off =
        |case: &severance_engine::ports::CaseDetail| case.summary.case.state == CaseState::Accepted;
    worker.api.case_when("r2", LIMIT, put_off).await;
    // What was sent first comes last: the contract ended an hour ago, said revision 1.
    let past = now() - TimeDelta::hours(1);
    world.publisher.publish(&contract_end("r1", CONTRACT, "ended", 1, past)).await;

    let late = worker.api.closed("r1", LIMIT).await;
    let superseded = CaseState::Closed { how: Closing::Superseded };
    assert_eq!(late.summary.case.state, superseded);
    worker.api.case_when("r2", LIMIT, put_off).await;
    assert!(world.worker_changes().await.is_empty());
    assert_eq!(try_key(&world.sandbox.endpoint, &keys[0]).await, Tried::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_survives_a_restart_and_runs_when_its_time_comes() {
    let world = World::new().await;
    let keys = users_of_contract(&world, 1).await;
    let mut worker = world.worker(&settings(&world)).await;
    world.inventory_done(&worker).await;
    let soon = now() + TimeDelta::seconds(6);
    world.publisher.publish(&contract_end("soon", CONTRACT, "ended", 1, soon)).await;
    worker.api.case_when("soon", LIMIT, |_| true).await;
    worker.kill();
    worker.restart();
    let case = worker.api.closed("soon", LIMIT).await;
    let done = &case.tasks[0].task;
    assert!(done.planned_at >= soon, "planned at {}, due at {soon}", done.planned_at);
    assert_ne!(try_key(&world.sandbox.endpoint, &keys[0]).await, Tried::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reinstated_contract_gets_its_keys_back() {
    let world = World::new().await;
    let keys = users_of_contract(&world, 2).await;
    let worker = world.worker(&settings(&world)).await;
    world.inventory_done(&worker).await;
    world.publisher.publish(&contract_end("end", CONTRACT, "ended", 1, now())).await;
    worker.api.closed("end", LIMIT).await;
    for tried in try_keys(&world.sandbox.endpoint, &keys).await {
        assert_ne!(tried, Tried::Accepted);
    }
    world.publisher.publish(&contract_end("back", CONTRACT, "reinstated", 2, now())).await;
    worker.api.closed("back", LIMIT).await;
    for (key, tried) in keys.iter().zip(try_keys(&world.sandbox.endpoint, &keys).await) {
        assert_eq!(tried, Tried::Accepted, "{}", key.id);
    }
    let left = world.admin.list_user_policies().user_name("acme-0").send().await.unwrap();
    assert!(left.policy_names.is_empty(), "{:?}", left.policy_names);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reinstatement_leaves_what_a_compromise_revoked() {
    let world = World::new().await;
    let keys = users_of_contract(&world, 1).await;
    let worker = world.worker(&settings(&world)).await;
    world.inventory_done(&worker).await;
    world.publisher.publish(&contract_end("end", CONTRACT, "ended", 1, now())).await;
    worker.api.closed("end", LIMIT).await;
    let user = [serde_json::json!({ "user": "acme-0" })];
    world.publisher.publish(&notice("leak", &user)).await;
    worker.api.closed("leak", LIMIT).await;
    let before = world.worker_changes().await.len();

    world.publisher.publish(&contract_end("back", CONTRACT, "reinstated", 2, now())).await;
    worker
        .api
        .case_when("back", LIMIT, |case| {
            case.tasks.iter().any(|it| it.task.state.as_str() == "blocked")
        })
        .await;
    assert_eq!(world.worker_changes().await.len(), before);
    assert_ne!(try_key(&world.sandbox.endpoint, &keys[0]).await, Tried::Accepted);
}
