//! Trust policies: read, change, write, read again. IAM has no version check, so what was read is
//! compared with what was planned on, and what is there afterwards with what was written.

use aws_sdk_iam::types::Role;
use serde_json::Value;
use severance_lifecycle::credential::RoleRef;
use severance_lifecycle::failure::Failure;
use severance_lifecycle::trust::{self, Partner, RemovedPrincipal};

use super::same_role;
use crate::calls::Calls;
use crate::document;
use crate::failure::{cannot, replan};

const UPDATE: &str = "iam:UpdateAssumeRolePolicy";

pub(super) async fn remove(
    calls: &Calls<'_>,
    role: &RoleRef,
    removed: &[RemovedPrincipal],
) -> Result<(), Failure> {
    let before = trust_of(&same_role(calls, role).await?)?;
    let there = still_there(&before, removed);
    let elsewhere = removed
        .iter()
        .filter(|wanted| !there.contains(wanted))
        .any(|wanted| mentions(&before, &wanted.principal));
    if elsewhere {
        return Err(replan(UPDATE, "the statement of a principal was edited meanwhile"));
    }
    if there.is_empty() {
        return Ok(());
    }
    let Some(after) = trust::without(&before, &there) else {
        return Err(replan(UPDATE, "no principal would be left"));
    };
    write(calls, role, &after).await
}

pub(super) async fn restore(
    calls: &Calls<'_>,
    role: &RoleRef,
    removed: &[RemovedPrincipal],
) -> Result<(), Failure> {
    let before = trust_of(&same_role(calls, role).await?)?;
    let after = trust::with(&before, removed);
    if document::same(&before, &after) {
        return Ok(());
    }
    write(calls, role, &after).await
}

async fn write(calls: &Calls<'_>, role: &RoleRef, after: &Value) -> Result<(), Failure> {
    let request = calls.account.iam().update_assume_role_policy().role_name(&role.name);
    let request = request.policy_document(after.to_string()).send();
    calls.call(UPDATE, request).await?;
    let now = trust_of(&same_role(calls, role).await?)?;
    if document::same(&now, after) {
        Ok(())
    } else {
        Err(replan(UPDATE, "the trust policy is not what was written"))
    }
}

/// Those of the principals that are in the statement that they were planned in.
fn still_there(document: &Value, removed: &[RemovedPrincipal]) -> Vec<RemovedPrincipal> {
    let partner = Partner {
        principals: removed.iter().map(|wanted| wanted.principal.clone()).collect(),
        ..Partner::default()
    };
    let found = trust::read(document, &partner).partner;
    removed.iter().filter(|wanted| found.contains(wanted)).cloned().collect()
}

/// Whether an allowing statement names the principal at all.
fn mentions(document: &Value, principal: &str) -> bool {
    let partner = Partner {
        principals: std::iter::once(principal.to_owned()).collect(),
        ..Partner::default()
    };
    !trust::read(document, &partner).partner.is_empty()
}

fn trust_of(role: &Role) -> Result<Value, Failure> {
    let read = role.assume_role_policy_document.as_deref().and_then(document::read);
    read.ok_or_else(|| cannot("iam:GetRole", "UnreadableTrust", "its trust policy cannot be read"))
}
