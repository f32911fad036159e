//! Probes: the key itself is tried, and what proves nothing says so.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use severance_engine::ports::{InventorySink, Provider as _};
use severance_lifecycle::action::Action;
use severance_lifecycle::credential::UserRef;
use severance_lifecycle::failure::Failure;
use severance_lifecycle::plan::Identity;
use severance_lifecycle::record::ProbeAnswer;
use severance_sandbox::aws::{Fault, FaultRule, KeyPair, Service};

use crate::support::{HOME, REGIONS, World, world};

struct Ignore;

#[async_trait::async_trait]
impl InventorySink for Ignore {
    async fn page(&mut self, _: Vec<Identity>) -> Result<(), Failure> {
        Ok(())
    }
}

fn json(id: &str, secret: &str) -> String {
    format!(r#"{{"note":"x","access_key_id":"{id}","secret_access_key":"{secret}"}}"#)
}

/// A user with a key that a secret in the second region holds, named by its tag.
async fn held(world: &World) -> (UserRef, KeyPair) {
    let user = world.user("ci");
    let key = world.key(&user);
    let value = json(&key.access_key_id, &key.secret_access_key);
    let tags = [("severance:access-key-id", key.access_key_id.as_str())];
    world.seed().secret(REGIONS[1], "ci", &value, &tags).unwrap();
    world.provider.inventory(&HOME.into(), &mut Ignore).await.unwrap();
    (user, key)
}

async fn probe(world: &World, user: &UserRef, key: &KeyPair, sample: u32) -> ProbeAnswer {
    let key_id = key.access_key_id.clone();
    let action = Action::Probe { user: user.clone(), key_id, sample };
    world.act(action).await.unwrap().probe.unwrap()
}

fn endpoint(region: &str) -> String {
    format!("sts.{region}")
}

#[tokio::test]
async fn a_key_that_is_inactive_on_paper_is_accepted_until_that_has_spread() {
    let world = world().await;
    let (user, key) = held(&world).await;
    world.aws.set_spread_delay(Duration::from_hours(1));
    world.deactivate(&user, &key).await;
    let view = world.key_view(&key, &user).await;
    assert!(!view.key.unwrap().status.is_active(), "the control plane shows it at once");
    assert_eq!(
        probe(&world, &user, &key, 0).await,
        ProbeAnswer::Accepted { endpoint: endpoint(REGIONS[0]) }
    );
    world.aws.settle();
    for sample in 0..4 {
        let region = REGIONS[sample as usize % 2];
        assert_eq!(
            probe(&world, &user, &key, sample).await,
            ProbeAnswer::Refused { endpoint: endpoint(region) },
            "samples go round the regions"
        );
    }
}

#[tokio::test]
async fn a_region_that_refuses_us_too_proves_nothing_of_a_live_key() {
    let world = world().await;
    let (user, key) = held(&world).await;
    // The first region is not enabled for the account: a live key gets the code of a dead one.
    world.aws.set_regions(vec![REGIONS[1].to_owned()]);
    let answer = probe(&world, &user, &key, 0).await;
    let ProbeAnswer::Inconclusive { endpoint: at, why } = &answer else { panic!("{answer:?}") };
    assert_eq!((at, why.contains("InvalidClientTokenId")), (&endpoint(REGIONS[0]), true), "{why}");
    assert!(matches!(probe(&world, &user, &key, 1).await, ProbeAnswer::Accepted { .. }));
    // Where our own credentials are refused, the secret is not said to be unreadable.
    world.aws.set_regions(vec![REGIONS[0].to_owned()]);
    let answer = probe(&world, &user, &key, 0).await;
    assert!(matches!(answer, ProbeAnswer::Inconclusive { .. }), "{answer:?}");
    world.aws.set_regions(REGIONS.map(str::to_owned).to_vec());
    assert!(matches!(probe(&world, &user, &key, 0).await, ProbeAnswer::Accepted { .. }));
}

#[tokio::test]
async fn throttles_errors_and_silence_prove_nothing() {
    let world = world().await;
    let world = world.configured(|c| c.timeouts.attempt = Duration::from_millis(500)).await;
    let (user, key) = held(&world).await;
    world.deactivate(&user, &key).await;
    for fault in [Fault::Throttle, Fault::InternalError, Fault::Refuse, Fault::Hang] {
        let rule = FaultRule {
            access_key_id: Some(key.access_key_id.clone()),
            ..FaultRule::new(fault).on("GetCallerIdentity")
        };
        let id = world.aws.faults().add(rule);
        let answer = probe(&world, &user, &key, 0).await;
        assert!(matches!(answer, ProbeAnswer::Inconclusive { .. }), "{fault:?}: {answer:?}");
        assert!(world.aws.faults().remove(id));
    }
    let rule = FaultRule::new(Fault::InternalError).on("GetSecretValue");
    let id = world.aws.faults().add(FaultRule { service: Some(Service::SecretsManager), ..rule });
    let answer = probe(&world, &user, &key, 0).await;
    assert!(matches!(answer, ProbeAnswer::Inconclusive { .. }), "{answer:?}");
    world.aws.faults().remove(id);
    assert!(matches!(probe(&world, &user, &key, 0).await, ProbeAnswer::Refused { .. }));
}

#[tokio::test]
async fn a_wrong_copy_of_the_secret_half_proves_nothing_and_is_not_tried_again() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    let value = json(&key.access_key_id, "not-its-secret-half");
    let tags = [("severance:access-key-id", key.access_key_id.as_str())];
    world.seed().secret(REGIONS[0], "ci", &value, &tags).unwrap();
    world.provider.inventory(&HOME.into(), &mut Ignore).await.unwrap();
    let answer = probe(&world, &user, &key, 0).await;
    assert!(matches!(answer, ProbeAnswer::Unavailable { .. }), "{answer:?}");
    world.deactivate(&user, &key).await;
    assert!(!world.key_view(&key, &user).await.key.unwrap().probeable);
}

#[tokio::test]
async fn a_key_is_probeable_by_its_tag_or_by_a_declared_json_field_and_else_not() {
    let world = world().await;
    let (user, tagged) = held(&world).await;
    let (declared, nowhere) = (world.key(&user), world.key(&user));
    let value = json(&declared.access_key_id, &declared.secret_access_key);
    let holds = [("severance:holds", "access-key")];
    world.seed().secret(REGIONS[0], "declared", &value, &holds).unwrap();
    let value = json(&nowhere.access_key_id, &nowhere.secret_access_key);
    world.seed().secret(REGIONS[0], "undeclared", &value, &[]).unwrap();
    world.seed().secret(REGIONS[0], "else", "{}", &[("severance:holds", "a database")]).unwrap();
    world.provider.inventory(&HOME.into(), &mut Ignore).await.unwrap();
    for (key, probeable) in [(&tagged, true), (&declared, true), (&nowhere, false)] {
        world.deactivate(&user, key).await;
        assert_eq!(world.key_view(key, &user).await.key.unwrap().probeable, probeable);
    }
    assert!(matches!(probe(&world, &user, &declared, 0).await, ProbeAnswer::Refused { .. }));
    assert!(matches!(probe(&world, &user, &nowhere, 0).await, ProbeAnswer::Unavailable { .. }));
    let read = world.aws.log().calls().into_iter().filter(|c| c.operation == "GetSecretValue");
    let read: Vec<_> = read.map(|call| call.resource).collect();
    assert!(
        read.iter().all(|arn| !arn.contains("undeclared") && !arn.contains("else")),
        "{read:?}"
    );
}

#[tokio::test]
async fn looks_do_not_search_secrets_again_and_a_new_secret_is_found_within_a_minute() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    world.deactivate(&user, &key).await;
    assert!(!world.key_view(&key, &user).await.key.unwrap().probeable);
    let searched = world.calls("ListSecrets");
    assert!(searched > 0, "a miss is looked up live");
    for _ in 0..5 {
        world.key_view(&key, &user).await;
    }
    let late = world.user("late");
    let late_key = world.key(&late);
    world.deactivate(&late, &late_key).await;
    let value = json(&late_key.access_key_id, &late_key.secret_access_key);
    let tags = [("severance:access-key-id", late_key.access_key_id.as_str())];
    world.seed().secret(REGIONS[0], "late", &value, &tags).unwrap();
    assert!(!world.key_view(&late_key, &late).await.key.unwrap().probeable);
    assert_eq!(world.calls("ListSecrets"), searched, "a fresh index is not searched again");
    world.aws.clock().set_offset(TimeDelta::seconds(61));
    assert!(world.key_view(&late_key, &late).await.key.unwrap().probeable);
}

#[tokio::test]
async fn secrets_that_may_not_be_listed_leave_keys_unprobeable_and_looks_whole() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    let deny = crate::support::policy("Deny", "secretsmanager:*");
    world.seed().role_policy("severance", "no", &deny).unwrap();
    world.provider.inventory(&HOME.into(), &mut Ignore).await.unwrap();
    world.deactivate(&user, &key).await;
    assert!(!world.key_view(&key, &user).await.key.unwrap().probeable);
}

#[tokio::test]
async fn a_look_does_not_wait_for_a_search_of_the_inventory() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    let before = world.recorder.admitted.load(Ordering::SeqCst);
    world.provider.inventory(&HOME.into(), &mut Ignore).await.unwrap();
    let calls = world.recorder.admitted.load(Ordering::SeqCst) - before;
    world.deactivate(&user, &key).await;
    let value = json(&key.access_key_id, &key.secret_access_key);
    let tags = [("severance:access-key-id", key.access_key_id.as_str())];
    world.seed().secret(REGIONS[0], "ci", &value, &tags).unwrap();
    world.aws.clock().set_offset(TimeDelta::seconds(61));

    // Its last four calls list secrets, by two tags in two regions. It stands before the third.
    let hold = world.recorder.hold_after(calls - 2);
    let look = async {
        hold.due().await;
        let looking = world.key_view(&key, &user);
        let view = tokio::time::timeout(Duration::from_mins(1), looking).await;
        hold.release();
        view.expect("the look does not wait for what less urgent work does").key.unwrap()
    };
    let (account, mut ignore) = (HOME.into(), Ignore);
    let (listed, key) = tokio::join!(world.provider.inventory(&account, &mut ignore), look);
    listed.unwrap();
    assert!(key.probeable);
}

#[tokio::test]
async fn secrets_that_cannot_be_searched_for_a_while_leave_the_proof_open_and_then_degrade_it() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    let value = json(&key.access_key_id, &key.secret_access_key);
    let tags = [("severance:access-key-id", key.access_key_id.as_str())];
    world.seed().secret(REGIONS[0], "ci", &value, &tags).unwrap();
    world.deactivate(&user, &key).await;
    let fault = world.aws.faults().add(FaultRule::new(Fault::InternalError).on("ListSecrets"));
    let probeable = async || world.key_view(&key, &user).await.key.unwrap().probeable;
    assert!(probeable().await, "it is open: the key counts as one that can be probed");
    let searched = world.calls("ListSecrets");
    let answer = probe(&world, &user, &key, 0).await;
    assert!(matches!(answer, ProbeAnswer::Inconclusive { .. }), "{answer:?}");
    assert!(probeable().await);
    assert_eq!(world.calls("ListSecrets"), searched, "not every look searches anew");
    world.aws.clock().set_offset(TimeDelta::seconds(61));
    assert!(!probeable().await, "not for ever");
    assert!(world.aws.faults().remove(fault));
    world.aws.clock().set_offset(TimeDelta::seconds(70));
    assert!(probeable().await);
    assert!(matches!(probe(&world, &user, &key, 0).await, ProbeAnswer::Refused { .. }));
}
