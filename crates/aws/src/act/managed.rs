//! Managed policies of ours: written, attached, detached, deleted; each step the same when done twice.

use aws_sdk_iam::types::PolicyVersion;
use serde_json::Value;
use severance_lifecycle::failure::Failure;

use crate::arn::POLICY_PATH;
use crate::calls::Calls;
use crate::failure::present;
use crate::reads::{Holder, all_pages};

/// AWS: IAM quotas, "Managed policy versions".
const MOST_VERSIONS: usize = 5;

/// What a policy is to be.
pub(super) struct Body<'a> {
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    pub(super) document: &'a Value,
}

/// Makes the policy, or makes the document its default version where it is there with another one.
pub(super) async fn write(calls: &Calls<'_>, body: &Body<'_>) -> Result<(), Failure> {
    let request = calls.account.iam().create_policy();
    let request = request.policy_name(body.name).path(POLICY_PATH).description(body.description);
    let request = request.policy_document(body.document.to_string()).send();
    match calls.call("iam:CreatePolicy", request).await {
        Ok(_) => return Ok(()),
        Err(failure) if failure.code == "EntityAlreadyExists" => {}
        Err(failure) => return Err(failure),
    }
    let arn = calls.policy_arn(body.name);
    let there = calls.managed_policy(&arn).await?;
    if there.is_some_and(|policy| policy.document == *body.document) {
        return Ok(());
    }
    make_room(calls, &arn).await?;
    let request = calls.account.iam().create_policy_version().policy_arn(&arn);
    let request = request.policy_document(body.document.to_string()).set_as_default(true).send();
    calls.call("iam:CreatePolicyVersion", request).await.map(drop)
}

/// Deletes the oldest versions that are not the default one, until one more fits.
async fn make_room(calls: &Calls<'_>, arn: &str) -> Result<(), Failure> {
    let versions = versions(calls, arn).await?;
    let too_many = (versions.len() + 1).saturating_sub(MOST_VERSIONS);
    // `v2` is older than `v10`.
    let mut spare = not_default(&versions);
    spare.sort_by_key(|id| id.trim_start_matches('v').parse::<u64>().unwrap_or(u64::MAX));
    for id in spare.into_iter().take(too_many) {
        delete_version(calls, arn, id).await?;
    }
    Ok(())
}

pub(super) async fn attach(
    calls: &Calls<'_>,
    holder: Holder<'_>,
    arn: &str,
) -> Result<(), Failure> {
    let iam = calls.account.iam();
    match holder {
        Holder::User(name) => {
            let request = iam.attach_user_policy().user_name(name).policy_arn(arn).send();
            calls.call("iam:AttachUserPolicy", request).await.map(drop)
        }
        Holder::Role(name) => {
            let request = iam.attach_role_policy().role_name(name).policy_arn(arn).send();
            calls.call("iam:AttachRolePolicy", request).await.map(drop)
        }
    }
}

pub(super) async fn detach(
    calls: &Calls<'_>,
    holder: Holder<'_>,
    arn: &str,
) -> Result<(), Failure> {
    let iam = calls.account.iam();
    match holder {
        Holder::User(name) => {
            let request = iam.detach_user_policy().user_name(name).policy_arn(arn).send();
            present(calls.call("iam:DetachUserPolicy", request).await).map(drop)
        }
        Holder::Role(name) => {
            let request = iam.detach_role_policy().role_name(name).policy_arn(arn).send();
            present(calls.call("iam:DetachRolePolicy", request).await).map(drop)
        }
    }
}

/// Deletes the policy with all its versions; nothing where it is not there.
pub(super) async fn delete(calls: &Calls<'_>, arn: &str) -> Result<(), Failure> {
    let Some(versions) = present(versions(calls, arn).await)? else {
        return Ok(());
    };
    for id in not_default(&versions) {
        delete_version(calls, arn, id).await?;
    }
    let request = calls.account.iam().delete_policy().policy_arn(arn).send();
    present(calls.call("iam:DeletePolicy", request).await).map(drop)
}

async fn versions(calls: &Calls<'_>, arn: &str) -> Result<Vec<PolicyVersion>, Failure> {
    let iam = calls.account.iam();
    all_pages!(
        calls,
        "iam:ListPolicyVersions",
        iam.list_policy_versions().policy_arn(arn),
        |page| page.versions.unwrap_or_default()
    )
}

fn not_default(versions: &[PolicyVersion]) -> Vec<&str> {
    let spare = versions.iter().filter(|version| !version.is_default_version);
    spare.filter_map(|version| version.version_id.as_deref()).collect()
}

async fn delete_version(calls: &Calls<'_>, arn: &str, id: &str) -> Result<(), Failure> {
    let request = calls.account.iam().delete_policy_version().policy_arn(arn).version_id(id).send();
    present(calls.call("iam:DeletePolicyVersion", request).await).map(drop)
}
