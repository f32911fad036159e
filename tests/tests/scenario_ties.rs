//! Secrets that hand out what a notice names, and that no listing has seen yet.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use serde_json::{Value, json};
use severance_engine::ports::CaseDetail;
use severance_lifecycle::finding::Finding;
use severance_sandbox::aws::control::SeededUser;
use severance_tests::aws::{Key, Tried, try_key};
use severance_tests::events::{key_notice, notice, rotation, secret_rotation};
use severance_tests::wait::until;
use severance_tests::worker::Worker;
use severance_tests::world::{World, key_of, probeable};

const LIMIT: Duration = Duration::from_mins(1);
const ROTATED: &[(&str, &str)] =
    &[("severance:strategy", "iam-access-key"), ("severance:zone", "acme")];

fn refused() -> Tried {
    Tried::Refused("InvalidClientTokenId".to_owned())
}

/// A world, and a worker that has listed it once and lists it again in an hour.
struct Scene {
    world: World,
    worker: Worker,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new().await;
        let mut settings = world.settings();
        settings.zone += "secrets = { grace = \"0s\" }\n";
        let worker = world.worker(&settings).await;
        world.inventory_done(&worker).await;
        Self { world, worker }
    }

    /// A user that came with its secret, and was listed with it.
    async fn listed(tags: &[(&str, &str)]) -> (Self, SeededUser) {
        let world = World::new().await;
        let made = world.seed(vec![probeable("app", tags)]).await.remove(0);
        let mut settings = world.settings();
        settings.zone += "secrets = { grace = \"0s\" }\n";
        let worker = world.worker(&settings).await;
        world.inventory_done(&worker).await;
        (Self { world, worker }, made)
    }

    async fn handed_out(&self, user: &SeededUser) -> Key {
        let arn = user.secret_arn.as_ref().unwrap();
        let read = self.world.secrets().get_secret_value().secret_id(arn).send().await.unwrap();
        let value: Value = serde_json::from_str(&read.secret_string.unwrap()).unwrap();
        let field = |name: &str| value[name].as_str().unwrap().to_owned();
        Key::new(&field("access_key_id"), &field("secret_access_key"))
    }

    /// A person makes another key and puts it into the secret.
    async fn put_by_hand(&self, user: &SeededUser) -> Key {
        let made = self.world.admin.create_access_key().user_name(&user.name).send().await.unwrap();
        let made = made.access_key.unwrap();
        let value = json!({
            "access_key_id": made.access_key_id,
            "secret_access_key": made.secret_access_key,
        });
        let arn = user.secret_arn.as_ref().unwrap();
        let put = self.world.secrets().put_secret_value().secret_id(arn);
        put.secret_string(value.to_string()).send().await.unwrap();
        Key::new(&made.access_key_id, &made.secret_access_key)
    }

    async fn tried(&self, key: &Key) -> Tried {
        try_key(&self.world.sandbox.endpoint, key).await
    }

    async fn is_replaced(&self, user: &SeededUser, old: &Key) {
        let new = self.handed_out(user).await;
        assert_eq!(self.tried(old).await, refused());
        assert_ne!(new.id, old.id, "the secret hands out a key that is dead");
        assert_eq!(self.tried(&new).await, Tried::Accepted);
    }
}

fn tells_who_hands_out(case: &CaseDetail, user: &SeededUser, key: &Key) -> bool {
    case.findings.iter().any(|finding| {
        matches!(finding, Finding::HandsOutRevoked { secret, credential }
            if Some(secret) == user.secret_arn.as_ref() && credential.contains(&key.id))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_a_rotation_has_just_made_is_replaced_in_its_secret_too() {
    let (scene, app) = Scene::listed(ROTATED).await;
    let arn = app.secret_arn.clone().unwrap();
    scene.world.publisher.publish(&secret_rotation("routine", &arn)).await;
    let routine = scene.worker.api.closed("routine", LIMIT).await;
    scene.is_replaced(&app, &key_of(&app)).await;

    let leaked = scene.handed_out(&app).await;
    scene.world.publisher.publish(&key_notice("leaked", &leaked.id)).await;
    // What Severance stored itself it knows at once, whenever it lists again.
    let planned = scene.worker.api.case_when("leaked", LIMIT, |it| !it.tasks.is_empty()).await;
    let rotates = |it: &CaseDetail| it.tasks.iter().any(|it| it.task.target.key().contains(&arn));
    assert!(rotates(&planned), "{:?}", planned.tasks);
    scene.worker.api.closed("leaked", LIMIT).await;
    scene.is_replaced(&app, &leaked).await;
    let now = scene.worker.api.closed("routine", LIMIT).await;
    assert_eq!(now.journal.len(), routine.journal.len(), "the rotation's task had to heal it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_a_person_put_into_a_secret_since_the_listing_is_replaced_there() {
    let (scene, app) = Scene::listed(ROTATED).await;
    let leaked = scene.put_by_hand(&app).await;
    scene.world.publisher.publish(&key_notice("leaked", &leaked.id)).await;
    scene.worker.api.closed("leaked", LIMIT).await;
    scene.is_replaced(&app, &leaked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_nobody_said_how_to_rotate_is_told_of_though_no_listing_has_seen_it() {
    let scene = Scene::new().await;
    let app = scene.world.seed(vec![probeable("app", &[])]).await.remove(0);
    let other = scene.world.seed(vec![probeable("other", &[])]).await.remove(0);
    let (key, others) = (key_of(&app), key_of(&other));
    scene.world.publisher.publish(&key_notice("key", &key.id)).await;
    scene.world.publisher.publish(&notice("user", &[json!({ "user": other.name })])).await;
    let by_key = scene.worker.api.closed("key", LIMIT).await;
    assert!(tells_who_hands_out(&by_key, &app, &key), "{:?}", by_key.findings);
    let by_user = scene.worker.api.closed("user", LIMIT).await;
    assert!(tells_who_hands_out(&by_user, &other, &others), "{:?}", by_user.findings);
    for key in [key, others] {
        assert_eq!(scene.tried(&key).await, refused());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_names_the_key_of_a_secret_that_is_new_finds_the_secret() {
    let scene = Scene::new().await;
    let app = scene.world.seed(vec![probeable("app", ROTATED)]).await.remove(0);
    let old = key_of(&app);
    scene.world.publisher.publish(&rotation("key", &[json!({ "access_key_id": old.id })])).await;
    scene.worker.api.closed("key", LIMIT).await;
    scene.is_replaced(&app, &old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_deleted_before_the_secrets_are_listed_holds_no_case_open() {
    let scene = Scene::new().await;
    let app = scene.world.seed(vec![probeable("app", &[])]).await.remove(0);
    let key = key_of(&app);
    scene.world.publisher.publish(&key_notice("key", &key.id)).await;
    let dead = async || (scene.tried(&key).await == refused()).then_some(());
    until("the key is dead", LIMIT, dead).await;
    let delete = scene.world.admin.delete_access_key().user_name(&app.name);
    delete.access_key_id(&key.id).send().await.unwrap();
    scene.worker.api.closed("key", LIMIT).await;
}
