//! Somebody else changes things meanwhile: people, Terraform, an attacker.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use aws_sdk_iam::types::StatusType;
use severance_lifecycle::finding::Finding;
use severance_tests::aws::{Tried, try_key};
use severance_tests::calls::deactivates;
use severance_tests::clock::now;
use severance_tests::events::{contract_end, key_notice};
use severance_tests::settings::Settings;
use severance_tests::wait::until;
use severance_tests::world::{ACCOUNT, World, key_of, probeable, user};

const LIMIT: Duration = Duration::from_secs(40);
const TAGS: [(&str, &str); 2] = [("severance:zone", "acme"), ("severance:contract", "payments")];

fn settings(world: &World, zone: &str) -> Settings {
    let mut settings = world.settings();
    settings.more = format!("[zones.acme]\nmode = \"enforce\"\n{zone}\n");
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_switched_on_again_before_the_close_is_switched_off_and_proven_anew() {
    let world = World::new().await;
    let (made, key) = world.seed_one(probeable("leaked", &TAGS)).await;
    let worker = world.worker(&settings(&world, "spread = \"3s\"")).await;
    world.publisher.publish(&key_notice("leak", &key.id)).await;
    // The last probe has been made; the case waits for its denies to hold everywhere.
    worker
        .api
        .case_when("leak", LIMIT, |case| {
            case.tasks.iter().any(|it| it.task.record.sealed_since.is_some())
        })
        .await;
    let reverted = now();
    let on = world.admin.update_access_key().user_name(&made.name).access_key_id(&key.id);
    on.status(StatusType::Active).send().await.unwrap();

    let case = worker.api.closed("leak", LIMIT).await;
    let revoked = case.tasks.iter().find(|it| it.task.counts).unwrap();
    let verified = revoked.task.verified_at.unwrap();
    let changes = world.worker_changes().await;
    let again = changes.iter().filter(|call| deactivates(call)).map(|call| call.started).max();
    let again = again.expect("a deactivation");
    assert!(again > reverted, "switched off once only, before {reverted}");
    assert!(verified > again, "proven at {verified}, before the last deactivation at {again}");
    assert_ne!(try_key(&world.sandbox.endpoint, &key).await, Tried::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_made_again_under_the_same_name_is_another_user() {
    let world = World::new().await;
    let (old, old_key) = world.seed_one(probeable("phoenix", &TAGS)).await;
    let worker = world.worker(&settings(&world, "")).await;
    world.inventory_done(&worker).await;
    // The inventory knows the old one; it is gone, and another has its name.
    let admin = &world.admin;
    let gone = admin.delete_access_key().user_name(&old.name).access_key_id(&old_key.id);
    gone.send().await.unwrap();
    admin.delete_user().user_name(&old.name).send().await.unwrap();
    let mut seed = user("phoenix", &[]);
    seed.access_keys = 1;
    let (_, new_key) = world.seed_one(seed).await;
    // A key is planned on the user that the inventory saw it with, which is the old one.
    world.publisher.publish(&key_notice("leak", &old_key.id)).await;

    worker.api.closed("leak", LIMIT).await;
    assert!(world.worker_changes().await.is_empty(), "the new user was touched");
    assert_eq!(try_key(&world.sandbox.endpoint, &new_key).await, Tried::Accepted);
    assert_ne!(try_key(&world.sandbox.endpoint, &old_key).await, Tried::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_keeps_its_credentials_when_their_tags_change() {
    let world = World::new().await;
    let (made, key) = world.seed_one(probeable("moving", &TAGS)).await;
    // Long enough for a listing after the change, before the case closes.
    let mut settings = settings(&world, "spread = \"6s\"");
    settings.more.push_str("[inventory]\nrefresh = \"1s\"\n");
    let worker = world.worker(&settings).await;
    world.inventory_done(&worker).await;
    world.publisher.publish(&contract_end("end", ("acme", "payments"), "ended", 1, now())).await;
    worker.api.case_when("end", LIMIT, |case| !case.tasks.is_empty()).await;
    let tag = |name: &str, value: &str| {
        aws_sdk_iam::types::Tag::builder().key(name).value(value).build().unwrap()
    };
    let retag = world.admin.tag_user().user_name(&made.name);
    let retag = retag.tags(tag("severance:zone", "other")).tags(tag("severance:contract", "else"));
    retag.send().await.unwrap();

    let case = worker.api.closed("end", LIMIT).await;
    assert_ne!(try_key(&world.sandbox.endpoint, &key).await, Tried::Accepted);
    let changed = case.findings.iter().find_map(|finding| match finding {
        Finding::TagsChanged { identity, was, is } => Some((identity, was, is)),
        _ => None,
    });
    let (identity, was, is) = changed.unwrap_or_else(|| panic!("no finding: {:#?}", case.findings));
    assert_eq!(identity, &format!("arn:aws:iam::{ACCOUNT}:user/{}", made.name));
    let words = (was.as_str(), is.as_str());
    assert_eq!(words, ("zone acme, contract payments", "zone other, contract else"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_case_holds_stays_when_one_contract_is_reinstated() {
    let world = World::new().await;
    let (made, key) = world.seed_one(probeable("shared", &TAGS)).await;
    let mut settings = settings(&world, "");
    settings.more.push_str("[inventory]\nrefresh = \"1s\"\n");
    let worker = world.worker(&settings).await;
    world.inventory_done(&worker).await;
    let publish = async |id: &str, contract: &str, change: &str, revision: u64| {
        let event = contract_end(id, ("acme", contract), change, revision, now());
        world.publisher.publish(&event).await;
        worker.api.closed(id, LIMIT).await
    };
    publish("first", "payments", "ended", 1).await;
    let tag = aws_sdk_iam::types::Tag::builder().key("severance:contract").value("support");
    let retag = world.admin.tag_user().user_name(&made.name).tags(tag.build().unwrap());
    retag.send().await.unwrap();
    // The inventory has to see the new contract before its end can name the user.
    let seen = now();
    until("a refresh after the change", LIMIT, async || {
        let calls = world.sandbox.control.calls_after(0).await;
        let lists = |call: &&severance_sandbox::aws::CallRecord| {
            call.operation == "GetAccountAuthorizationDetails" && call.started > seen
        };
        // The second that begins after the change begins after the first has been stored.
        (calls.iter().filter(lists).count() >= 2).then_some(())
    })
    .await;
    publish("second", "support", "ended", 1).await;
    let before = deny_names(&world, &made.name).await;
    publish("back", "payments", "reinstated", 2).await;
    let after = deny_names(&world, &made.name).await;
    assert_eq!((before.len(), after.len()), (2, 1), "{before:?} then {after:?}");
    assert_ne!(try_key(&world.sandbox.endpoint, &key).await, Tried::Accepted);
}

async fn deny_names(world: &World, user: &str) -> Vec<String> {
    world.admin.list_user_policies().user_name(user).send().await.unwrap().policy_names
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_minted_from_a_key_before_its_end_can_do_nothing_after() {
    let world = World::new().await;
    let mut seed = probeable("minted", &TAGS);
    seed.policies = vec![severance_tests::world::ADMINISTRATOR.to_owned()];
    let made = world.seed(vec![seed]).await.remove(0);
    let key = key_of(&made);
    let session = severance_tests::aws::sts(&world.sandbox.endpoint, &key).await;
    let session = session.get_session_token().send().await.unwrap().credentials.unwrap();
    let session = severance_tests::aws::Key {
        id: session.access_key_id,
        secret: session.secret_access_key,
        token: Some(session.session_token),
    };
    let stolen = severance_tests::aws::sts(&world.sandbox.endpoint, &session).await;
    assert!(stolen.get_caller_identity().send().await.is_ok(), "the session works");
    let role = "arn:aws:iam::111111111111:role/none";
    let worker = world.worker(&settings(&world, "")).await;
    world.publisher.publish(&key_notice("leak", &key.id)).await;
    worker.api.closed("leak", LIMIT).await;
    // GetCallerIdentity needs no permission: what proves a session's end is a denied action.
    let denied = stolen.assume_role().role_arn(role).role_session_name("test").send().await;
    let code = denied.unwrap_err();
    let code = aws_sdk_sts::error::ProvideErrorMetadata::code(&code).map(str::to_owned);
    assert_eq!(code.as_deref(), Some("AccessDenied"));
}
