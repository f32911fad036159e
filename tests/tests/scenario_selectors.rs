//! Notices that name what cannot, or must not, be acted on; and what the inventory has not seen.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use serde_json::json;
use severance_lifecycle::task::{BlockReason, TaskState};
use severance_tests::aws::{Tried, sts, try_key};
use severance_tests::events::{key_notice, notice};
use severance_tests::world::{ACCOUNT, World, probeable, user};

const LIMIT: Duration = Duration::from_secs(40);

fn refused() -> Tried {
    Tried::Refused("InvalidClientTokenId".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_a_root_key_and_another_partitions_key_are_blocked_for_what_they_are() {
    let world = World::new().await;
    let (_, key) = world.seed_one(probeable("leaked", &[])).await;
    let session = sts(&world.sandbox.endpoint, &key).await.get_session_token().send().await;
    let session = session.unwrap().credentials.unwrap().access_key_id;
    let (root, _) = world.sandbox.control.root_key(ACCOUNT).await;
    let worker = world.worker(&world.settings()).await;
    let elsewhere = "AKIACNCNCNCNCNCNCNCN";
    let ids = [session.as_str(), root.as_str(), elsewhere];
    let selectors: Vec<_> = ids.iter().map(|id| json!({ "access_key_id": id })).collect();
    world.publisher.publish(&notice("odd-keys", &selectors)).await;

    let case = worker.api.case_when("odd-keys", LIMIT, |case| case.tasks.len() == ids.len()).await;
    let reason_of = |id: &str| {
        let task = case.tasks.iter().find(|task| task.task.target.key().contains(id)).unwrap();
        match &task.task.state {
            TaskState::Blocked { reason } => reason.clone(),
            state => panic!("{id} is {state:?}"),
        }
    };
    assert_eq!(reason_of(&session), BlockReason::SessionKey);
    assert_eq!(reason_of(&root), BlockReason::RootKey);
    // The id itself says its account, which is none of ours, whatever its partition.
    let account = "165517879450".to_owned();
    assert_eq!(reason_of(elsewhere), BlockReason::AccountNotConfigured { account });
    assert_eq!(case.summary.case.state.as_str(), "open", "nothing is quietly given up");
    assert!(world.worker_changes().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workers_own_key_and_a_break_glass_user_are_refused() {
    let world = World::new().await;
    let (glass, glass_key) = world.seed_one(probeable("glass", &[])).await;
    let mut settings = world.settings();
    settings.more =
        format!("[protected]\nbreak_glass = [\"arn:aws:iam::{ACCOUNT}:user/{}\"]\n", glass.name);
    let worker = world.worker(&settings).await;
    let own = json!({ "access_key_id": world.worker_key.id });
    let selectors = [own, json!({ "user": glass.name }), json!({ "access_key_id": glass_key.id })];
    world.publisher.publish(&notice("protected", &selectors)).await;

    let case = worker
        .api
        .case_when("protected", LIMIT, |case| {
            !case.tasks.is_empty()
                && case.tasks.iter().all(|it| it.task.state.as_str() == "blocked")
        })
        .await;
    for task in &case.tasks {
        let blocked = TaskState::Blocked { reason: BlockReason::Protected };
        assert_eq!(task.task.state, blocked, "{:?}", task.task.target);
    }
    assert!(world.worker_changes().await.is_empty());
    for key in [&world.worker_key, &glass_key] {
        assert_eq!(try_key(&world.sandbox.endpoint, key).await, Tried::Accepted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_comes_before_the_inventory_has_seen_its_key_is_carried_out() {
    let world = World::new().await;
    let worker = world.worker(&world.settings()).await;
    world.inventory_done(&worker).await;
    let (_, key) = world.seed_one(probeable("new", &[])).await;
    let (made, by_name) = world.seed_one(probeable("newer", &[])).await;
    world.publisher.publish(&key_notice("by-key", &key.id)).await;
    world.publisher.publish(&notice("by-name", &[json!({ "user": made.name })])).await;

    worker.api.closed("by-key", LIMIT).await;
    worker.api.closed("by-name", LIMIT).await;
    for key in [&key, &by_name] {
        assert_eq!(try_key(&world.sandbox.endpoint, key).await, refused());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_observe_nothing_is_changed_and_what_would_be_done_is_recorded() {
    let world = World::new().await;
    let (_, key) = world.seed_one(probeable("watched", &[("severance:zone", "acme")])).await;
    let mut settings = world.settings();
    // Another zone's section: `acme` has none of its own, and `mode` is never inherited.
    "mode = \"observe\"".clone_into(&mut settings.zone);
    let worker = world.worker(&settings).await;
    world.publisher.publish(&key_notice("watched", &key.id)).await;

    let case = worker.api.closed("watched", LIMIT).await;
    let entries = serde_json::to_string(&case.journal).unwrap();
    assert!(entries.contains("would-do") && entries.contains("deactivate"), "{entries}");
    assert_eq!(case.tasks[0].task.state, TaskState::Observed);
    assert!(world.worker_changes().await.is_empty());
    assert_eq!(try_key(&world.sandbox.endpoint, &key).await, Tried::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_other_key_keeps_working_when_one_is_noticed() {
    let world = World::new().await;
    let mut seed = user("two-keys", &[]);
    seed.access_keys = 2;
    let made = world.seed(vec![seed]).await.remove(0);
    let keys: Vec<_> = made
        .access_keys
        .iter()
        .map(|(id, secret)| severance_tests::aws::Key::new(id, secret))
        .collect();
    let worker = world.worker(&world.settings()).await;
    world.publisher.publish(&key_notice("one-of-two", &keys[0].id)).await;
    worker.api.closed("one-of-two", LIMIT).await;
    assert_eq!(try_key(&world.sandbox.endpoint, &keys[0]).await, refused());
    assert_eq!(try_key(&world.sandbox.endpoint, &keys[1]).await, Tried::Accepted);
}
