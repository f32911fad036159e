//! A case's deny in a secret's resource policy: read, change, write, read again. Every other statement
//! stays as it is.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use severance_lifecycle::failure::Failure;
use severance_lifecycle::ids::CaseId;
use severance_lifecycle::secret::SecretRef;

use super::client;
use crate::calls::Calls;
use crate::document;
use crate::failure::{cannot, present, replan};

const PUT: &str = "secretsmanager:PutResourcePolicy";

/// What hands out a value or lets one be put in its place.
const DENIED: [&str; 6] = [
    "secretsmanager:GetSecretValue",
    "secretsmanager:BatchGetSecretValue",
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecret",
    "secretsmanager:UpdateSecretVersionStage",
    "secretsmanager:RotateSecret",
];

/// Whether the case's deny is in the policy.
pub(super) async fn is_put(
    calls: &Calls<'_>,
    secret: &SecretRef,
    case: &CaseId,
) -> Result<bool, Failure> {
    let policy = read(calls, secret).await?;
    Ok(statements(&policy).iter().any(|statement| is_of(statement, case)))
}

/// Puts the case's deny for these principals.
pub(super) async fn deny(
    calls: &Calls<'_>,
    secret: &SecretRef,
    case: &CaseId,
    readers: &BTreeSet<String>,
) -> Result<(), Failure> {
    let policy = read(calls, secret).await?;
    let mut statements = statements(&policy);
    statements.retain(|statement| !is_of(statement, case));
    statements.push(json!({
        "Sid": sid(case),
        "Effect": "Deny",
        "Principal": { "AWS": readers },
        "Action": DENIED,
        "Resource": "*",
    }));
    write(calls, secret, &with(policy, statements)).await
}

/// Takes the case's deny out.
pub(super) async fn allow(
    calls: &Calls<'_>,
    secret: &SecretRef,
    case: &CaseId,
) -> Result<(), Failure> {
    let policy = read(calls, secret).await?;
    let mut statements = statements(&policy);
    let before = statements.len();
    statements.retain(|statement| !is_of(statement, case));
    if statements.len() == before {
        return Ok(());
    }
    if statements.is_empty() {
        let (client, _) = client(calls, secret)?;
        let request = client.delete_resource_policy().secret_id(&secret.arn).send();
        return calls.call("secretsmanager:DeleteResourcePolicy", request).await.map(drop);
    }
    write(calls, secret, &with(policy, statements)).await
}

async fn read(calls: &Calls<'_>, secret: &SecretRef) -> Result<Value, Failure> {
    const GET: &str = "secretsmanager:GetResourcePolicy";
    let (client, _) = client(calls, secret)?;
    let request = client.get_resource_policy().secret_id(&secret.arn).send();
    let answer = present(calls.call(GET, request).await)?;
    match answer.and_then(|answer| answer.resource_policy) {
        None => Ok(json!({ "Version": "2012-10-17", "Statement": [] })),
        Some(text) => serde_json::from_str(&text)
            .map_err(|_| cannot(GET, "UnreadablePolicy", "its resource policy cannot be read")),
    }
}

async fn write(calls: &Calls<'_>, secret: &SecretRef, policy: &Value) -> Result<(), Failure> {
    let (client, _) = client(calls, secret)?;
    let request = client.put_resource_policy().secret_id(&secret.arn);
    let request = request.resource_policy(policy.to_string()).send();
    calls.call(PUT, request).await?;
    if document::same(&read(calls, secret).await?, policy) {
        Ok(())
    } else {
        Err(replan(PUT, "the resource policy is not what was written"))
    }
}

fn statements(policy: &Value) -> Vec<Value> {
    match &policy["Statement"] {
        Value::Array(statements) => statements.clone(),
        Value::Object(_) => vec![policy["Statement"].clone()],
        _ => Vec::new(),
    }
}

fn with(mut policy: Value, statements: Vec<Value>) -> Value {
    policy["Statement"] = Value::Array(statements);
    policy
}

fn is_of(statement: &Value, case: &CaseId) -> bool {
    statement["Sid"].as_str() == Some(&sid(case)) && statement["Effect"] == "Deny"
}

/// A statement id may hold letters and digits only (AWS: IAM User Guide, "Sid").
fn sid(case: &CaseId) -> String {
    let name = case.as_str().chars().filter(char::is_ascii_alphanumeric);
    "Severance".chars().chain(name).collect()
}
