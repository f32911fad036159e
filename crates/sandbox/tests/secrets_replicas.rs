//! Replicas that lag, and what becomes of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::types::{ReplicaRegionType, StatusType, Tag};
use chrono::TimeDelta;
use severance_sandbox::aws::SandboxHandle;
use support::*;

const NAME: &str = "acme/api";
const THERE: &str = "eu-west-1";

/// A sandbox whose replicas lag by an hour, with a secret that has one; clients of both regions.
async fn replicated() -> (SandboxHandle, Client, Client) {
    let sandbox = with(|config| config.replica_delay = Duration::from_hours(1)).await;
    sandbox.seed(ACCOUNT).unwrap().secret("us-east-1", NAME, "one", &[]).unwrap();
    let here = on_its_clock(&sandbox, "us-east-1").secrets;
    let there = on_its_clock(&sandbox, THERE).secrets;
    let region = ReplicaRegionType::builder().region(THERE).build();
    let add = here.replicate_secret_to_regions().secret_id(NAME).add_replica_regions(region);
    add.send().await.unwrap();
    (sandbox, here, there)
}

async fn status(client: &Client) -> StatusType {
    let described = client.describe_secret().secret_id(NAME).send().await.unwrap();
    described.replication_status()[0].status().unwrap().clone()
}

async fn value(client: &Client) -> String {
    let read = client.get_secret_value().secret_id(NAME).send().await.unwrap();
    read.secret_string().unwrap().to_owned()
}

fn pass(sandbox: &SandboxHandle, hours: i64) {
    sandbox.clock().set_offset(sandbox.clock().offset() + TimeDelta::hours(hours));
}

#[tokio::test]
async fn a_replica_comes_and_follows_after_the_delay() {
    let (sandbox, here, there) = replicated().await;
    assert_eq!(status(&here).await, StatusType::InProgress);
    let early = there.get_secret_value().secret_id(NAME).send().await;
    is(&refusal(early), ("ResourceNotFoundException", 400));
    pass(&sandbox, 1);
    assert_eq!((status(&here).await, value(&there).await), (StatusType::InSync, "one".to_owned()));
    here.put_secret_value().secret_id(NAME).secret_string("two").send().await.unwrap();
    assert_eq!(status(&here).await, StatusType::InProgress);
    assert_eq!((value(&here).await, value(&there).await), ("two".to_owned(), "one".to_owned()));
    pass(&sandbox, 1);
    assert_eq!((status(&here).await, value(&there).await), (StatusType::InSync, "two".to_owned()));
}

#[tokio::test]
async fn tags_policies_and_the_whole_set_of_labels_follow_too() {
    let (sandbox, here, there) = replicated().await;
    let tag = Tag::builder().key("k").value("v").build();
    here.tag_resource().secret_id(NAME).tags(tag).send().await.unwrap();
    let policy = r#"{"Statement":{"Effect":"Deny","Principal":"*","Resource":"*","Action":"secretsmanager:GetSecretValue"}}"#;
    let put = here.put_resource_policy().secret_id(NAME).resource_policy(policy);
    put.send().await.unwrap();
    sandbox.settle();
    let described = there.describe_secret().secret_id(NAME).send().await.unwrap();
    assert_eq!(described.tags()[0].key(), Some("k"));
    assert_eq!(described.primary_region(), Some("us-east-1"));
    let read = there.get_secret_value().secret_id(NAME).send().await;
    is(&refusal(read), ("AccessDeniedException", 400));
}

#[tokio::test]
async fn a_promoted_replica_keeps_its_value_and_gets_no_other() {
    let (sandbox, here, there) = replicated().await;
    pass(&sandbox, 1);
    here.put_secret_value().secret_id(NAME).secret_string("two").send().await.unwrap();
    there.stop_replication_to_replica().secret_id(NAME).send().await.unwrap();
    pass(&sandbox, 2);
    assert_eq!((value(&here).await, value(&there).await), ("two".to_owned(), "one".to_owned()));
    let again = there.stop_replication_to_replica().secret_id(NAME).send().await;
    is(&refusal(again), ("InvalidRequestException", 400));
    there.delete_secret().secret_id(NAME).send().await.unwrap();
    here.delete_secret().secret_id(NAME).send().await.unwrap();
}

#[tokio::test]
async fn what_is_on_its_way_to_a_removed_replica_does_not_arrive() {
    let (sandbox, here, there) = replicated().await;
    let remove = here.remove_regions_from_replication().secret_id(NAME);
    remove.remove_replica_regions(THERE).send().await.unwrap();
    pass(&sandbox, 2);
    let read = there.get_secret_value().secret_id(NAME).send().await;
    is(&refusal(read), ("ResourceNotFoundException", 400));
}

#[tokio::test]
async fn a_secret_that_takes_the_name_meanwhile_makes_the_replica_fail() {
    let (sandbox, here, there) = replicated().await;
    there.create_secret().name(NAME).secret_string("other").send().await.unwrap();
    pass(&sandbox, 1);
    assert_eq!(
        (status(&here).await, value(&there).await),
        (StatusType::Failed, "other".to_owned())
    );
}

#[tokio::test]
async fn a_later_change_is_not_undone_by_an_earlier_one_that_took_longer() {
    let (sandbox, here, there) = replicated().await;
    sandbox.set_replica_delay(Duration::ZERO);
    here.put_secret_value().secret_id(NAME).secret_string("two").send().await.unwrap();
    assert_eq!(value(&there).await, "two");
    pass(&sandbox, 1);
    assert_eq!((status(&here).await, value(&there).await), (StatusType::InSync, "two".to_owned()));
}
