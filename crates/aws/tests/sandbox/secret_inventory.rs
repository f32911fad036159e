//! Secrets as the inventory lists them, and as a selector finds them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use severance_engine::ports::{InventorySink, Look, Provider as _};
use severance_lifecycle::action::Action;
use severance_lifecycle::credential::Target;
use severance_lifecycle::event::{Selector, SelectorTarget};
use severance_lifecycle::failure::Failure;
use severance_lifecycle::observe::Intruder;
use severance_lifecycle::plan::{Identity, SecretDetail};
use severance_lifecycle::secret::{Holding, SecretRef, Strategy, version_id};
use severance_lifecycle::secret_action::SecretAction;
use severance_lifecycle::secret_view::CURRENT;
use severance_lifecycle::task::Lane;
use severance_sandbox::aws::KeyPair;

use crate::support::{HOME, OTHER, REGIONS, World, policy, world};

const STRATEGY: &str = "severance:strategy";

#[derive(Default)]
struct Secrets(BTreeMap<String, Identity>);

#[async_trait::async_trait]
impl InventorySink for Secrets {
    async fn page(&mut self, identities: Vec<Identity>) -> Result<(), Failure> {
        for identity in identities.into_iter().filter(|it| it.secret().is_some()) {
            assert!(self.0.insert(identity.arn.clone(), identity).is_none(), "listed twice");
        }
        Ok(())
    }
}

async fn listed(world: &World) -> BTreeMap<String, Identity> {
    let mut secrets = Secrets::default();
    world.provider.inventory(&HOME.into(), &mut secrets).await.unwrap();
    secrets.0
}

async fn find(world: &World, text: &str, region: Option<&str>) -> Vec<Identity> {
    let target = SelectorTarget::Secret(text.to_owned());
    let selector = Selector { target, account: None, region: region.map(str::to_owned) };
    world.provider.find(&selector, Lane::Compromise).await.unwrap()
}

fn detail(identity: &Identity) -> SecretDetail {
    identity.secret().unwrap().1.clone()
}

fn keys(ids: &[&KeyPair]) -> BTreeSet<Holding> {
    ids.iter().map(|key| Holding::AccessKey { key_id: key.access_key_id.clone() }).collect()
}

fn json(key: &KeyPair) -> String {
    let (id, half) = (&key.access_key_id, &key.secret_access_key);
    format!(r#"{{"access_key_id":"{id}","secret_access_key":"{half}"}}"#)
}

/// Secrets Manager as somebody else with every right.
fn somebody(world: &World, region: &'static str) -> aws_sdk_secretsmanager::Client {
    let root = world.aws.root_key(HOME).unwrap();
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(aws_sdk_secretsmanager::config::BehaviorVersion::latest())
        .region(aws_sdk_secretsmanager::config::Region::new(region))
        .endpoint_url(world.aws.endpoint())
        .credentials_provider(crate::support::credentials(&root))
        .build();
    aws_sdk_secretsmanager::Client::from_conf(config)
}

#[tokio::test]
async fn every_secret_is_listed_with_what_it_holds_and_how_it_is_rotated() {
    let world = world().await;
    world.aws.set_page_size(2);
    let [one, two, three] = [(); 3].map(|()| world.key(&world.user(&fresh())));
    let secret = |region: usize, name: &str, value: &str, tags: &[(&str, &str)]| {
        world.seed().secret(REGIONS[region], name, value, tags).unwrap()
    };
    let by_tag = secret(0, "by-tag", "a value", &[("severance:access-key-id", &one.access_key_id)]);
    let inside = secret(1, "inside", &json(&two), &[("severance:holds", "access-key")]);
    let rotated = secret(1, "rotated", &json(&three), &[(STRATEGY, "iam-access-key")]);
    let login = r#"{"username":"app_clone","password":"p","host":"db","port":5432}"#;
    let turns = [(STRATEGY, "database"), ("severance:alternating", "true")];
    let database = secret(0, "database", login, &turns);
    let tagged = [(STRATEGY, "webhook"), ("severance:webhook", "crm"), ("severance:login", "crm")];
    let webhook = secret(0, "webhook", "never read", &tagged);
    let wrong = secret(0, "wrong", "never read", &[(STRATEGY, "lambda")]);
    let plain = secret(0, "plain", &json(&one), &[("severance:zone", "acme")]);
    let doomed = secret(0, "doomed", &json(&one), &[(STRATEGY, "iam-access-key")]);
    somebody(&world, REGIONS[0]).delete_secret().secret_id(&doomed).send().await.unwrap();

    let all = listed(&world).await;
    assert_eq!(all.len(), 8);
    let of = |arn: &String| detail(&all[arn]);
    assert_eq!((of(&by_tag).strategy, of(&by_tag).holds), (Strategy::Untold, keys(&[&one])));
    assert_eq!((of(&inside).strategy, of(&inside).holds), (Strategy::Untold, keys(&[&two])));
    assert_eq!(of(&rotated).strategy, Strategy::IamAccessKey);
    assert_eq!((of(&rotated).holds, of(&rotated).region), (keys(&[&three]), REGIONS[1].to_owned()));
    assert!(of(&rotated).last_rotated.is_some(), "since its version was stored");
    let named = |login: &str| BTreeSet::from([Holding::Login { login: login.to_owned() }]);
    assert_eq!(of(&database).strategy, Strategy::Database { alternating: true });
    assert_eq!(of(&database).holds, named("app@db:5432"));
    assert_eq!(of(&webhook).strategy, Strategy::Webhook { name: "crm".to_owned() });
    assert_eq!(of(&webhook).holds, named("crm"));
    let (tag, value) = (STRATEGY.to_owned(), "lambda".to_owned());
    assert_eq!(of(&wrong).strategy, Strategy::Unknown { tag, value });
    assert!(of(&plain).holds.is_empty(), "what is not declared is not read");
    assert!(of(&doomed).deleted_at.is_some() && of(&doomed).holds.is_empty());
    assert_eq!(all[&plain].tags["severance:zone"], "acme");
    let reads = world.calls("GetSecretValue");
    assert_eq!(reads, 3, "the two keys that no tag names, and the login");
    assert_eq!(listed(&world).await, all);
    assert_eq!(world.calls("GetSecretValue"), reads, "what has not changed is not read again");
}

/// A name that no other user has.
fn fresh() -> String {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("user-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

#[tokio::test]
async fn what_severance_stored_counts_whatever_the_older_tag_says() {
    let world = world().await;
    let user = world.user("app");
    let key = world.key(&user);
    let tags = [("severance:access-key-id", key.access_key_id.as_str())];
    let arn = world.seed().secret(REGIONS[0], "app", &json(&key), &tags).unwrap();
    assert_eq!(detail(&listed(&world).await[&arn]).holds, keys(&[&key]));
    let secret = SecretRef {
        account: HOME.into(),
        region: REGIONS[0].into(),
        arn: arn.clone(),
        name: "app".into(),
    };
    let act = async |what| {
        let action = Action::Secret { secret: secret.clone(), what };
        world.act(action).await.unwrap();
        world.aws.settle();
    };
    let version = version_id(&"t-0123456789abcdef".into(), 1);
    let (before, at) = (BTreeSet::new(), world.aws.clock().now());
    act(SecretAction::MakeKey { user: user.clone(), version: version.clone(), before, at }).await;
    let described = somebody(&world, REGIONS[0]).describe_secret().secret_id(&arn).send().await;
    let labels = described.unwrap().version_ids_to_stages.unwrap();
    let current = labels.iter().find(|(_, labels)| labels.contains(&CURRENT.to_owned())).unwrap();
    let from = Some(current.0.clone());
    act(SecretAction::Promote { version, from }).await;
    let keys_now = world.somebody().list_access_keys().user_name("app").send().await.unwrap();
    let new = keys_now.access_key_metadata.into_iter().filter_map(|it| it.access_key_id);
    let new: BTreeSet<_> = new.filter(|id| *id != key.access_key_id).collect();
    let held: BTreeSet<_> = new.into_iter().map(|key_id| Holding::AccessKey { key_id }).collect();
    assert_eq!(held.len(), 1);
    // Another process, which has nothing in memory.
    let world = world.configured(|_| {}).await;
    let after = detail(&listed(&world).await[&arn]);
    assert_eq!(after.holds, held);
    assert!(after.last_rotated.is_some());
}

#[tokio::test]
async fn a_secret_is_found_by_name_arn_and_an_arn_without_its_end_and_only_where_it_is() {
    let world = world().await;
    let [first, second] = REGIONS.map(|region| {
        let tags = [(STRATEGY, "managed"), ("severance:zone", "acme")];
        world.seed().secret(region, "app/db", "v", &tags).unwrap()
    });
    let arns = |found: Vec<Identity>| found.into_iter().map(|it| it.arn).collect::<Vec<_>>();
    let both = find(&world, "app/db", None).await;
    assert_eq!(detail(&both[0]).strategy, Strategy::Managed);
    assert_eq!(arns(both), [first.clone(), second.clone()]);
    assert_eq!(arns(find(&world, "app/db", Some(REGIONS[1])).await), [second.as_str()]);
    assert_eq!(arns(find(&world, &first, None).await), [first.as_str()]);
    let partial = &second[..second.len() - "-AbCdEf".len()];
    assert_eq!(arns(find(&world, partial, None).await), [second.as_str()]);
    let elsewhere = first.replacen(HOME, "333333333333", 1);
    let other = first.replacen(HOME, OTHER, 1);
    let region = first.replacen(REGIONS[0], "ap-south-1", 1);
    let user = format!("arn:aws:iam::{HOME}:user/app");
    for nowhere in ["app", "nothing", &elsewhere, &other, &region, &user, "arn:x"] {
        assert_eq!(arns(find(&world, nowhere, None).await), Vec::<String>::new(), "{nowhere}");
    }
    assert_eq!(listed(&world).await[&first], find(&world, &first, None).await[0], "as listed");
}

#[tokio::test]
async fn a_replica_is_its_primary() {
    let world = world().await;
    let primary = world.seed().secret(REGIONS[0], "app", "v", &[(STRATEGY, "managed")]).unwrap();
    let region = aws_sdk_secretsmanager::types::ReplicaRegionType::builder();
    let region = region.region(REGIONS[1]).build();
    let replicate = somebody(&world, REGIONS[0]).replicate_secret_to_regions().secret_id(&primary);
    replicate.add_replica_regions(region).send().await.unwrap();
    world.aws.settle();
    let replica = primary.replacen(REGIONS[0], REGIONS[1], 1);
    let all = listed(&world).await;
    assert_eq!(all.keys().collect::<Vec<_>>(), [&primary]);
    for text in [replica.as_str(), primary.as_str(), "app"] {
        let found = find(&world, text, None).await;
        assert_eq!(found.iter().map(|it| &it.arn).collect::<Vec<_>>(), [&primary], "{text}");
    }
}

#[tokio::test]
async fn a_region_that_may_not_be_listed_leaves_the_users_known() {
    let world = world().await;
    world.user("ann");
    world.seed().secret(REGIONS[0], "app", "v", &[]).unwrap();
    let deny = policy("Deny", "secretsmanager:ListSecrets");
    world.seed().role_policy("severance", "no", &deny).unwrap();
    assert!(listed(&world).await.is_empty());
}

#[tokio::test]
async fn a_key_that_a_rotation_made_is_no_intruder_also_after_a_restart() {
    let world = world().await;
    let user = world.user("app");
    let key = world.key(&user);
    let started = world.aws.clock().now() - TimeDelta::hours(1);
    let tags = [(STRATEGY, "iam-access-key")];
    let arn = world.seed().secret(REGIONS[1], "app", &json(&key), &tags).unwrap();
    let (account, region, name) = (HOME.into(), REGIONS[1].into(), "app".into());
    let secret = SecretRef { account, region, arn, name };
    let version = version_id(&"t-0123456789abcdef".into(), 1);
    let (before, at) = (BTreeSet::new(), world.aws.clock().now());
    let what = SecretAction::MakeKey { user: user.clone(), version, before, at };
    world.act(Action::Secret { secret, what }).await.unwrap();
    world.deactivate(&user, &key).await;
    world.aws.settle();
    let key_id = key.access_key_id.clone();
    let target = Target::AccessKey { key_id, user: user.clone() };
    let look = Look { exposed_since: started, ..world.look(target) };
    assert_eq!(world.key_view_of(&look).await.intruders, []);
    let world = world.configured(|_| {}).await;
    assert_eq!(world.key_view_of(&look).await.intruders, [], "it is not current yet");
    // One that somebody else makes is.
    let delete = world.somebody().delete_access_key().user_name("app");
    delete.access_key_id(&key.access_key_id).send().await.unwrap();
    let other = world.key(&user).access_key_id;
    world.aws.settle();
    let intruder = Intruder::AccessKey { key_id: other };
    assert_eq!(world.key_view_of(&look).await.intruders, [intruder]);
}
