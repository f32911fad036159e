//! Trust and resource policies: users and roles in them are tied to unique ids when the policy is
//! put.
//!
//! AWS: IAM User Guide, "AWS JSON policy elements: Principal": IAM turns a principal's ARN into
//! its unique id on saving, and shows the id where the principal has been deleted since. A policy
//! that names such a stale id cannot be saved again.

use serde_json::Value;

use crate::aws::error::AwsError;
use crate::aws::policy::principal::Principal;
use crate::aws::policy::{Document, Kind};
use crate::aws::state::World;
use crate::aws::state::role::Trust;

/// Reads a trust or resource policy and ties its users and roles to their ids.
pub(crate) fn tie(world: &World, text: &str, kind: Kind) -> Result<Trust, AwsError> {
    Document::parse(text, kind)?;
    let text = rewrite(text, |name| canonical(world, name));
    let mut document = Document::parse(&text, kind)?;
    let mut bindings = Vec::new();
    for principal in document.statements.iter_mut().flat_map(|it| &mut it.principals) {
        match principal {
            Principal::Arn(arn) if arn.contains(":iam:") => {
                let id = id_of(world, arn)?;
                bindings.push((arn.clone(), id.clone()));
                *principal = Principal::Id(id);
            }
            Principal::Id(id) => return Err(invalid(id)),
            Principal::Account(account) if !world.accounts.contains_key(account) => {
                return Err(invalid(account));
            }
            _ => {}
        }
    }
    Ok(Trust { document, bindings })
}

/// The policy as AWS shows it now: whoever was deleted appears by id.
pub(crate) fn shown(world: &World, trust: &Trust) -> String {
    let stale: Vec<_> =
        trust.bindings.iter().filter(|(_, id)| arn_of(world, id).is_none()).collect();
    let moved = trust.bindings.iter().filter_map(|(arn, id)| {
        let now = arn_of(world, id)?;
        (now != *arn).then_some((arn, now))
    });
    let moved: Vec<_> = moved.collect();
    if stale.is_empty() && moved.is_empty() {
        return trust.document.text.clone();
    }
    rewrite(&trust.document.text, |name| {
        let gone = stale.iter().find(|(arn, _)| arn == name).map(|(_, id)| id.clone());
        gone.or_else(|| moved.iter().find(|(arn, _)| *arn == name).map(|(_, now)| now.clone()))
    })
}

/// How IAM writes a principal: an account as its root's ARN, a live id as its ARN.
fn canonical(world: &World, name: &str) -> Option<String> {
    if name.len() == 12 && name.bytes().all(|it| it.is_ascii_digit()) {
        return Some(format!("arn:aws:iam::{name}:root"));
    }
    arn_of(world, name)
}

fn id_of(world: &World, arn: &str) -> Result<String, AwsError> {
    let mut parts = arn.splitn(6, ':').skip(4);
    let account = parts.next().and_then(|it| world.accounts.get(it));
    let resource = parts.next().unwrap_or_default();
    let name = resource.rsplit('/').next().unwrap_or_default();
    let found = account.and_then(|account| match resource.split('/').next() {
        Some("user") => account.users.named(name).map(|it| (it.arn(), it.id.clone())),
        Some("role") => account.roles.named(name).map(|it| (it.arn(), it.id.clone())),
        _ => None,
    });
    found.filter(|(found, _)| found == arn).map(|(_, id)| id).ok_or_else(|| invalid(arn))
}

/// The ARN of a user or role that is still there.
fn arn_of(world: &World, id: &str) -> Option<String> {
    world.accounts.values().find_map(|account| {
        if account.users.is_present(id) {
            account.users.with_id(id).map(crate::aws::state::User::arn)
        } else if account.roles.is_present(id) {
            account.roles.with_id(id).map(crate::aws::state::Role::arn)
        } else {
            None
        }
    })
}

fn invalid(name: &str) -> AwsError {
    AwsError::malformed_policy(format!("Invalid principal in policy: \"AWS\":\"{name}\""))
}

/// Replaces the AWS principals for which `change` has something else; otherwise leaves the text
/// exactly as it is.
fn rewrite(text: &str, change: impl Fn(&str) -> Option<String>) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(text) else {
        return text.to_owned();
    };
    let mut changed = false;
    let mut swap = |value: &mut Value| {
        if let Some(next) = value.as_str().and_then(&change) {
            *value = Value::String(next);
            changed = true;
        }
    };
    let statements = match value.get_mut("Statement") {
        Some(Value::Array(items)) => items.as_mut_slice(),
        Some(single) => std::slice::from_mut(single),
        None => return text.to_owned(),
    };
    for statement in statements {
        match statement.get_mut("Principal").and_then(|it| it.get_mut("AWS")) {
            Some(Value::Array(items)) => items.iter_mut().for_each(&mut swap),
            Some(single) => swap(single),
            None => {}
        }
    }
    if changed { value.to_string() } else { text.to_owned() }
}
