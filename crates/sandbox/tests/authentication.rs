//! Who is let in, and what the others are told; all through the real SDK.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use aws_sdk_iam::config::Credentials;
use aws_sdk_iam::types::StatusType;
use support::*;

const DEAD: (&str, u16) = ("InvalidClientTokenId", 403);

#[tokio::test]
async fn a_live_key_is_accepted_and_says_who_it_is() {
    let sandbox = sandbox().await;
    let seed = sandbox.seed(ACCOUNT).unwrap();
    let id = seed.user("eve", &[]).unwrap();
    let key = seed.access_key("eve").unwrap();
    let who = clients(&sandbox, &long_term(&key)).sts.get_caller_identity().send().await.unwrap();
    assert_eq!(who.arn(), Some("arn:aws:iam::111111111111:user/eve"));
    assert_eq!(who.user_id(), Some(id.as_str()));
    assert_eq!(who.account(), Some(ACCOUNT));
}

#[tokio::test]
async fn inactive_deleted_and_unknown_keys_are_refused_as_aws_refuses_them() {
    let sandbox = sandbox().await;
    let seed = sandbox.seed(ACCOUNT).unwrap();
    seed.user("eve", &[]).unwrap();
    let key = seed.access_key("eve").unwrap();
    let (admin, eve) = (root(&sandbox), clients(&sandbox, &long_term(&key)));
    let id = &key.access_key_id;
    let update = |status| {
        admin.iam.update_access_key().user_name("eve").access_key_id(id).status(status).send()
    };
    update(StatusType::Inactive).await.unwrap();
    is(&refusal(eve.sts.get_caller_identity().send().await), DEAD);
    is(&refusal(eve.iam.list_users().send().await), DEAD);
    let read = eve.secrets.list_secrets().send().await;
    is(&refusal(read), ("UnrecognizedClientException", 400));
    assert!(!sandbox.key_state(id).unwrap().accepted);
    update(StatusType::Active).await.unwrap();
    eve.sts.get_caller_identity().send().await.unwrap();
    assert_eq!(sandbox.key_state(id).unwrap().stopped_at, None);
    admin.iam.delete_access_key().user_name("eve").access_key_id(id).send().await.unwrap();
    is(&refusal(eve.sts.get_caller_identity().send().await), DEAD);
    let nobody = Credentials::new("AKIAAAAAAAAAAAAAAAAA", "secret", None, None, "test");
    is(&refusal(clients(&sandbox, &nobody).sts.get_caller_identity().send().await), DEAD);
}

#[tokio::test]
async fn a_wrong_secret_is_a_signature_that_does_not_match() {
    let sandbox = sandbox().await;
    let key = sandbox.root_key(ACCOUNT).unwrap();
    let wrong = Credentials::new(&key.access_key_id, "wrong", None, None, "test");
    let clients = clients(&sandbox, &wrong);
    let refused = refusal(clients.sts.get_caller_identity().send().await);
    is(&refused, ("SignatureDoesNotMatch", 403));
    let refused = refusal(clients.secrets.list_secrets().send().await);
    is(&refused, ("InvalidSignatureException", 400));
}

#[tokio::test]
async fn a_live_key_in_a_region_that_is_not_enabled_looks_dead() {
    let sandbox = sandbox().await;
    let key = long_term(&sandbox.root_key(ACCOUNT).unwrap());
    for region in ["af-south-1", "cn-north-1", "us-gov-west-1"] {
        let there = clients_in(&sandbox, &key, region);
        is(&refusal(there.sts.get_caller_identity().send().await), DEAD);
    }
    let here = clients_in(&sandbox, &key, "eu-central-1");
    here.sts.get_caller_identity().send().await.unwrap();
}

#[tokio::test]
async fn a_clock_too_far_away_is_refused_and_the_date_header_tells_it() {
    let sandbox = sandbox().await;
    sandbox.clock().set_offset(chrono::TimeDelta::minutes(6));
    let refused = root(&sandbox).sts.get_caller_identity().send().await.unwrap_err();
    let date = refused.raw_response().unwrap().headers().get("date").unwrap().to_owned();
    let date = chrono::DateTime::parse_from_rfc2822(&date).unwrap();
    assert!((sandbox.clock().now() - date.to_utc()).num_seconds().abs() < 60);
    is(&refusal::<(), _>(Err(refused)), ("SignatureDoesNotMatch", 403));
    sandbox.clock().set_offset(chrono::TimeDelta::minutes(4));
    root(&sandbox).sts.get_caller_identity().send().await.unwrap();
}

#[tokio::test]
async fn an_unsigned_request_lacks_its_token() {
    let sandbox = sandbox().await;
    let answer = reqwest::Client::new()
        .post(sandbox.endpoint())
        .body("Action=GetCallerIdentity&Version=2011-06-15")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 403);
    assert!(answer.headers().contains_key("x-amzn-requestid"));
    assert!(answer.text().await.unwrap().contains("<Code>MissingAuthenticationToken</Code>"));
}
