//! A case's deny in a secret's resource policy: read, change, write, read again. Every other statement
//! stays as it is.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use severance_engine::ports::{DenyLook, Look};
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::ids::CaseId;
use severance_lifecycle::secret::SecretRef;

use super::client;
use crate::arn::IamArn;
use crate::calls::Calls;
use crate::document;
use crate::failure::{cannot, is_refused, present, replan};

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

/// Whether the case's deny stands in the policy, as far as that matters. One that may not be read denies
/// nobody, for all that is known; and something may be left in it.
pub(super) async fn stands(
    calls: &Calls<'_>,
    secret: &SecretRef,
    look: &Look,
) -> Result<bool, Failure> {
    if look.secret.deny == DenyLook::Nothing {
        return Ok(false);
    }
    let policy = match read(calls, secret).await {
        Err(failure) if is_refused(&failure) => {
            return Ok(look.secret.deny == DenyLook::Rest);
        }
        answer => answer?,
    };
    let statements = statements(&policy);
    let mut ours = statements.iter().filter(|statement| is_of(statement, &look.case));
    let DenyLook::For(readers) = &look.secret.deny else { return Ok(ours.next().is_some()) };
    for statement in ours {
        if is_whole(calls, statement, &look.case, readers).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a statement denies all of these what it was put to deny. AWS keeps one who was deleted since under
/// an id of its own: whoever is not there need not be named.
async fn is_whole(
    calls: &Calls<'_>,
    statement: &Value,
    case: &CaseId,
    readers: &BTreeSet<String>,
) -> Result<bool, Failure> {
    let mut rest = statement.clone();
    let Some(fields) = rest.as_object_mut() else { return Ok(false) };
    let (principal, condition) = (fields.remove("Principal"), fields.remove("Condition"));
    if !document::same(&rest, &deny_of(case, json!({}))) {
        return Ok(false);
    }
    if let Some(condition) = condition {
        let everyone = [json!("*"), json!({ "AWS": "*" })];
        let all = principal.is_some_and(|it| everyone.iter().any(|all| document::same(all, &it)));
        return Ok(all && document::same(&condition, &by_name(readers)));
    }
    let named = principal.and_then(|it| it.get("AWS").cloned()).unwrap_or_default();
    let named: BTreeSet<&str> = match &named {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    for reader in readers.iter().filter(|reader| !named.contains(reader.as_str())) {
        if is_there(calls, reader).await? {
            return Ok(false);
        }
    }
    Ok(!named.is_empty())
}

/// Whoever has one of these names.
fn by_name(readers: &BTreeSet<String>) -> Value {
    json!({ "StringEquals": { "aws:PrincipalArn": readers } })
}

/// The case's deny, of whomever `whom` says.
fn deny_of(case: &CaseId, whom: Value) -> Value {
    let mut statement = whom;
    statement["Sid"] = sid(case).into();
    statement["Effect"] = "Deny".into();
    statement["Action"] = json!(DENIED);
    statement["Resource"] = "*".into();
    statement
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
        json!({ "Principal": "*", "Condition": by_name(readers) })
    } else {
        json!({ "Principal": { "AWS": there } })
    };
    put_deny(calls, secret, case, whom).await
}

async fn put_deny(
    calls: &Calls<'_>,
    secret: &SecretRef,
    case: &CaseId,
    whom: Value,
) -> Result<(), Failure> {
    let policy = read(calls, secret).await?;
    let mut statements = statements(&policy);
    statements.retain(|statement| !is_of(statement, case));
    statements.push(deny_of(case, whom));
    write(calls, secret, &with(policy, statements)).await
}

/// Whether a principal is there, as far as that can be told: of an account that is not configured, or that refuses
/// us, it cannot.
async fn is_there(calls: &Calls<'_>, reader: &str) -> Result<bool, Failure> {
    let Some(arn) = IamArn::parse(reader) else { return Ok(true) };
    let Some(theirs) = calls.sibling(&arn.account.into()) else { return Ok(true) };
    let there = match arn.kind {
        "user" => theirs.user(arn.name()).await.map(|found| found.is_some()),
        "role" => theirs.role(arn.name()).await.map(|found| found.is_some()),
        _ => Ok(true),
    };
    match there {
        Err(failure) if failure.class == FailureClass::Cannot => Ok(true),
        told => told,
    }
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
        let (client, region) = client(calls, secret)?;
        let request = client.delete_resource_policy().secret_id(&secret.arn).send();
        return calls
            .call(("secretsmanager:DeleteResourcePolicy", region), request)
            .await
            .map(drop);
    }
    write(calls, secret, &with(policy, statements)).await
}

async fn read(calls: &Calls<'_>, secret: &SecretRef) -> Result<Value, Failure> {
    const GET: &str = "secretsmanager:GetResourcePolicy";
    let (client, region) = client(calls, secret)?;
    let request = client.get_resource_policy().secret_id(&secret.arn).send();
    let answer = present(calls.call((GET, region), request).await)?;
    match answer.and_then(|answer| answer.resource_policy) {
        None => Ok(json!({ "Version": "2012-10-17", "Statement": [] })),
        Some(text) => serde_json::from_str(&text)
            .map_err(|_| cannot(GET, "UnreadablePolicy", "its resource policy cannot be read")),
    }
}

async fn write(calls: &Calls<'_>, secret: &SecretRef, policy: &Value) -> Result<(), Failure> {
    let (client, region) = client(calls, secret)?;
    let request = client.put_resource_policy().secret_id(&secret.arn);
    let request = request.resource_policy(policy.to_string()).send();
    calls.call((PUT, region), request).await?;
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
