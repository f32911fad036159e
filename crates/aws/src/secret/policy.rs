//! A case's deny in a secret's resource policy: read, change, write, read again. Every other statement
//! stays as it is.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use severance_lifecycle::failure::Failure;
use severance_lifecycle::ids::CaseId;
use severance_lifecycle::secret::SecretRef;

use super::client;
use crate::arn::IamArn;
use crate::calls::Calls;
use crate::document;
use crate::failure::{cannot, present, replan};

const PUT: &str = "secretsmanager:PutResourcePolicy";

/// A policy that names nobody whom AWS knows, too (AWS: Secrets Manager API, `PutResourcePolicy`).
const MALFORMED: &str = "MalformedPolicyDocumentException";

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

/// Puts the case's deny for these principals. AWS takes no policy that names somebody who is gone: where it
/// refuses one, those are left out.
pub(super) async fn deny(
    calls: &Calls<'_>,
    secret: &SecretRef,
    case: &CaseId,
    readers: &BTreeSet<String>,
) -> Result<(), Failure> {
    let all = json!({ "Principal": { "AWS": readers } });
    let refused = match put_deny(calls, secret, case, all).await {
        Err(failure) if failure.code == MALFORMED => failure,
        answer => return answer,
    };
    let mut there = BTreeSet::new();
    for reader in readers {
        if is_there(calls, reader).await? {
            there.insert(reader);
        }
    }
    if there.len() == readers.len() {
        return Err(refused);
    }
    let whom = if there.is_empty() {
        // Nobody at the moment, and whoever is made again under one of their names.
        let names = json!({ "StringEquals": { "aws:PrincipalArn": readers } });
        json!({ "Principal": "*", "Condition": names })
    } else {
        json!({ "Principal": { "AWS": there } })
    };
    put_deny(calls, secret, case, whom).await
}

async fn put_deny(
    calls: &Calls<'_>,
    secret: &SecretRef,
    case: &CaseId,
    mut statement: Value,
) -> Result<(), Failure> {
    let policy = read(calls, secret).await?;
    let mut statements = statements(&policy);
    statements.retain(|statement| !is_of(statement, case));
    statement["Sid"] = sid(case).into();
    statement["Effect"] = "Deny".into();
    statement["Action"] = json!(DENIED);
    statement["Resource"] = "*".into();
    statements.push(statement);
    write(calls, secret, &with(policy, statements)).await
}

/// Whether a principal is there, as far as that can be told: of an account that is not configured it cannot.
async fn is_there(calls: &Calls<'_>, reader: &str) -> Result<bool, Failure> {
    let Some(arn) = IamArn::parse(reader) else { return Ok(true) };
    let Some(theirs) = calls.sibling(&arn.account.into()) else { return Ok(true) };
    Ok(match arn.kind {
        "user" => theirs.user(arn.name()).await?.is_some(),
        "role" => theirs.role(arn.name()).await?.is_some(),
        _ => true,
    })
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
