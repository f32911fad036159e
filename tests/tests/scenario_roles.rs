//! Roles at a contract's end: the partner leaves the trust policy, and everything else stays.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use serde_json::{Value, json};
use severance_engine::ports::TaskDetail;
use severance_lifecycle::finding::Finding;
use severance_lifecycle::task::{BlockReason, TaskState};
use severance_sandbox::aws::{Fault, FaultRule};
use severance_tests::aws::{Key, iam, sts};
use severance_tests::clock::now;
use severance_tests::events::contract_end;
use severance_tests::settings::Settings;
use severance_tests::wait::until;
use severance_tests::world::{ACCOUNT, ADMINISTRATOR, World, key_of, user};

const LIMIT: Duration = Duration::from_secs(40);
const PARTNER: &str = "222222222222";
const OTHER: &str = "333333333333";

struct Parties {
    world: World,
    partner: Key,
    other: Key,
}

/// A partner's and another company's user, each in an account of its own.
async fn parties() -> Parties {
    let world = World::with_accounts(&[ACCOUNT, PARTNER, OTHER]).await;
    let mut keys = Vec::new();
    for account in [PARTNER, OTHER] {
        let mut seed = user("ci", &[]);
        seed.access_keys = 1;
        seed.policies = vec![ADMINISTRATOR.to_owned()];
        keys.push(key_of(&world.sandbox.control.seed(account, vec![seed]).await[0]));
    }
    let other = keys.remove(1);
    Parties { world, partner: keys.remove(0), other }
}

fn settings(world: &World) -> Settings {
    let mut settings = world.settings();
    settings.more = format!(
        "[zones.acme]\nmode = \"enforce\"\npartner = {{ accounts = [\"{PARTNER}\"] }}\n\
         roles = {{ shared = \"cut\" }}\n"
    );
    settings
}

fn ci(account: &str) -> String {
    format!("arn:aws:iam::{account}:user/ci")
}

fn allow(sid: &str, principals: &[String]) -> Value {
    json!({
        "Sid": sid,
        "Effect": "Allow",
        "Principal": { "AWS": principals },
        "Action": "sts:AssumeRole",
    })
}

fn trust(statements: &[Value]) -> String {
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

async fn make_role(world: &World, name: &str, statements: &[Value]) {
    let tag = |key: &str, value: &str| {
        aws_sdk_iam::types::Tag::builder().key(key).value(value).build().unwrap()
    };
    let role = world.admin.create_role().role_name(name);
    let role = role.assume_role_policy_document(trust(statements));
    let role = role.tags(tag("severance:zone", "acme")).tags(tag("severance:contract", "payments"));
    role.send().await.unwrap();
}

async fn can_assume(world: &World, key: &Key, role: &str) -> bool {
    let role = format!("arn:aws:iam::{ACCOUNT}:role/{role}");
    let sts = sts(&world.sandbox.endpoint, key).await;
    sts.assume_role().role_arn(role).role_session_name("test").send().await.is_ok()
}

async fn trust_now(world: &World, role: &str) -> String {
    let role = world.admin.get_role().role_name(role).send().await.unwrap();
    let document = role.role.unwrap().assume_role_policy_document.unwrap();
    percent_decoded(&document)
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let decoded =
            hex.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap()
}

async fn end_contract(world: &World) {
    let end = contract_end("end", ("acme", "payments"), "ended", 1, now());
    world.publisher.publish(&end).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_leaves_a_shared_role_and_the_others_stay() {
    let Parties { world, partner, other } = parties().await;
    make_role(&world, "shared", &[allow("both", &[ci(PARTNER), ci(OTHER)])]).await;
    assert!(can_assume(&world, &partner, "shared").await);
    let worker = world.worker(&settings(&world)).await;
    world.inventory_done(&worker).await;
    end_contract(&world).await;
    worker.api.closed("end", LIMIT).await;
    assert!(!can_assume(&world, &partner, "shared").await);
    assert!(can_assume(&world, &other, "shared").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_the_partner_alone_is_denied_since_no_principal_would_be_left() {
    let Parties { world, partner, .. } = parties().await;
    make_role(&world, "alone", &[allow("one", &[ci(PARTNER)])]).await;
    let before = trust_now(&world, "alone").await;
    let worker = world.worker(&settings(&world)).await;
    world.inventory_done(&worker).await;
    end_contract(&world).await;
    worker.api.closed("end", LIMIT).await;
    assert_eq!(trust_now(&world, "alone").await, before, "an empty principal is not valid");
    let sts_of_partner = sts(&world.sandbox.endpoint, &partner).await;
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/alone");
    // The role may still be taken; whoever takes it may do nothing.
    if let Ok(taken) =
        sts_of_partner.assume_role().role_arn(arn).role_session_name("test").send().await
    {
        let session = taken.credentials.unwrap();
        let key = Key {
            id: session.access_key_id,
            secret: session.secret_access_key,
            token: Some(session.session_token),
        };
        let iam = iam(&world.sandbox.endpoint, &key).await;
        assert!(iam.list_users().send().await.is_err());
    }
    let names = world.admin.list_role_policies().role_name("alone").send().await.unwrap();
    assert_eq!(names.policy_names.len(), 1, "{:?}", names.policy_names);
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_a_whole_account_and_a_deleted_identity_are_named() {
    let Parties { world, partner, .. } = parties().await;
    let seed = user("leaver", &[]);
    let leaver = world.sandbox.control.seed(OTHER, vec![seed]).await.remove(0);
    let (id, secret) = world.sandbox.control.root_key(OTHER).await;
    let there = iam(&world.sandbox.endpoint, &Key::new(&id, &secret)).await;
    let role = there.create_role().role_name("left");
    let role = role.assume_role_policy_document(trust(&[allow("own", &[ci(OTHER)])]));
    let role = role.send().await.unwrap().role.unwrap();
    assert!(role.role_id.starts_with("AROA"), "{}", role.role_id);
    let root = format!("arn:aws:iam::{OTHER}:root");
    let statements = [
        allow("partner", &[ci(PARTNER)]),
        allow("everyone", &["*".to_owned()]),
        allow("account", std::slice::from_ref(&root)),
        allow("stale", &[format!("arn:aws:iam::{OTHER}:user/leaver"), role.arn.clone()]),
    ];
    make_role(&world, "loose", &statements).await;
    // IAM shows the unique id of an identity that is gone.
    there.delete_role().role_name("left").send().await.unwrap();
    there.delete_user().user_name("leaver").send().await.unwrap();
    let worker = world.worker(&settings(&world)).await;
    world.inventory_done(&worker).await;
    end_contract(&world).await;
    // Everyone is let in: who was taken out comes in again, and a person must say who may.
    let is_blocked = |it: &TaskDetail| it.task.state.as_str() == "blocked";
    let case = worker.api.case_when("end", LIMIT, |case| case.tasks.iter().any(is_blocked)).await;
    let state = &case.tasks.iter().find(|it| is_blocked(it)).unwrap().task.state;
    let why = matches!(state, TaskState::Blocked { reason: BlockReason::EveryoneTrusted { .. } });
    assert!(why, "{state:?}");
    assert!(can_assume(&world, &partner, "loose").await);
    let named = case.findings.iter().find_map(|finding| match finding {
        Finding::SuspiciousTrust { principals, .. } => Some(principals.clone()),
        _ => None,
    });
    let named = named.unwrap_or_else(|| panic!("no finding: {:#?}", case.findings));
    for principal in ["*", &root, &leaver.id, &role.role_id] {
        assert!(named.iter().any(|it| it == principal), "{principal} is not in {named:?}");
    }
    assert!(!trust_now(&world, "loose").await.contains(&ci(PARTNER)));

    // Once it names those who may assume it, the task goes on by itself when it is tried again.
    let update = world.admin.update_assume_role_policy().role_name("loose");
    update.policy_document(trust(&[allow("account", &[root])])).send().await.unwrap();
    worker.api.retry_all().await;
    worker.api.closed("end", LIMIT).await;
    assert!(!can_assume(&world, &partner, "loose").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trust_policy_that_is_edited_while_it_is_changed_is_looked_at_again() {
    let Parties { world, partner, other } = parties().await;
    make_role(&world, "edited", &[allow("both", &[ci(PARTNER), ci(OTHER)])]).await;
    let worker = world.worker(&settings(&world)).await;
    world.inventory_done(&worker).await;
    // The worker's reads are held up, so that the edit comes between its write and its reading back.
    let slow = FaultRule {
        access_key_id: Some(world.worker_key.id.clone()),
        ..FaultRule::new(Fault::Delay { millis: 700 }).on("GetRole")
    };
    world.sandbox.control.fault(&slow).await;
    end_contract(&world).await;
    until("the worker's write", LIMIT, async || {
        let changes = world.worker_changes().await;
        changes.iter().any(|call| call.operation == "UpdateAssumeRolePolicy").then_some(())
    })
    .await;
    let edit = [allow("both", &[ci(PARTNER), ci(OTHER)]), allow("new", &[ci(OTHER)])];
    let update = world.admin.update_assume_role_policy().role_name("edited");
    update.policy_document(trust(&edit)).send().await.unwrap();

    worker.api.closed("end", LIMIT).await;
    assert!(!can_assume(&world, &partner, "edited").await, "the partner is back in");
    assert!(can_assume(&world, &other, "edited").await);
    assert!(trust_now(&world, "edited").await.contains("\"new\""), "the other's edit is lost");
}
