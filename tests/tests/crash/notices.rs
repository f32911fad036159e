//! A thousand notices of keys.

use std::collections::{HashMap, HashSet};

use severance_sandbox::aws::CallRecord;
use severance_tests::aws::{Key, Tried, try_keys};
use severance_tests::calls::deactivates;
use severance_tests::events::{Event, key_notice};
use severance_tests::world::{World, key_of, user};

use crate::kills::{
    self, every_event_has_exactly_one_closed_case, is_of_a_notice, kill_until_done,
};

const NOTICES: usize = 1_000;
/// Every fourth key's secret half is known to the worker, so that it is probed.
const PROBED: usize = 4;
/// Users that no notice names.
const BYSTANDERS: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_under_a_thousand_notices_lose_nothing_and_touch_nothing_else() {
    let world = World::new().await;
    let load = Load::seed(&world).await;
    let mut worker = kills::worker(&world, "", "").await;
    // Most of the load is there from the start, the rest comes between the kills.
    let (first, later) = load.events.split_at(NOTICES - NOTICES / 10);
    let under = kills::Load { first, later, after: 0, life: 400 };
    let kills = kill_until_done(&world, &mut worker, under).await;

    every_noticed_key_is_refused_and_every_other_works(&world, &load).await;
    every_event_has_exactly_one_closed_case(&worker, &load.events).await;
    let changes = world.worker_changes().await;
    no_change_is_outside_the_cases(&changes, &load);
    let in_flight = kills.iter().map(|kill| kill.struck.len()).sum();
    repeats_are_at_most_the_calls_in_flight(&changes, in_flight);
}

/// Who is noticed, and who must be left alone.
struct Load {
    events: Vec<Event>,
    noticed: Vec<Key>,
    users: HashSet<String>,
    left_alone: Vec<Key>,
}

impl Load {
    async fn seed(world: &World) -> Self {
        let noticed = (0..NOTICES).map(|n| {
            let name = format!("leaked-{n:04}");
            let mut seed = user(&name, &[]);
            seed.secret = (n % PROBED == 0).then(|| format!("{name}/key"));
            // The second key is the user's good one.
            seed.access_keys = 2;
            seed
        });
        let users = world.seed(noticed.collect()).await;
        world.name_keys_of_secrets(&users).await;
        let bystanders = (0..BYSTANDERS).map(|n| {
            let mut seed = user(&format!("bystander-{n:02}"), &[]);
            seed.access_keys = 1;
            seed
        });
        let bystanders = world.seed(bystanders.collect()).await;
        let second = users.iter().map(|user| {
            let (id, secret) = &user.access_keys[1];
            Key::new(id, secret)
        });
        let noticed: Vec<Key> = users.iter().map(key_of).collect();
        Self {
            events: noticed
                .iter()
                .enumerate()
                .map(|(n, key)| key_notice(&format!("notice-{n}"), &key.id))
                .collect(),
            left_alone: second.chain(bystanders.iter().map(key_of)).collect(),
            users: users.into_iter().map(|user| user.name).collect(),
            noticed,
        }
    }
}

async fn every_noticed_key_is_refused_and_every_other_works(world: &World, load: &Load) {
    let endpoint = &world.sandbox.endpoint;
    let refused = Tried::Refused("InvalidClientTokenId".to_owned());
    for (key, tried) in load.noticed.iter().zip(try_keys(endpoint, &load.noticed).await) {
        assert_eq!(tried, refused, "{} was noticed", key.id);
    }
    for (key, tried) in load.left_alone.iter().zip(try_keys(endpoint, &load.left_alone).await) {
        assert_eq!(tried, Tried::Accepted, "{} was not noticed", key.id);
    }
}

fn no_change_is_outside_the_cases(changes: &[CallRecord], load: &Load) {
    let noticed: HashSet<&str> = load.noticed.iter().map(|key| key.id.as_str()).collect();
    for change in changes {
        assert!(is_of_a_notice(change, &load.users, &noticed), "outside every case: {change:?}");
    }
}

fn repeats_are_at_most_the_calls_in_flight(changes: &[CallRecord], in_flight: usize) {
    let mut of_key: HashMap<&str, usize> = HashMap::new();
    for change in changes.iter().filter(|change| deactivates(change)) {
        *of_key.entry(change.subject.as_deref().unwrap()).or_default() += 1;
    }
    assert_eq!(of_key.len(), NOTICES, "keys that the worker deactivated");
    let repeated: usize = of_key.values().map(|times| times - 1).sum();
    println!("{repeated} deactivations beyond one per key; {in_flight} calls were in flight");
    assert!(repeated <= in_flight, "{repeated} repeats, {in_flight} in flight");
}
