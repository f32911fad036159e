//! Trust policies: read, change, write, read again.
//!
//! IAM has no version check: the role tells neither a version nor when its trust was written, and the
//! write takes no condition. What can be seen is an edit before our read (it is planned on) and one after
//! our write (the second reading differs). One that lands between our read and our write is replaced by
//! ours, and nothing that IAM tells afterwards shows it. So that gap is kept short: a write whose turn
//! came late is not made on what was read before the wait.

use aws_sdk_iam::types::Role;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use severance_lifecycle::credential::RoleRef;
use severance_lifecycle::failure::Failure;
use severance_lifecycle::trust::{self, Partner, RemovedPrincipal};

use super::same_role;
use crate::calls::Calls;
use crate::document;
use crate::failure::{cannot, replan};

const UPDATE: &str = "iam:UpdateAssumeRolePolicy";

/// How old what was read may be when the write's turn comes.
const FRESH: TimeDelta = TimeDelta::seconds(1);

/// After so many readings the write is made however long it waited: a way in that stays open for as long
/// as the account is busy would be worse.
const READINGS: u32 = 4;

pub(super) async fn remove(
    calls: &Calls<'_>,
    role: &RoleRef,
    removed: &[RemovedPrincipal],
) -> Result<(), Failure> {
    change(calls, role, &|before| {
        let there = still_there(before, removed);
        let elsewhere = removed
            .iter()
            .filter(|wanted| !there.contains(wanted))
            .any(|wanted| mentions(before, &wanted.principal));
        if elsewhere {
            return Err(replan(UPDATE, "the statement of a principal was edited meanwhile"));
        }
        if there.is_empty() {
            return Ok(None);
        }
        match trust::without(before, &there) {
            None => Err(replan(UPDATE, "no principal would be left")),
            after => Ok(after),
        }
    })
    .await
}

pub(super) async fn restore(
    calls: &Calls<'_>,
    role: &RoleRef,
    removed: &[RemovedPrincipal],
) -> Result<(), Failure> {
    change(calls, role, &|before| {
        let after = trust::with(before, removed);
        Ok((!document::same(before, &after)).then_some(after))
    })
    .await
}

/// What a document is to become; `None` where it is that already.
type Edit<'a> = dyn Fn(&Value) -> Result<Option<Value>, Failure> + Sync + 'a;

async fn change(calls: &Calls<'_>, role: &RoleRef, edit: &Edit<'_>) -> Result<(), Failure> {
    let mut readings = 0;
    loop {
        let before = trust_of(&same_role(calls, role).await?)?;
        readings += 1;
        let Some(after) = edit(&before)? else { return Ok(()) };
        let until = (readings < READINGS).then(|| calls.now() + FRESH);
        if !write(calls, role, &after, until).await? {
            continue;
        }
        let now = trust_of(&same_role(calls, role).await?)?;
        return if document::same(&now, &after) {
            Ok(())
        } else {
            Err(replan(UPDATE, "the trust policy is not what was written"))
        };
    }
}

/// Writes, unless its turn comes after `until`. Answers whether it wrote.
async fn write(
    calls: &Calls<'_>,
    role: &RoleRef,
    after: &Value,
    until: Option<DateTime<Utc>>,
) -> Result<bool, Failure> {
    let request = calls.account.iam().update_assume_role_policy().role_name(&role.name);
    let request = request.policy_document(after.to_string());
    // Begun when it is admitted, which may be long after it was asked for.
    let in_turn = async {
        if until.is_some_and(|until| calls.now() > until) {
            return Ok(false);
        }
        request.send().await.map(|_| true)
    };
    calls.call(UPDATE, in_turn).await
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
