//! Secrets on a bad day: late changes, faults, throttles; what the log keeps; and the controls.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use chrono::TimeDelta;
use severance_sandbox::aws::{Fault, FaultRule, RotationFunction, RotationKind, SecretSeed};
use support::*;

const NAME: &str = "acme/api";
const TOKEN: &str = "11111111-2222-3333-4444-555555555555";

fn late() -> impl Future<Output = severance_sandbox::aws::SandboxHandle> {
    with(|config| config.spread_delay = Duration::from_hours(1))
}

async fn make(client: &Client) {
    client.create_secret().name(NAME).secret_string("one").send().await.unwrap();
}

async fn value(client: &Client, label: &str) -> Option<String> {
    let read = client.get_secret_value().secret_id(NAME).version_stage(label).send().await;
    read.ok().map(|read| read.secret_string().unwrap().to_owned())
}

#[tokio::test]
async fn a_moved_label_shows_at_once_and_is_followed_late() {
    let sandbox = late().await;
    let client = root(&sandbox).secrets;
    make(&client).await;
    assert_eq!(value(&client, "AWSCURRENT").await.as_deref(), Some("one"));
    let put = client.put_secret_value().secret_id(NAME).client_request_token(TOKEN);
    put.secret_string("two").send().await.unwrap();
    let described = client.describe_secret().secret_id(NAME).send().await.unwrap();
    assert_eq!(described.version_ids_to_stages().unwrap()[TOKEN], ["AWSCURRENT"]);
    assert_eq!(value(&client, "AWSCURRENT").await.as_deref(), Some("one"));
    assert_eq!(value(&client, "AWSPREVIOUS").await, None);
    let by_id = client.get_secret_value().secret_id(NAME).version_id(TOKEN).send().await.unwrap();
    assert_eq!(by_id.secret_string(), Some("two"));
    sandbox.settle();
    assert_eq!(value(&client, "AWSCURRENT").await.as_deref(), Some("two"));
    assert_eq!(value(&client, "AWSPREVIOUS").await.as_deref(), Some("one"));
}

#[tokio::test]
async fn a_resource_policy_shows_at_once_and_holds_late() {
    let sandbox = late().await;
    let client = root(&sandbox).secrets;
    make(&client).await;
    let (_, eve) = user_with(&sandbox, "eve", ALLOW_ALL);
    let policy = r#"{"Statement":{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::111111111111:user/eve"},"Action":"*","Resource":"*"}}"#;
    let put = client.put_resource_policy().secret_id(NAME).resource_policy(policy);
    put.send().await.unwrap();
    let shown = client.get_resource_policy().secret_id(NAME).send().await.unwrap();
    assert_eq!(shown.resource_policy(), Some(policy));
    assert!(value(&eve.secrets, "AWSCURRENT").await.is_some());
    sandbox.settle();
    assert!(value(&eve.secrets, "AWSCURRENT").await.is_none());
    client.delete_resource_policy().secret_id(NAME).send().await.unwrap();
    assert!(value(&eve.secrets, "AWSCURRENT").await.is_none(), "its end holds late too");
    sandbox.settle();
    assert!(value(&eve.secrets, "AWSCURRENT").await.is_some());
}

#[tokio::test]
async fn a_deleted_secret_is_gone_when_its_window_has_passed() {
    let sandbox = sandbox().await;
    let client = on_its_clock(&sandbox, "us-east-1").secrets;
    make(&client).await;
    let delete = || client.delete_secret().secret_id(NAME).recovery_window_in_days(7);
    delete().send().await.unwrap();
    sandbox.clock().set_offset(TimeDelta::days(6));
    client.restore_secret().secret_id(NAME).send().await.unwrap();
    sandbox.clock().set_offset(TimeDelta::days(8));
    assert!(value(&client, "AWSCURRENT").await.is_some(), "it was restored in time");
    delete().send().await.unwrap();
    sandbox.clock().set_offset(TimeDelta::days(16));
    let read = client.describe_secret().secret_id(NAME).send().await;
    is(&refusal(read), ("ResourceNotFoundException", 400));
    make(&client).await;
}

#[tokio::test]
async fn faults_strike_these_operations_too() {
    let sandbox = sandbox().await;
    let client = root(&sandbox).secrets;
    make(&client).await;
    let changes = sandbox.log().changes().len();
    for (fault, expected) in [
        (Fault::InternalError, ("InternalServiceError", 500)),
        (Fault::Unavailable, ("ServiceUnavailable", 503)),
        (Fault::Throttle, ("ThrottlingException", 400)),
        (Fault::Refuse, ("no code", 0)),
    ] {
        sandbox.faults().add(FaultRule::new(fault).on("PutSecretValue").times(1));
        let put = client.put_secret_value().secret_id(NAME).secret_string("two").send().await;
        is(&refusal(put), expected);
    }
    assert_eq!(value(&client, "AWSCURRENT").await.as_deref(), Some("one"));
    assert_eq!(sandbox.log().changes().len(), changes);
    sandbox.faults().add(FaultRule::new(Fault::AppliedUnanswered).on("PutSecretValue").times(1));
    let put = client.put_secret_value().secret_id(NAME).client_request_token(TOKEN);
    let put = put.secret_string("two");
    is(&refusal(put.clone().send().await), ("no code", 0));
    assert_eq!(value(&client, "AWSCURRENT").await.as_deref(), Some("two"));
    put.send().await.unwrap();
    assert_eq!(sandbox.log().changes().len(), changes + 1, "the second put changed nothing");
}

#[tokio::test]
async fn the_published_rates_throttle_writes_and_leave_reads() {
    let sandbox = with(|config| config.published_rates = true).await;
    let client = root(&sandbox).secrets;
    sandbox.seed(ACCOUNT).unwrap().secret("us-east-1", NAME, "one", &[]).unwrap();
    let update = || client.update_secret().secret_id(NAME);
    // Fifty at once and fifty a second: this many pass only in seven seconds or more.
    let calls = (0..400).map(|number| update().description(number.to_string()).send());
    let answers = futures::future::join_all(calls).await;
    let (passed, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert!(passed.len() >= 50, "{}", passed.len());
    let throttled = refused.into_iter().next().expect("some are throttled");
    is(&refusal(throttled), ("ThrottlingException", 400));
    assert!(value(&client, "AWSCURRENT").await.is_some());
    sandbox.keep_published_rates(false);
    update().description("free").send().await.unwrap();
}

#[tokio::test]
async fn no_secret_value_is_in_the_log_or_in_an_error() {
    const VALUE: &str = "hunter2-hunter2";
    let sandbox = sandbox().await;
    let client = root(&sandbox).secrets;
    let seed = SecretSeed { value: Some(VALUE.to_owned()), ..SecretSeed::default() };
    assert!(!format!("{seed:?}").contains(VALUE));
    client.create_secret().name(NAME).secret_string(VALUE).send().await.unwrap();
    let put = client.put_secret_value().secret_id(NAME).client_request_token(TOKEN);
    put.secret_string(VALUE).send().await.unwrap();
    let other = client.put_secret_value().secret_id(NAME).client_request_token(TOKEN);
    let refused = other.secret_string(format!("{VALUE}!")).send().await.unwrap_err();
    assert!(!format!("{:?}", refused.into_service_error()).contains(VALUE));
    let bad = client.update_secret().secret_id("nothing").secret_string(VALUE).send().await;
    assert!(!format!("{:?}", bad.unwrap_err().into_service_error()).contains(VALUE));
    value(&client, "AWSCURRENT").await.unwrap();
    let password = client.get_random_password().send().await.unwrap();
    let log = format!("{:?}", sandbox.log().calls());
    assert!(!log.contains(VALUE) && !log.contains(password.random_password().unwrap()));
    let changes = sandbox.log().changes();
    let done: Vec<_> = changes.iter().map(|it| it.operation.as_str()).collect();
    assert_eq!(done, ["CreateSecret", "PutSecretValue"]);
    assert_eq!(changes[1].subject.as_deref(), Some(TOKEN));
    assert!(changes[1].resource.contains(":secret:acme/api-"));
}

#[tokio::test]
async fn secrets_and_their_functions_are_set_up_over_http() {
    let sandbox = sandbox().await;
    let http = reqwest::Client::new();
    let url = |path: &str| format!("{}/_sandbox/{path}", sandbox.endpoint());
    let secret = serde_json::json!({
        "account": ACCOUNT, "region": "us-east-1", "name": NAME, "value": "one",
        "tags": {"severance:zone": "acme"}, "function": {"kind": "stale-pending"},
    });
    let made: serde_json::Value =
        http.post(url("secrets")).json(&secret).send().await.unwrap().json().await.unwrap();
    assert!(made["arn"].as_str().unwrap().contains(":secret:acme/api-"));
    assert_eq!(http.post(url("secrets")).json(&secret).send().await.unwrap().status(), 400);
    let client = root(&sandbox).secrets;
    client.rotate_secret().secret_id(NAME).send().await.unwrap();
    assert!(value(&client, "AWSPENDING").await.is_some());
    let function = RotationFunction::new(RotationKind::Succeeding);
    let rotation = serde_json::json!({
        "account": ACCOUNT, "region": "us-east-1", "name": NAME, "function": function,
    });
    http.post(url("rotation")).json(&rotation).send().await.unwrap().error_for_status().unwrap();
    let busy = client.rotate_secret().secret_id(NAME).send().await;
    is(&refusal(busy), ("InvalidRequestException", 400));
    assert_eq!(value(&client, "AWSCURRENT").await, value(&client, "AWSPENDING").await);
    let patch = serde_json::json!({ "replica_delay_ms": 5_000, "published_rates": true });
    let settings: serde_json::Value =
        http.patch(url("settings")).json(&patch).send().await.unwrap().json().await.unwrap();
    assert_eq!(settings["replica_delay_ms"], 5_000);
    assert_eq!(settings["published_rates"], true);
}
