//! The reference: a loop that makes the worker's calls per key, without Kafka and without a ledger.

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use severance_tests::aws::{Key, iam, sts};
use severance_tests::clock::now;

/// Calls at once, as the worker has them by default.
pub(crate) const CONCURRENCY: usize = 64;

/// The operations that the loop knows, in the order that the worker calls them.
#[derive(Debug, Clone)]
pub(crate) struct Recipe(pub(crate) Vec<String>);

/// Deactivates the keys; returns when it began.
pub(crate) async fn run(
    endpoint: &str,
    bearer: &Key,
    recipe: &Recipe,
    keys: &[(String, String)],
) -> DateTime<Utc> {
    let iam = iam(endpoint, bearer).await;
    let sts = sts(endpoint, bearer).await;
    let begun = now();
    futures::stream::iter(keys)
        .for_each_concurrent(CONCURRENCY, |(user, key)| one(&iam, &sts, recipe, user, key))
        .await;
    begun
}

async fn one(
    iam: &aws_sdk_iam::Client,
    sts: &aws_sdk_sts::Client,
    recipe: &Recipe,
    user: &str,
    key: &str,
) {
    for operation in &recipe.0 {
        match operation.as_str() {
            "GetAccessKeyInfo" => {
                drop(sts.get_access_key_info().access_key_id(key).send().await.unwrap());
            }
            "GetAccessKeyLastUsed" => {
                drop(iam.get_access_key_last_used().access_key_id(key).send().await.unwrap());
            }
            "GetUser" => drop(iam.get_user().user_name(user).send().await.unwrap()),
            "ListUserTags" => drop(iam.list_user_tags().user_name(user).send().await.unwrap()),
            "ListAccessKeys" => drop(iam.list_access_keys().user_name(user).send().await.unwrap()),
            "ListUserPolicies" => {
                drop(iam.list_user_policies().user_name(user).send().await.unwrap());
            }
            "ListAttachedUserPolicies" => {
                drop(iam.list_attached_user_policies().user_name(user).send().await.unwrap());
            }
            "ListGroupsForUser" => {
                drop(iam.list_groups_for_user().user_name(user).send().await.unwrap());
            }
            "UpdateAccessKey" => {
                let inactive = aws_sdk_iam::types::StatusType::Inactive;
                let call = iam.update_access_key().user_name(user).access_key_id(key);
                call.status(inactive).send().await.unwrap();
            }
            other => panic!("the worker calls {other} before acceptance: teach the loop to"),
        }
    }
}
