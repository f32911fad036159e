//! What appeared on a user after the first exposure: what an attacker leaves.

use aws_sdk_iam::types::{AccessKeyMetadata, LoginProfile};
use severance_engine::ports::Look;
use severance_lifecycle::credential::UserRef;
use severance_lifecycle::failure::Failure;
use severance_lifecycle::observe::Intruder;
use severance_lifecycle::plan::IdentityDetail;

use crate::arn::POLICY_PATH;
use crate::calls::Calls;
use crate::deny;
use crate::reads::{Holder, key_created, key_status, time};

/// What the user has now, beside the key that the task is about.
pub(super) struct Found<'a> {
    pub(super) keys: &'a [AccessKeyMetadata],
    pub(super) login: Option<&'a LoginProfile>,
    pub(super) inline: &'a [String],
    pub(super) attached: &'a [String],
}

/// Keys and passwords tell by their date. Policies have none: they tell by what the inventory saw, and
/// where it saw nothing, nothing is said of them.
pub(super) async fn among(
    calls: &Calls<'_>,
    look: &Look,
    user: &UserRef,
    found: Found<'_>,
) -> Result<Vec<Intruder>, Failure> {
    let keys = found
        .keys
        .iter()
        // One that is switched off already lets nobody in.
        .filter(|key| key_status(key.status.as_ref()).is_active())
        .filter(|key| key_created(key) > look.exposed_since)
        .filter_map(|key| key.access_key_id.clone());
    let mut intruders = Vec::new();
    for key_id in keys {
        if !is_replacement(calls, &key_id).await {
            intruders.push(Intruder::AccessKey { key_id });
        }
    }
    if found.login.is_some_and(|login| time(&login.create_date) > look.exposed_since) {
        intruders.push(Intruder::LoginProfile);
    }
    let known = look.known.as_ref().and_then(|identity| match &identity.detail {
        IdentityDetail::User { policies, .. } => Some(policies),
        IdentityDetail::Role { .. } | IdentityDetail::Secret(_) => None,
    });
    let Some(known) = known else {
        return Ok(intruders);
    };
    for name in found.inline.iter().filter(|name| !known.contains(name)) {
        if !inline_is_ours(calls, user, name).await? {
            intruders.push(Intruder::Policy { name: name.clone() });
        }
    }
    for arn in found.attached.iter().filter(|arn| !known.contains(arn)) {
        if !managed_is_ours(calls, arn).await? {
            intruders.push(Intruder::Policy { name: arn.clone() });
        }
    }
    Ok(intruders)
}

/// Whether a rotation of ours made the key: a version that Severance stored holds it. What is not known of
/// it is looked for.
async fn is_replacement(calls: &Calls<'_>, key_id: &str) -> bool {
    // The secret may be in another account than the user.
    if !calls.known_as_ours(key_id) {
        calls.account.secrets.holds(calls, key_id).await;
    }
    calls.known_as_ours(key_id)
}

/// A deny of this or another case. The name alone would be a good place to hide: what counts is that
/// the policy is nothing but a deny of ours.
async fn inline_is_ours(calls: &Calls<'_>, user: &UserRef, name: &str) -> Result<bool, Failure> {
    if !name.starts_with("severance-") {
        return Ok(false);
    }
    let document = calls.inline_document(Holder::User(&user.name), name).await?;
    Ok(document.is_none_or(|document| deny::is_ours(&document)))
}

async fn managed_is_ours(calls: &Calls<'_>, arn: &str) -> Result<bool, Failure> {
    if !arn.contains(&format!(":policy{POLICY_PATH}severance-")) {
        return Ok(false);
    }
    let policy = calls.managed_policy(arn).await?;
    Ok(policy.is_none_or(|policy| deny::is_ours(&policy.document)))
}
