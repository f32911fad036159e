//! Resource policies: across accounts, and how they go together with a caller's own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use aws_sdk_secretsmanager::Client;
use severance_sandbox::aws::SandboxHandle;
use support::*;

const DENIED: (&str, u16) = ("AccessDeniedException", 400);

/// A secret with a customer's key, which other accounts may be let in to; its ARN.
async fn secret(sandbox: &SandboxHandle) -> String {
    let create = root(sandbox).secrets.create_secret().name("shared").secret_string("one");
    let key = "arn:aws:kms:us-east-1:111111111111:key/00000000-0000-0000-0000-000000000000";
    create.kms_key_id(key).send().await.unwrap().arn().unwrap().to_owned()
}

async fn put(sandbox: &SandboxHandle, effect: &str, principal: &str, rest: &str) {
    let policy = format!(
        r#"{{"Statement":{{"Effect":"{effect}","Principal":{principal},"Action":"secretsmanager:GetSecretValue","Resource":"*"{rest}}}}}"#
    );
    let put = root(sandbox).secrets.put_resource_policy().secret_id("shared");
    put.resource_policy(policy).send().await.unwrap();
}

async fn reads(client: &Client, arn: &str) -> bool {
    match client.get_secret_value().secret_id(arn).send().await {
        Ok(_) => true,
        Err(error) => {
            is(&refusal::<(), _>(Err(error)), DENIED);
            false
        }
    }
}

/// A user of the other account with this policy.
fn stranger(sandbox: &SandboxHandle, name: &str, policy: &str) -> Client {
    let seed = sandbox.seed(OTHER).unwrap();
    seed.user(name, &[]).unwrap();
    seed.user_policy(name, "p", policy).unwrap();
    clients(sandbox, &long_term(&seed.access_key(name).unwrap())).secrets
}

#[tokio::test]
async fn across_accounts_both_sides_must_allow() {
    let sandbox = sandbox().await;
    let arn = secret(&sandbox).await;
    let (willing, idle) = (
        stranger(&sandbox, "willing", ALLOW_ALL),
        stranger(&sandbox, "idle", &ALLOW_ALL.replace(r#""Action":"*""#, r#""Action":"iam:*""#)),
    );
    assert!(!reads(&willing, &arn).await, "the secret's side is missing");
    for principal in [
        r#"{"AWS":"arn:aws:iam::222222222222:root"}"#,
        r#"{"AWS":["222222222222"]}"#,
        r#"{"AWS":["arn:aws:iam::222222222222:user/willing","arn:aws:iam::222222222222:user/idle"]}"#,
        r#""*""#,
    ] {
        put(&sandbox, "Allow", principal, "").await;
        assert!(reads(&willing, &arn).await, "{principal}");
        assert!(!reads(&idle, &arn).await, "{principal}: the caller's own side is missing");
    }
    put(&sandbox, "Deny", r#"{"AWS":"222222222222"}"#, "").await;
    assert!(!reads(&willing, &arn).await);
}

#[tokio::test]
async fn a_secret_with_the_default_key_is_not_read_from_another_account() {
    let sandbox = sandbox().await;
    let seed = sandbox.seed(ACCOUNT).unwrap();
    let arn = seed.secret("us-east-1", "shared", "one", &[]).unwrap();
    put(&sandbox, "Allow", r#"{"AWS":"222222222222"}"#, "").await;
    let willing = stranger(&sandbox, "willing", ALLOW_ALL);
    let read = willing.get_secret_value().secret_id(&arn).send().await;
    is(&refusal(read), ("InvalidRequestException", 400));
}

#[tokio::test]
async fn a_secret_of_another_account_that_is_not_there_is_denied_and_not_missing() {
    let sandbox = sandbox().await;
    let willing = stranger(&sandbox, "willing", ALLOW_ALL);
    let nothing = "arn:aws:secretsmanager:us-east-1:111111111111:secret:nothing-AbCdEf";
    assert!(!reads(&willing, nothing).await);
}

#[tokio::test]
async fn conditions_on_tags_regions_and_versions_are_evaluated() {
    let sandbox = sandbox().await;
    let arn = secret(&sandbox).await;
    let (_, eve) = user_with(&sandbox, "eve", ALLOW_ALL);
    let tag = aws_sdk_secretsmanager::types::Tag::builder().key("zone").value("acme").build();
    root(&sandbox).secrets.tag_resource().secret_id("shared").tags(tag).send().await.unwrap();
    for (condition, denies) in [
        (r#"{"StringEquals":{"secretsmanager:ResourceTag/zone":"acme"}}"#, true),
        (r#"{"StringEquals":{"aws:ResourceTag/zone":"other"}}"#, false),
        (r#"{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}"#, true),
        (r#"{"StringEquals":{"secretsmanager:VersionStage":"AWSPREVIOUS"}}"#, false),
        (r#"{"StringEquals":{"aws:RequestedRegion":"us-east-1"}}"#, true),
        (r#"{"StringLike":{"aws:PrincipalArn":"*:user/eve"}}"#, true),
        (r#"{"DateLessThan":{"aws:TokenIssueTime":"2100-01-01T00:00:00Z"}}"#, false),
    ] {
        put(&sandbox, "Deny", r#""*""#, &format!(r#","Condition":{condition}"#)).await;
        assert_eq!(reads(&eve.secrets, &arn).await, !denies, "{condition}");
    }
}

#[tokio::test]
async fn a_boundary_caps_what_a_resource_policy_lets_in() {
    let sandbox = sandbox().await;
    let arn = secret(&sandbox).await;
    let seed = sandbox.seed(ACCOUNT).unwrap();
    seed.user("eve", &[]).unwrap();
    let eve = clients(&sandbox, &long_term(&seed.access_key("eve").unwrap())).secrets;
    put(&sandbox, "Allow", r#"{"AWS":"arn:aws:iam::111111111111:user/eve"}"#, "").await;
    assert!(reads(&eve, &arn).await);
    let policy = ALLOW_ALL.replace(r#""Action":"*""#, r#""Action":"iam:*""#);
    let iam = root(&sandbox).iam;
    let made = iam.create_policy().policy_name("iam").policy_document(policy).send().await.unwrap();
    let cap = iam.put_user_permissions_boundary().user_name("eve");
    cap.permissions_boundary(made.policy().unwrap().arn().unwrap()).send().await.unwrap();
    assert!(!reads(&eve, &arn).await);
}
