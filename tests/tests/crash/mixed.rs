//! Rotations and notices beside each other.

use std::collections::{BTreeMap, HashMap, HashSet};

use aws_sdk_iam::types::StatusType;
use aws_sdk_secretsmanager::types::RotationRulesType;
use futures::{StreamExt as _, stream};
use severance_lifecycle::secret::is_ours;
use severance_sandbox::aws::CallRecord;
use severance_sandbox::aws::control::{SeededUser, UserSeed};
use severance_tests::aws::{Key, Tried, try_keys};
use severance_tests::events::{Event, key_notice, secret_rotation};
use severance_tests::world::{ACCOUNT, World, key_of, user};

use crate::kills::{
    self, Kill, every_event_has_exactly_one_closed_case, is_of_a_notice, kill_until_done, resource,
};

const NOTICES: usize = 300;
/// Secrets that hold a user's access key.
const KEYS: usize = 225;
/// Secrets that their own function rotates.
const MANAGED: usize = 75;
/// Every fourth noticed key's secret half is known to the worker.
const PROBED: usize = 4;
/// Secrets with a key and a strategy that nobody asks to be rotated, and users that no notice names.
const BYSTANDERS: usize = 20;
/// A rotation looks at much before it changes anything: were all looked at first, kills would strike little
/// else.
const ENGINE: &str = "tasks = 16\n";
/// Short, so that old keys die while the worker is being killed.
const ZONE: &str = "secrets = { grace = \"1s\" }\n";

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_under_rotations_and_notices_lose_nothing_and_touch_nothing_else() {
    let world = World::new().await;
    let load = Load::seed(&world).await;
    let mut worker = kills::worker(&world, ENGINE, ZONE).await;
    world.inventory_done(&worker).await;
    // Notices go before rotations: while some are there, kills strike little else.
    let (first, later) = load.events.split_at(KEYS + MANAGED);
    let under = kills::Load { first, later, after: 10, life: 1_000 };
    let kills = kill_until_done(&world, &mut worker, under).await;

    every_event_has_exactly_one_closed_case(&worker, &load.events).await;
    let refused = Tried::Refused("InvalidClientTokenId".to_owned());
    tried(&world, load.noticed.iter().map(key_of), &refused).await;
    tried(&world, load.turned.iter().map(key_of), &refused).await;
    let (others, theirs) = load.left_alone();
    tried(&world, others, &Tried::Accepted).await;
    let new = every_secret_hands_out_one_new_key_and_none_is_left_behind(&world, &load).await;
    tried(&world, new.values().cloned(), &Tried::Accepted).await;
    every_managed_secret_was_turned_once(&world, &load).await;
    for (arn, key) in theirs {
        assert_eq!(handed_out(&world, arn).await.id, key.id, "nobody asked for {arn}");
    }
    let changes = world.worker_changes().await;
    no_change_is_outside_the_cases(&changes, &load, &new);
    keys_are_at_most_one_each_and_those_in_the_making(&changes, &load, &kills);
}

struct Load {
    /// The rotations, then the notices.
    events: Vec<Event>,
    noticed: Vec<SeededUser>,
    turned: Vec<SeededUser>,
    managed: Vec<String>,
    bystanders: Vec<SeededUser>,
}

impl Load {
    async fn seed(world: &World) -> Self {
        let noticed = (0..NOTICES).map(|n| {
            let name = format!("leaked-{n:04}");
            let secret = (n % PROBED == 0).then(|| format!("{name}/key"));
            UserSeed { secret, access_keys: 2, ..user(&name, &[]) }
        });
        let noticed = world.seed(noticed.collect()).await;
        world.name_keys_of_secrets(&noticed).await;
        let holder = |name: String| {
            let tags =
                [("severance:strategy", "iam-access-key"), ("severance:holds", "access-key")];
            let secret = Some(format!("{name}/key"));
            UserSeed { secret, access_keys: 1, ..user(&name, &tags) }
        };
        let turned = (0..KEYS).map(|n| holder(format!("turned-{n:04}"))).collect();
        let turned = world.seed(turned).await;
        let bystanders = (0..BYSTANDERS).map(|n| holder(format!("bystander-{n:02}"))).collect();
        let bystanders = world.seed(bystanders).await;
        let mut managed = Vec::new();
        for n in 0..MANAGED {
            managed.push(managed_secret(world, &format!("managed-{n:04}")).await);
        }
        let arns = turned.iter().map(arn_of).chain(managed.iter().map(String::as_str));
        let rotations =
            arns.enumerate().map(|(n, arn)| secret_rotation(&format!("rotation-{n}"), arn));
        let keys = noticed.iter().map(key_of);
        let told = keys.enumerate().map(|(n, key)| key_notice(&format!("notice-{n}"), &key.id));
        let events = rotations.chain(told).collect();
        Self { events, noticed, turned, managed, bystanders }
    }

    /// Keys that must still work, and what secrets must still hand out.
    fn left_alone(&self) -> (Vec<Key>, Vec<(&str, Key)>) {
        let second = self.noticed.iter().map(|user| {
            let (id, secret) = &user.access_keys[1];
            Key::new(id, secret)
        });
        let keys = second.chain(self.bystanders.iter().map(key_of)).collect();
        (keys, self.bystanders.iter().map(|user| (arn_of(user), key_of(user))).collect())
    }
}

fn arn_of(user: &SeededUser) -> &str {
    user.secret_arn.as_deref().unwrap()
}

/// A secret with a rotation function that takes a moment.
async fn managed_secret(world: &World, name: &str) -> String {
    let secrets = world.secrets();
    let tag = aws_sdk_secretsmanager::types::Tag::builder();
    let tag = tag.key("severance:strategy").value("managed").build();
    let made = secrets.create_secret().name(name).secret_string("first").tags(tag).send().await;
    let function = format!("arn:aws:lambda:us-east-1:{ACCOUNT}:function:slow-300");
    secrets
        .rotate_secret()
        .secret_id(name)
        .rotation_lambda_arn(function)
        .rotation_rules(RotationRulesType::builder().automatically_after_days(30).build())
        .rotate_immediately(false)
        .send()
        .await
        .unwrap();
    made.unwrap().arn.unwrap()
}

async fn tried(world: &World, keys: impl IntoIterator<Item = Key>, expected: &Tried) {
    let keys: Vec<Key> = keys.into_iter().collect();
    for (key, tried) in keys.iter().zip(try_keys(&world.sandbox.endpoint, &keys).await) {
        assert_eq!(tried, *expected, "{}", key.id);
    }
}

/// The key that a secret hands out.
async fn handed_out(world: &World, arn: &str) -> Key {
    let value = world.secrets().get_secret_value().secret_id(arn).send().await.unwrap();
    let value: serde_json::Value = serde_json::from_str(&value.secret_string.unwrap()).unwrap();
    let field = |name: &str| value[name].as_str().unwrap().to_owned();
    Key::new(&field("access_key_id"), &field("secret_access_key"))
}

/// Each user has its old key, which is off, and the one that its secret hands out. Answers the latter, by the
/// user's name.
async fn every_secret_hands_out_one_new_key_and_none_is_left_behind(
    world: &World,
    load: &Load,
) -> BTreeMap<String, Key> {
    let looks = load.turned.iter().map(|user| async {
        let new = handed_out(world, arn_of(user)).await;
        let listed = world.admin.list_access_keys().user_name(&user.name).send().await.unwrap();
        let keys: BTreeMap<String, StatusType> = listed
            .access_key_metadata
            .into_iter()
            .map(|key| (key.access_key_id.unwrap(), key.status.unwrap()))
            .collect();
        let old = key_of(user).id;
        assert_ne!(new.id, old, "{}", user.name);
        let expected = [(old, StatusType::Inactive), (new.id.clone(), StatusType::Active)];
        assert_eq!(keys, BTreeMap::from(expected), "{}", user.name);
        (user.name.clone(), new)
    });
    stream::iter(looks).buffered(8).collect().await
}

/// A rotation that was asked for twice would have left another version.
async fn every_managed_secret_was_turned_once(world: &World, load: &Load) {
    for arn in &load.managed {
        let secrets = world.secrets();
        let listed = secrets.list_secret_version_ids().secret_id(arn).include_deprecated(true);
        let versions = listed.send().await.unwrap().versions.unwrap();
        assert_eq!(versions.len(), 2, "{versions:?}");
        let current = secrets.get_secret_value().secret_id(arn).send().await.unwrap();
        assert!(is_ours(current.version_id.as_deref().unwrap()), "{current:?}");
        assert_ne!(current.secret_string.as_deref(), Some("first"), "{arn}");
    }
}

fn no_change_is_outside_the_cases(
    changes: &[CallRecord],
    load: &Load,
    new: &BTreeMap<String, Key>,
) {
    let users = load.noticed.iter().map(|user| user.name.clone()).collect();
    let keys: Vec<Key> = load.noticed.iter().map(key_of).collect();
    let noticed: HashSet<&str> = keys.iter().map(|key| key.id.as_str()).collect();
    let turned: HashMap<&str, Key> =
        load.turned.iter().map(|user| (user.name.as_str(), key_of(user))).collect();
    let holders: HashSet<&str> = load.turned.iter().map(arn_of).collect();
    let managed: HashSet<&str> = load.managed.iter().map(String::as_str).collect();
    for change in changes {
        let subject = change.subject.as_deref();
        let of_user = turned.get(resource(change));
        let is_new = new.get(resource(change)).is_some_and(|key| Some(key.id.as_str()) == subject);
        let fits = match change.operation.as_str() {
            "CreateAccessKey" => of_user.is_some(),
            // The old one, or one whose secret half was lost.
            "UpdateAccessKey" if of_user.is_some() => !is_new,
            "DeleteAccessKey" => {
                of_user.is_some_and(|old| Some(old.id.as_str()) != subject) && !is_new
            }
            "PutSecretValue" | "UpdateSecretVersionStage" => holders.contains(&*change.resource),
            "RotateSecret" => managed.contains(&*change.resource),
            _ => is_of_a_notice(change, &users, &noticed),
        };
        assert!(fits, "outside every case: {change:?}");
    }
}

/// A key whose maker was killed before its secret half was on the way to the secret is lost, and another
/// one is made. Nothing else makes a second one.
fn keys_are_at_most_one_each_and_those_in_the_making(
    changes: &[CallRecord],
    load: &Load,
    kills: &[Kill],
) {
    let (mut again, mut lost) = (0, 0);
    for user in &load.turned {
        let of_user =
            |call: &&CallRecord| call.operation == "CreateAccessKey" && resource(call) == user.name;
        let stored = |call: &&CallRecord| {
            call.operation == "PutSecretValue" && call.resource == arn_of(user)
        };
        let made: Vec<_> = changes.iter().filter(of_user).collect();
        assert!(!made.is_empty(), "{}", user.name);
        again += made.len() - 1;
        lost += kills
            .iter()
            .filter(|kill| {
                let (alive, dead) = kill.between;
                let before = made.iter().rev().find(|call| call.started <= dead);
                before.is_some_and(|made| {
                    // A call that had arrived is carried out.
                    let mut puts = changes.iter().filter(stored);
                    !puts.any(|call| call.started > made.started && call.started <= alive)
                })
            })
            .count();
    }
    let of_rotations = kills.iter().flat_map(|kill| &kill.struck).filter(|call| {
        load.turned.iter().any(|user| resource(call) == user.name || call.resource == arn_of(user))
            || load.managed.contains(&call.resource)
    });
    let (struck, of_rotations) =
        (kills.iter().map(|kill| kill.struck.len()).sum::<usize>(), of_rotations.count());
    println!("{struck} calls were in flight at the kills, {of_rotations} of them rotations'");
    println!("{again} keys beyond one per rotation; {lost} were in the making at a kill");
    assert!(0 < of_rotations && of_rotations < struck, "both were struck");
    assert!(again <= lost, "{again} keys too many, {lost} were in the making");
}
