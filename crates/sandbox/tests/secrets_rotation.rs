//! Rotation functions: what each leaves behind, and when.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::types::RotationRulesType;
use chrono::TimeDelta;
use severance_sandbox::aws::{KeyPair, RotationFunction, RotationKind, SandboxHandle, SecretSeed};
use support::*;

const REGION: &str = "us-east-1";
const NAME: &str = "acme/api";
const FIRST_RUN: &str = "11111111-2222-3333-4444-555555555555";
const SECOND_RUN: &str = "22222222-2222-3333-4444-555555555555";
const BUSY: (&str, u16) = ("InvalidRequestException", 400);

/// A secret with this value and function; and a client that may do everything.
fn secret(sandbox: &SandboxHandle, value: &str, function: RotationFunction) -> Client {
    let seed = sandbox.seed(ACCOUNT).unwrap();
    let secret = SecretSeed {
        region: REGION.to_owned(),
        name: NAME.to_owned(),
        value: Some(value.to_owned()),
        function: Some(function),
        ..SecretSeed::default()
    };
    seed.secret_with(secret).unwrap();
    on_its_clock(sandbox, REGION).secrets
}

/// A user whose key a secret holds.
fn key_secret(sandbox: &SandboxHandle, function: RotationFunction) -> (KeyPair, Client) {
    let (key, _) = user_with(sandbox, "deploy", ALLOW_ALL);
    let client = secret(sandbox, &value_of(&key), function);
    (key, client)
}

fn value_of(key: &KeyPair) -> String {
    let value = serde_json::json!({
        "access_key_id": key.access_key_id,
        "secret_access_key": key.secret_access_key,
        "note": "kept",
    });
    value.to_string()
}

async fn rotate(client: &Client, version: &str) -> Result<(), (String, u16)> {
    let rotate = client.rotate_secret().secret_id(NAME).client_request_token(version);
    match rotate.send().await {
        Ok(_) => Ok(()),
        Err(error) => Err(refusal::<(), _>(Err(error))),
    }
}

async fn read(client: &Client, label: &str) -> Result<String, (String, u16)> {
    let read = client.get_secret_value().secret_id(NAME).version_stage(label);
    match read.send().await {
        Ok(read) => Ok(read.secret_string().unwrap().to_owned()),
        Err(error) => Err(refusal::<(), _>(Err(error))),
    }
}

async fn labels(client: &Client, version: &str) -> Vec<String> {
    let described = client.describe_secret().secret_id(NAME).send().await.unwrap();
    let mut labels =
        described.version_ids_to_stages().unwrap().get(version).cloned().unwrap_or_default();
    labels.sort();
    labels
}

fn key_in(value: &str) -> KeyPair {
    let value: serde_json::Value = serde_json::from_str(value).unwrap();
    assert_eq!(value["note"], "kept");
    let text = |field: &str| value[field].as_str().unwrap().to_owned();
    KeyPair { access_key_id: text("access_key_id"), secret_access_key: text("secret_access_key") }
}

#[tokio::test]
async fn a_function_that_retires_keys_switches_the_old_one_off_with_the_promotion() {
    let sandbox = sandbox().await;
    let function = RotationFunction {
        retires_key: true,
        delay_ms: Some(1_000),
        ..RotationFunction::new(RotationKind::Succeeding)
    };
    let (old, client) = key_secret(&sandbox, function);
    let accepted = |key: &KeyPair| sandbox.key_state(&key.access_key_id).unwrap().accepted;
    rotate(&client, FIRST_RUN).await.unwrap();
    assert!(accepted(&old), "until the new one is promoted");
    sandbox.clock().set_offset(sandbox.clock().offset() + TimeDelta::seconds(1));
    let new = key_in(&read(&client, "AWSCURRENT").await.unwrap());
    assert_ne!(new.access_key_id, old.access_key_id);
    assert!(accepted(&new) && !accepted(&old));
}

#[tokio::test]
async fn a_key_is_made_at_iam_and_promoted_and_the_old_one_goes_on() {
    let sandbox = sandbox().await;
    let (old, client) = key_secret(&sandbox, RotationFunction::new(RotationKind::Succeeding));
    rotate(&client, FIRST_RUN).await.unwrap();
    let new = key_in(&read(&client, "AWSCURRENT").await.unwrap());
    assert_ne!(new.access_key_id, old.access_key_id);
    assert!(key_in(&read(&client, "AWSPREVIOUS").await.unwrap()) == old);
    for key in [&old, &new] {
        clients(&sandbox, &long_term(key)).sts.get_caller_identity().send().await.unwrap();
    }
    assert_eq!(labels(&client, FIRST_RUN).await, ["AWSCURRENT", "AWSPENDING"]);
    let changes = sandbox.log().changes();
    let done: Vec<_> = changes.iter().map(|it| it.operation.as_str()).collect();
    let steps = ["RotateSecret", "CreateAccessKey", "PutSecretValue", "UpdateSecretVersionStage"];
    assert_eq!(done, steps);
    assert_eq!(changes[1].subject.as_deref(), Some(new.access_key_id.as_str()));
    assert!(changes[3].caller.contains("rotation-function"));
    assert!(!format!("{changes:?}").contains(&new.secret_access_key));
}

#[tokio::test]
async fn the_next_rotation_makes_room_with_the_key_that_the_secret_held_before() {
    let sandbox = sandbox().await;
    let (old, client) = key_secret(&sandbox, RotationFunction::new(RotationKind::Succeeding));
    rotate(&client, FIRST_RUN).await.unwrap();
    let second = key_in(&read(&client, "AWSCURRENT").await.unwrap());
    rotate(&client, SECOND_RUN).await.unwrap();
    let third = key_in(&read(&client, "AWSCURRENT").await.unwrap());
    assert!(!sandbox.key_state(&old.access_key_id).unwrap().accepted);
    for key in [&second, &third] {
        assert!(sandbox.key_state(&key.access_key_id).unwrap().accepted);
    }
}

#[tokio::test]
async fn a_key_that_the_secret_never_held_is_not_touched() {
    let sandbox = sandbox().await;
    let (_, client) = key_secret(&sandbox, RotationFunction::new(RotationKind::Succeeding));
    let foreign = sandbox.seed(ACCOUNT).unwrap().access_key("deploy").unwrap();
    rotate(&client, FIRST_RUN).await.unwrap();
    assert_eq!(labels(&client, FIRST_RUN).await, ["AWSPENDING"]);
    is(&read(&client, "AWSPENDING").await.unwrap_err(), ("ResourceNotFoundException", 400));
    assert!(sandbox.key_state(&foreign.access_key_id).unwrap().accepted);
}

#[tokio::test]
async fn a_key_is_promoted_only_once_it_is_accepted() {
    let sandbox = with(|config| config.spread_delay = Duration::from_hours(1)).await;
    let (old, client) = key_secret(&sandbox, RotationFunction::new(RotationKind::Succeeding));
    rotate(&client, FIRST_RUN).await.unwrap();
    assert_eq!(labels(&client, FIRST_RUN).await, ["AWSPENDING"]);
    assert!(key_in(&read(&client, "AWSCURRENT").await.unwrap()) == old);
    sandbox.settle();
    assert_eq!(labels(&client, FIRST_RUN).await, ["AWSCURRENT", "AWSPENDING"]);
    let new = key_in(&read(&client, "AWSCURRENT").await.unwrap());
    assert!(sandbox.key_state(&new.access_key_id).unwrap().accepted);
}

#[tokio::test]
async fn texts_and_passwords_are_rotated_to_random_ones() {
    let sandbox = sandbox().await;
    let value = r#"{"user":"app","password":"hunter2"}"#;
    let client = secret(&sandbox, value, RotationFunction::new(RotationKind::Succeeding));
    rotate(&client, FIRST_RUN).await.unwrap();
    let new: serde_json::Value =
        serde_json::from_str(&read(&client, "AWSCURRENT").await.unwrap()).unwrap();
    assert_eq!(new["user"], "app");
    assert!(new["password"] != "hunter2" && new["password"].as_str().unwrap().len() == 32);
    client.put_secret_value().secret_id(NAME).secret_string("plain").send().await.unwrap();
    let pending = client.update_secret_version_stage().secret_id(NAME);
    let pending = pending.version_stage("AWSPENDING").remove_from_version_id(FIRST_RUN);
    pending.send().await.unwrap();
    rotate(&client, SECOND_RUN).await.unwrap();
    assert_eq!(read(&client, "AWSCURRENT").await.unwrap().len(), 32);
}

#[tokio::test]
async fn a_slow_rotation_is_pending_until_its_time_has_come() {
    let sandbox = sandbox().await;
    let function =
        RotationFunction { delay_ms: Some(60_000), ..RotationFunction::new(RotationKind::Slow) };
    let client = secret(&sandbox, "one", function);
    rotate(&client, FIRST_RUN).await.unwrap();
    let pending = read(&client, "AWSPENDING").await.unwrap();
    is(&rotate(&client, SECOND_RUN).await.unwrap_err(), BUSY);
    assert_eq!(read(&client, "AWSCURRENT").await.unwrap(), "one");
    sandbox.clock().set_offset(TimeDelta::minutes(2));
    assert_eq!(read(&client, "AWSCURRENT").await.unwrap(), pending);
    let described = client.describe_secret().secret_id(NAME).send().await.unwrap();
    assert!(described.last_rotated_date().is_some());
    rotate(&client, SECOND_RUN).await.unwrap();
}

#[tokio::test]
async fn a_cancelled_rotation_stops_where_it_is() {
    let sandbox = sandbox().await;
    let client = secret(&sandbox, "one", RotationFunction::new(RotationKind::Slow));
    rotate(&client, FIRST_RUN).await.unwrap();
    assert!(read(&client, "AWSPENDING").await.is_ok());
    client.cancel_rotate_secret().secret_id(NAME).send().await.unwrap();
    sandbox.clock().set_offset(TimeDelta::hours(1));
    assert_eq!(read(&client, "AWSCURRENT").await.unwrap(), "one");
    assert_eq!(labels(&client, FIRST_RUN).await, ["AWSPENDING"]);
    is(&rotate(&client, SECOND_RUN).await.unwrap_err(), BUSY);
}

#[tokio::test]
async fn a_failed_rotation_is_tried_again_on_the_same_version_when_another_is_asked_for() {
    let sandbox = sandbox().await;
    let function =
        RotationFunction { failing_runs: Some(2), ..RotationFunction::new(RotationKind::Failing) };
    let client = secret(&sandbox, "one", function);
    rotate(&client, FIRST_RUN).await.unwrap();
    is(&read(&client, "AWSPENDING").await.unwrap_err(), ("ResourceNotFoundException", 400));
    is(&rotate(&client, SECOND_RUN).await.unwrap_err(), BUSY);
    assert_eq!(labels(&client, FIRST_RUN).await, ["AWSPENDING"], "the second run fails too");
    is(&rotate(&client, SECOND_RUN).await.unwrap_err(), BUSY);
    assert_eq!(labels(&client, FIRST_RUN).await, ["AWSCURRENT", "AWSPENDING"]);
    assert_eq!(labels(&client, SECOND_RUN).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_stale_pending_version_holds_a_key_that_works_and_blocks_until_it_is_unlabelled() {
    let sandbox = sandbox().await;
    let (old, client) = key_secret(&sandbox, RotationFunction::new(RotationKind::StalePending));
    rotate(&client, FIRST_RUN).await.unwrap();
    let left = key_in(&read(&client, "AWSPENDING").await.unwrap());
    assert!(sandbox.key_state(&left.access_key_id).unwrap().accepted);
    assert!(key_in(&read(&client, "AWSCURRENT").await.unwrap()) == old);
    is(&rotate(&client, SECOND_RUN).await.unwrap_err(), BUSY);
    let kept = key_in(&read(&client, "AWSPENDING").await.unwrap());
    assert!(kept == left, "what was made is used again");
    let seed = sandbox.seed(ACCOUNT).unwrap();
    let function = Some(RotationFunction::new(RotationKind::Succeeding));
    seed.rotation_function(REGION, NAME, function).unwrap();
    is(&rotate(&client, SECOND_RUN).await.unwrap_err(), BUSY);
    assert!(key_in(&read(&client, "AWSCURRENT").await.unwrap()) == left);
}

#[tokio::test]
async fn a_schedule_rotates_by_itself() {
    let sandbox = sandbox().await;
    let client = secret(&sandbox, "one", RotationFunction::new(RotationKind::Succeeding));
    let rules = RotationRulesType::builder().schedule_expression("rate(2 days)").build();
    let rotate = client.rotate_secret().secret_id(NAME).rotation_rules(rules);
    rotate.rotate_immediately(false).send().await.unwrap();
    sandbox.clock().set_offset(TimeDelta::hours(47));
    assert_eq!(read(&client, "AWSCURRENT").await.unwrap(), "one");
    sandbox.clock().set_offset(TimeDelta::hours(49));
    let two = read(&client, "AWSCURRENT").await.unwrap();
    assert_ne!(two, "one");
    sandbox.clock().set_offset(TimeDelta::hours(97));
    assert_ne!(read(&client, "AWSCURRENT").await.unwrap(), two);
    client.cancel_rotate_secret().secret_id(NAME).send().await.unwrap();
    let three = read(&client, "AWSCURRENT").await.unwrap();
    sandbox.clock().set_offset(TimeDelta::days(30));
    assert_eq!(read(&client, "AWSCURRENT").await.unwrap(), three);
}

#[tokio::test]
async fn a_managed_secret_is_rotated_but_not_written_by_others() {
    let sandbox = sandbox().await;
    let seed = sandbox.seed(ACCOUNT).unwrap();
    let managed = SecretSeed {
        region: REGION.to_owned(),
        name: NAME.to_owned(),
        value: Some("one".to_owned()),
        owning_service: Some("rds".to_owned()),
        ..SecretSeed::default()
    };
    seed.secret_with(managed).unwrap();
    let client = root(&sandbox).secrets;
    let put = client.put_secret_value().secret_id(NAME).secret_string("mine").send().await;
    is(&refusal(put), BUSY);
    let update = client.update_secret().secret_id(NAME).description("mine").send().await;
    is(&refusal(update), BUSY);
    is(&refusal(client.delete_secret().secret_id(NAME).send().await), BUSY);
    let arn = "arn:aws:lambda:us-east-1:111111111111:function:failing";
    let lambda = client.rotate_secret().secret_id(NAME).rotation_lambda_arn(arn).send().await;
    is(&refusal(lambda), BUSY);
    rotate(&client, FIRST_RUN).await.unwrap();
    assert_ne!(read(&client, "AWSCURRENT").await.unwrap(), "one");
    let described = client.describe_secret().secret_id(NAME).send().await.unwrap();
    assert_eq!(described.owning_service(), Some("rds"));
}
