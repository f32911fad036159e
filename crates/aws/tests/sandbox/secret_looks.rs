//! What a look at a secret makes of what it may not see, and which versions it reads.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use severance_engine::ports::{DenyLook, Look, Provider as _, SecretLook};
use severance_lifecycle::action::Action;
use severance_lifecycle::decide::Decision;
use severance_lifecycle::failure::FailureClass;
use severance_lifecycle::observe::{KeyStatus, View};
use severance_lifecycle::policy::Desired;
use severance_lifecycle::record::ProbeAnswer;
use severance_lifecycle::rotation::RevokeOrder;
use severance_lifecycle::secret::Issuer;
use severance_lifecycle::secret_action::SecretAction;
use severance_lifecycle::secret_view::{Held, SecretView};
use severance_lifecycle::task::{BlockReason, Verification};
use severance_sandbox::aws::{Fault, FaultRule, KeyPair};

use crate::secrets::{Rotation, json, key_in_a_secret, key_of_another_account};
use crate::support::{HOME, REGIONS, case, policy, world};

/// Our own role may not do something any more.
fn forbid(rotation: &Rotation, action: &str, condition: &str) {
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Action":"{action}","Resource":"*","Condition":{{"StringEquals":{condition}}}}}]}}"#
    );
    rotation.world.seed().role_policy("severance", "forbidden", &document).unwrap();
}

fn forbid_version(rotation: &Rotation, version: &str) {
    let condition = format!(r#"{{"secretsmanager:VersionId":"{version}"}}"#);
    forbid(rotation, "secretsmanager:GetSecretValue", &condition);
}

/// Stores a value, which is current from then on; the id of its version.
async fn put(rotation: &Rotation, value: String) -> String {
    let put = rotation.client().put_secret_value().secret_id("app").secret_string(value);
    put.send().await.unwrap().version_id.unwrap()
}

async fn current(rotation: &Rotation) -> String {
    rotation.view().await.current().unwrap().id.clone()
}

/// A worker that has just been started, and remembers nothing.
async fn restarted(rotation: Rotation) -> Rotation {
    Rotation { world: rotation.world.configured(|_| {}).await, ..rotation }
}

#[tokio::test]
async fn an_older_version_that_may_not_be_read_keeps_no_exposed_key_alive() {
    let (rotation, _, old) = key_in_a_secret().await;
    let before = current(&rotation).await;
    put(&rotation, json(&old)).await;
    forbid_version(&rotation, &before);
    let mut rotation = restarted(rotation).await.exposed(RevokeOrder::RevokeFirst);
    let view = rotation.view().await;
    let why = view.version(&before).unwrap().unreadable().unwrap();
    assert_eq!(why, "it cannot be read: AccessDeniedException");
    assert_eq!(view.current().unwrap().key_id(), Some(old.access_key_id.as_str()));
    assert_eq!(rotation.drive().await, Decision::Done(Verification::Probed));
    assert!(rotation.refused(&old).await);
}

#[tokio::test]
async fn a_current_version_that_may_not_be_read_is_blocked_by_its_name() {
    let (rotation, _, old) = key_in_a_secret().await;
    let before = current(&rotation).await;
    forbid_version(&rotation, &before);
    let mut rotation = restarted(rotation).await;
    rotation.world.aws.log().clear();
    let end = rotation.drive().await;
    let Decision::Blocked(BlockReason::UnfitValue { field, why }) = &end else { panic!("{end:?}") };
    assert_eq!(field, "value");
    assert!(why.contains(&before) && why.contains("AccessDeniedException"), "{why}");
    let changes = rotation.world.aws.log().changes();
    assert!(changes.iter().all(|call| call.operation == "AssumeRole"), "{changes:?}");
    assert!(!rotation.refused(&old).await);
}

#[tokio::test]
async fn what_fails_in_passing_fails_the_look() {
    let (rotation, _, _) = key_in_a_secret().await;
    for (fault, class) in [
        (Fault::Throttle, FailureClass::Throttled),
        (Fault::Refuse, FailureClass::RetrySoon),
        (Fault::InternalError, FailureClass::RetrySoon),
    ] {
        rotation.world.aws.faults().add(FaultRule::new(fault).on("GetSecretValue").times(1));
        let failure = rotation.world.provider.observe(&rotation.look()).await.unwrap_err();
        assert_eq!(failure.class, class, "{failure}");
    }
}

#[tokio::test]
async fn each_api_is_throttled_by_itself() {
    let (rotation, _, _) = key_in_a_secret().await;
    for operation in ["GetSecretValue", "ListAccessKeys"] {
        rotation.world.aws.faults().add(FaultRule::new(Fault::Throttle).on(operation).times(1));
        let failure = rotation.world.provider.observe(&rotation.look()).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Throttled, "{failure}");
    }
    let secrets = ("secretsmanager".to_owned(), Some(REGIONS[1].to_owned()));
    let told = rotation.world.recorder.throttling.lock().unwrap().clone();
    assert_eq!(told, [secrets, ("iam".to_owned(), None)]);
}

#[tokio::test]
async fn a_replica_that_may_not_be_looked_at_is_a_state_and_no_failure() {
    let (rotation, _, _) = key_in_a_secret().await;
    let replica = aws_sdk_secretsmanager::types::ReplicaRegionType::builder();
    let replica = replica.region(REGIONS[0]).build();
    let replicate = rotation.client().replicate_secret_to_regions().secret_id("app");
    replicate.add_replica_regions(replica).send().await.unwrap();
    rotation.pass(TimeDelta::seconds(60));
    let there = &rotation.view().await.replicas[0];
    assert!(there.in_sync, "{there:?}");
    let elsewhere = format!(r#"{{"aws:RequestedRegion":"{}"}}"#, REGIONS[0]);
    forbid(&rotation, "secretsmanager:DescribeSecret", &elsewhere);
    let there = &rotation.view().await.replicas[0];
    assert!(!there.in_sync, "{there:?}");
    assert_eq!(there.status, "it cannot be looked at: AccessDeniedException");
}

#[tokio::test]
async fn a_resource_policy_is_read_where_it_matters_and_one_that_may_not_be_denies_nobody() {
    let (mut rotation, _, _) = key_in_a_secret().await;
    rotation.world.user("leaver");
    let readers = BTreeSet::from([format!("arn:aws:iam::{HOME}:user/leaver")]);
    let what = SecretAction::Deny { case: case(), readers: readers.clone() };
    let secret = rotation.secret.clone();
    rotation.world.act(Action::Secret { secret, what }).await.unwrap();
    rotation.terms.leaving = readers;
    assert!(rotation.view().await.denied);
    let anywhere = format!(r#"{{"aws:RequestedRegion":"{}"}}"#, REGIONS[1]);
    forbid(&rotation, "secretsmanager:GetResourcePolicy", &anywhere);
    assert!(!rotation.view().await.denied);

    let denied = async |deny: DenyLook| {
        let secret = SecretLook { deny, ..SecretLook::default() };
        let look = Look { secret, ..rotation.look() };
        match rotation.world.provider.observe(&look).await.unwrap().view {
            View::Secret(view) => view.denied,
            other => panic!("{other:?}"),
        }
    };
    assert!(denied(DenyLook::Rest).await, "something may be left of it");
    rotation.world.aws.log().clear();
    assert!(!denied(DenyLook::Nothing).await);
    assert_eq!(rotation.world.calls("GetResourcePolicy"), 0);
}

#[tokio::test]
async fn a_deny_that_somebody_weakened_is_put_again() {
    let (mut rotation, _, _) = key_in_a_secret().await;
    let arn = |name: &str| format!("arn:aws:iam::{HOME}:user/{name}");
    let readers: Vec<String> = ["ann", "bob"]
        .into_iter()
        .map(|name| {
            rotation.world.user(name);
            arn(name)
        })
        .collect();
    rotation.terms.leaving = readers.iter().cloned().collect();
    let deny = SecretAction::Deny { case: case(), readers: rotation.terms.leaving.clone() };
    let secret = || rotation.secret.clone();
    let put = async || {
        rotation.world.act(Action::Secret { secret: secret(), what: deny.clone() }).await.unwrap();
        rotation.view().await.denied
    };
    let weakened: [fn(&mut serde_json::Value); 5] = [
        |statement| statement["Principal"]["AWS"].as_array_mut().unwrap().truncate(1),
        |statement| statement["Action"].as_array_mut().unwrap().truncate(1),
        |statement| statement["Resource"] = "arn:aws:secretsmanager:*:*:secret:other-*".into(),
        |statement| {
            statement["Condition"] = serde_json::json!({"Bool": {"aws:SecureTransport": "true"}});
        },
        |statement| statement["Effect"] = "Allow".into(),
    ];
    for weaken in weakened {
        assert!(put().await);
        let read = rotation.client().get_resource_policy().secret_id("app").send().await;
        let text = read.unwrap().resource_policy.unwrap();
        let mut policy: serde_json::Value = serde_json::from_str(&text).unwrap();
        weaken(&mut policy["Statement"][0]);
        let write = rotation.client().put_resource_policy().secret_id("app");
        write.resource_policy(policy.to_string()).send().await.unwrap();
        assert!(!rotation.view().await.denied, "{policy}");
    }
}

#[tokio::test]
async fn one_who_was_deleted_after_being_denied_need_not_be_named() {
    let (mut rotation, _, _) = key_in_a_secret().await;
    for name in ["ann", "bob"] {
        rotation.world.user(name);
    }
    let arn = |name: &str| format!("arn:aws:iam::{HOME}:user/{name}");
    rotation.terms.leaving = BTreeSet::from([arn("ann"), arn("bob")]);
    let what = SecretAction::Deny { case: case(), readers: BTreeSet::from([arn("ann")]) };
    let secret = rotation.secret.clone();
    rotation.world.act(Action::Secret { secret, what }).await.unwrap();
    assert!(!rotation.view().await.denied, "bob may read");
    rotation.world.somebody().delete_user().user_name("bob").send().await.unwrap();
    assert!(rotation.view().await.denied);
}

#[tokio::test]
async fn an_old_key_is_tried_with_the_version_that_holds_it_whatever_tags_say() {
    let world = world().await;
    let user = world.user("app");
    let key = world.key(&user);
    let arn = world.seed().secret(REGIONS[1], "app", &json(&key), &[]).unwrap();
    let issuer = Issuer::AccessKey { user };
    let here = (Rotation::of(world, arn, issuer), key);
    let (abroad, _, key) = key_of_another_account().await;
    for (rotation, key) in [here, (abroad, key)] {
        let mut rotation = rotation;
        let deactivates = |action: &Action| matches!(action, Action::DeactivateKey { .. });
        rotation.drive_until(Desired::Rotated, deactivates).await;
        // Another rotation has taken the old version's label meanwhile, and the worker was restarted.
        let now = rotation.handed_out().await.0;
        let pair = KeyPair {
            access_key_id: now.access_key_id().to_owned(),
            secret_access_key: now.secret_access_key().to_owned(),
        };
        put(&rotation, json(&pair)).await;
        let mut rotation = restarted(rotation).await;
        assert_eq!(rotation.drive().await, Decision::Done(Verification::Probed));
        assert!(rotation.refused(&key).await);
    }
}

/// A secret whose first version, without a label by now, holds the first key of the two, and whose current and
/// previous versions hold the second.
async fn two_keys_in_turn() -> (Rotation, String, KeyPair) {
    let (rotation, user, first) = key_in_a_secret().await;
    let deprecated = current(&rotation).await;
    let second = rotation.world.key(&user);
    put(&rotation, json(&second)).await;
    put(&rotation, json(&second).replace("kept", "twice")).await;
    (restarted(rotation).await, deprecated, first)
}

fn status(view: &SecretView, key: &KeyPair) -> Option<KeyStatus> {
    let keys = view.user_keys().iter();
    keys.clone().find(|it| it.state.id == key.access_key_id).map(|it| it.state.status)
}

#[tokio::test]
async fn a_key_in_a_version_without_a_label_dies_where_the_secret_is_exposed_and_not_else() {
    let (rotation, deprecated, first) = Box::pin(two_keys_in_turn()).await;
    assert!(rotation.view().await.version(&deprecated).is_none(), "not at a routine rotation");
    let mut rotation = rotation.exposed(RevokeOrder::RevokeFirst);
    let key_id = first.access_key_id.clone();
    let view = rotation.view().await;
    assert_eq!(view.version(&deprecated).unwrap().held, Held::AccessKey { key_id });
    rotation.world.aws.log().clear();
    rotation.view().await;
    assert_eq!(rotation.world.calls("GetSecretValue"), 0, "a version never changes");
    assert_eq!(rotation.drive().await, Decision::Done(Verification::Probed));
    assert_ne!(status(&rotation.view().await, &first), Some(KeyStatus::Active));
    assert!(rotation.refused(&first).await);
}

#[tokio::test]
async fn a_version_without_a_label_that_may_not_be_read_is_not_asked_for_at_every_look() {
    let (rotation, deprecated, first) = Box::pin(two_keys_in_turn()).await;
    forbid_version(&rotation, &deprecated);
    let mut rotation = rotation.exposed(RevokeOrder::RevokeFirst);
    let held = async || rotation.view().await.version(&deprecated).unwrap().held.clone();
    assert!(matches!(held().await, Held::Unreadable { .. }));
    rotation.world.aws.log().clear();
    assert!(matches!(held().await, Held::Unreadable { .. }));
    assert_eq!(rotation.world.calls("GetSecretValue"), 0);
    let end = rotation.drive().await;
    let Decision::Blocked(reason) = &end else { panic!("a key that may be in it works: {end:?}") };
    assert!(reason.to_string().contains(&first.access_key_id), "{reason}");
    rotation.world.seed().role_policy("severance", "forbidden", r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#).unwrap();
    rotation.pass(TimeDelta::seconds(61));
    let end = rotation.drive().await;
    assert!(matches!(end, Decision::Done(_)), "{end:?}");
    assert!(rotation.refused(&first).await);
}

#[tokio::test]
async fn a_look_lists_the_users_keys_once() {
    let (rotation, _, _) = key_in_a_secret().await;
    rotation.view().await;
    rotation.world.aws.log().clear();
    let keys = rotation.view().await.keys.unwrap();
    assert_eq!((keys.keys.len(), keys.old.is_some()), (1, true));
    assert_eq!(rotation.world.calls("ListAccessKeys"), 1);
}

/// A user's key in a secret, and in another one of the same region: by its tag there, too.
async fn one_key_in_two_secrets(second: &str) -> (Rotation, String, KeyPair) {
    let (rotation, _, key) = key_in_a_secret().await;
    let tags = [("severance:access-key-id", key.access_key_id.as_str())];
    let other = rotation.world.seed().secret(REGIONS[1], second, &json(&key), &tags).unwrap();
    (rotation, other, key)
}

fn is_elsewhere(view: &SecretView, key: &KeyPair) -> bool {
    let keys = view.user_keys();
    keys.iter().find(|it| it.state.id == key.access_key_id).unwrap().elsewhere
}

#[tokio::test]
async fn a_key_that_another_secret_holds_is_known_to_be_there_whichever_is_listed_first() {
    for second in ["a-first", "z-last"] {
        let (rotation, _, key) = one_key_in_two_secrets(second).await;
        let view = rotation.view().await;
        assert!(is_elsewhere(&view, &key), "{second}, though nothing was listed since the start");
        let mut rotation = rotation;
        let end = rotation.drive().await;
        let shared = BlockReason::KeyInAnotherSecret { key_id: key.access_key_id.clone() };
        assert_eq!(end, Decision::Blocked(shared), "{second}");
        assert!(!rotation.refused(&key).await);
    }
}

#[tokio::test]
async fn a_key_that_another_secret_held_before_is_known_to_be_there_after_a_restart() {
    let (rotation, user, key) = key_in_a_secret().await;
    let tags = [("severance:strategy", "iam-access-key")];
    rotation.world.seed().secret(REGIONS[1], "other", &json(&key), &tags).unwrap();
    let next = rotation.world.key(&user);
    let put = rotation.client().put_secret_value().secret_id("other");
    put.secret_string(json(&next)).send().await.unwrap();
    let rotation = restarted(rotation).await;
    assert!(is_elsewhere(&rotation.view().await, &key), "by the label of what was before");
}

#[tokio::test]
async fn a_key_in_two_secrets_is_tried_with_the_one_that_may_be_read() {
    for second in ["a-first", "z-last"] {
        let (rotation, other, key) = one_key_in_two_secrets(second).await;
        let document = policy("Deny", "secretsmanager:GetSecretValue");
        let document = document.replace(r#""Resource":"*""#, &format!(r#""Resource":"{other}""#));
        rotation.world.seed().role_policy("severance", "forbidden", &document).unwrap();
        let Issuer::AccessKey { user } = rotation.issuer.clone() else { panic!("a key") };
        rotation.world.deactivate(&user, &key).await;
        rotation.world.aws.settle();
        let key_id = key.access_key_id.clone();
        let probe = Action::Probe { user, key_id, sample: 0 };
        let answer = rotation.world.act(probe).await.unwrap().probe;
        assert!(matches!(answer, Some(ProbeAnswer::Refused { .. })), "{second}: {answer:?}");
    }
}

#[tokio::test]
async fn a_key_of_which_it_may_not_be_asked_whether_it_was_used_counts_as_used() {
    let (rotation, user, _) = key_in_a_secret().await;
    let other = rotation.world.key(&user);
    let counts_as_used = async || {
        let view = rotation.view().await;
        let keys = view.user_keys();
        keys.iter().find(|it| it.state.id == other.access_key_id).unwrap().used
    };
    assert!(!counts_as_used().await);
    forbid_all(&rotation, "iam:GetAccessKeyLastUsed");
    assert!(counts_as_used().await);
}

/// Our own role may not do something anywhere any more.
fn forbid_all(rotation: &Rotation, action: &str) {
    let document = policy("Deny", action);
    rotation.world.seed().role_policy("severance", "forbidden", &document).unwrap();
}

fn allow_again(rotation: &Rotation) {
    let document = policy("Allow", "*");
    rotation.world.seed().role_policy("severance", "forbidden", &document).unwrap();
}

#[tokio::test]
async fn where_versions_may_not_be_listed_what_is_seen_dies_and_what_is_not_is_never_over() {
    let (rotation, _, first) = Box::pin(two_keys_in_turn()).await;
    forbid_all(&rotation, "secretsmanager:ListSecretVersionIds");
    let mut rotation = rotation.exposed(RevokeOrder::RevokeFirst);
    let second = rotation.handed_out().await.0;
    let end = rotation.drive().await;
    let Decision::Blocked(reason) = &end else { panic!("a key that may be in it works: {end:?}") };
    let reason = reason.to_string();
    for named in [first.access_key_id.as_str(), "AccessDenied", "ListSecretVersionIds"] {
        assert!(reason.contains(named), "{named} in {reason}");
    }
    let second = KeyPair {
        access_key_id: second.access_key_id().to_owned(),
        secret_access_key: second.secret_access_key().to_owned(),
    };
    assert!(rotation.refused(&second).await, "what is handed out is dead");
    assert!(!rotation.refused(&first).await);
    allow_again(&rotation);
    let end = rotation.drive().await;
    assert!(matches!(end, Decision::Done(_)), "{end:?}");
    assert!(rotation.refused(&first).await);
}

#[tokio::test]
async fn where_versions_may_not_be_listed_a_key_in_sight_is_replaced_to_the_end() {
    let (rotation, _, key) = key_in_a_secret().await;
    forbid_all(&rotation, "secretsmanager:ListSecretVersionIds");
    let mut rotation = restarted(rotation).await.exposed(RevokeOrder::ReplaceThenRevoke);
    assert_eq!(rotation.drive().await, Decision::Done(Verification::Probed));
    assert!(rotation.refused(&key).await);
    let now = rotation.handed_out().await.0;
    assert_ne!(now.access_key_id(), key.access_key_id);
}

#[tokio::test]
async fn a_routine_rotation_names_what_it_may_not_list() {
    let (rotation, _, _) = key_in_a_secret().await;
    forbid_all(&rotation, "secretsmanager:ListSecretVersionIds");
    let failure = rotation.world.provider.observe(&rotation.look()).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Cannot);
    assert_eq!(failure.operation, "secretsmanager:ListSecretVersionIds");
}

#[tokio::test]
async fn a_reader_who_may_not_be_looked_up_fails_no_look() {
    let (mut rotation, _, _) = key_in_a_secret().await;
    rotation.world.user("ann");
    rotation.world.user("bob");
    let arn = |name: &str| format!("arn:aws:iam::{HOME}:user/{name}");
    rotation.terms.leaving = BTreeSet::from([arn("ann"), arn("bob")]);
    let what = SecretAction::Deny { case: case(), readers: BTreeSet::from([arn("ann")]) };
    let secret = rotation.secret.clone();
    rotation.world.act(Action::Secret { secret, what }).await.unwrap();
    forbid_all(&rotation, "iam:GetUser");
    assert!(!rotation.view().await.denied, "bob may be there");
}

#[tokio::test]
async fn a_role_that_cannot_be_taken_is_throttled_at_sts_and_nowhere_else() {
    let (rotation, _, _) = key_in_a_secret().await;
    let rotation = restarted(rotation).await;
    rotation.world.aws.faults().add(FaultRule::new(Fault::Throttle).on("AssumeRole").times(1));
    let failure = rotation.world.provider.observe(&rotation.look()).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Throttled, "{failure}");
    let told = rotation.world.recorder.throttling.lock().unwrap().clone();
    assert_eq!(told, [("sts".to_owned(), Some(rotation.world.config.region.clone()))]);
}
