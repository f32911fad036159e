//! Secrets of others that hold a key which one of ours holds too: what is rotated by routine, or ends with a
//! contract, leaves such a key alone for as long as the other secret hands it out; a compromise does not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::TimeDelta;
use severance_lifecycle::action::Action;
use severance_lifecycle::credential::Target;
use severance_lifecycle::event::Trigger;
use severance_lifecycle::secret::{SecretRef, Strategy};
use severance_lifecycle::secret_view::{CURRENT, PREVIOUS};
use severance_lifecycle::task::Task;

use crate::clock::{epoch, pause};
use crate::provider::accounts;
use crate::scenario::key;
use crate::sim::Sim;
use crate::vault::{Secret, Value, Version};
use crate::world::{Time, World};

const MINUTE: i64 = 60_000;

/// How another secret comes to hold a key of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It hands out what ours does.
    Same,
    /// It hands out what ours did before.
    Earlier,
    /// Somebody copies what ours hands out, in mid-run.
    Copied,
}

/// Whether nobody of ours knows how a secret is rotated: it is another team's.
pub fn is_others(secret: &Secret) -> bool {
    secret.strategy == Strategy::Untold
}

/// Whether another secret than this one hands a key out.
pub fn is_elsewhere(world: &World, arn: &str, key_id: &str) -> bool {
    world.secrets.values().any(|other| {
        other.reference.arn != arn
            && other.deleted_at.is_none()
            && matches!(&other.current().value, Value::Key(id) if id == key_id)
    })
}

/// Chooses whether there is such a secret, and beside which of ours.
pub fn populate(sim: &Sim, world: &mut World) {
    if !sim.more.happens(2_500) {
        return;
    }
    let with_key: Vec<String> = world
        .secrets
        .values()
        .filter(|secret| matches!(secret.current().value, Value::Key(_)))
        .map(|secret| secret.reference.arn.clone())
        .collect();
    if with_key.is_empty() {
        return;
    }
    let arn = with_key[usize::try_from(sim.more.below(with_key.len() as u64)).unwrap()].clone();
    let ways = [Way::Same, Way::Earlier, Way::Copied];
    let way = ways[usize::try_from(sim.more.below(3)).unwrap()];
    let Value::Key(current) = world.secrets[&arn].current().value.clone() else { return };
    let held = match way {
        Way::Same => Value::Key(current),
        Way::Earlier => match earlier(world, &arn, &current) {
            Some(key_id) => Value::Key(key_id),
            None => return,
        },
        Way::Copied => Value::Opaque(world.next_serial()),
    };
    others_secret(world, held);
    *sim.shared.lock().unwrap() = Some((arn, way));
}

/// The key before the one that is current, which another secret hands out still.
fn earlier(world: &mut World, arn: &str, current: &str) -> Option<String> {
    let before = epoch() - TimeDelta::days(80);
    let earlier = key(world, true, before);
    let id = earlier.id.clone();
    let user = world.users.values_mut().find(|it| it.keys.iter().any(|key| key.id == current))?;
    if user.keys.len() >= 2 {
        return None;
    }
    user.keys.push(earlier);
    let number = world.next_serial();
    let mut version = version(number, Value::Key(id.clone()), before);
    version.stages = BTreeSet::from([PREVIOUS.to_owned()]);
    world.secrets.get_mut(arn)?.versions.insert(0, version);
    Some(id)
}

/// Whether a version holds the earlier key. Where that were made current before a rotation has made room, both
/// keys would be in use, and a person is asked which may go.
pub fn is_earlier(version: &str) -> bool {
    version.starts_with(EARLIER)
}

const EARLIER: &str = "OTHERS02";

fn version(number: u64, value: Value, at: Time) -> Version {
    Version {
        id: format!("{EARLIER}-90ab-cdef-fedc-{number:012}"),
        stages: BTreeSet::from([CURRENT.to_owned()]),
        created: at,
        listed: at,
        current_at: Some(at),
        value,
    }
}

fn others_secret(world: &mut World, value: Value) {
    let (account, name) = (accounts()[0].clone(), "x0".to_owned());
    let arn = format!("arn:aws:secretsmanager:eu-west-1:{account}:secret:{name}-AbCdEf");
    let number = world.next_serial();
    let before = epoch() - TimeDelta::days(70);
    let reference = SecretRef { account, region: "eu-west-1".to_owned(), arn: arn.clone(), name };
    let secret = Secret {
        reference,
        strategy: Strategy::Untold,
        tags: BTreeMap::new(),
        versions: vec![version(number, value, before)],
        replicas: BTreeMap::new(),
        denies: BTreeSet::new(),
        deleted_at: None,
        current_since: before,
        function: None,
        function_failed: false,
        logins: BTreeMap::new(),
        accepted: BTreeSet::new(),
        accepting: Vec::new(),
        has_administrator: false,
        sessions: BTreeSet::new(),
        logging_in: Vec::new(),
        meddled: false,
    };
    world.secrets.insert(arn, secret);
}

/// The other secret's owners: they copy the key, where that is the way, and some time later they hand out
/// something else.
pub async fn others(sim: Arc<Sim>) {
    let Some((arn, way)) = sim.shared.lock().unwrap().clone() else { return };
    sim.note(match way {
        Way::Same => "a key that another secret hands out too",
        Way::Earlier => "an earlier key that another secret hands out",
        Way::Copied => "a key copied to another secret",
    });
    if way == Way::Copied {
        pause(sim.more.between(0, 150 * MINUTE)).await;
        let value = sim.world.lock().unwrap().secrets[&arn].current().value.clone();
        hand_out(&sim, value);
    }
    pause(sim.more.between(30 * MINUTE, 300 * MINUTE)).await;
    let other = Value::Opaque(sim.world.lock().unwrap().next_serial());
    hand_out(&sim, other);
}

fn hand_out(sim: &Sim, value: Value) {
    let now = sim.clock.provider();
    let mut world = sim.world.lock().unwrap();
    let number = world.next_serial();
    let Some(other) = world.secrets.values_mut().find(|it| is_others(it)) else { return };
    sim.trace(&format!("{} hands out {}", other.reference.name, value.text()));
    let mut next = version(number, value, now);
    let id = next.id.clone();
    next.stages.clear();
    next.current_at = None;
    other.versions.push(next);
    other.move_label(CURRENT, &id, now);
}

/// A key is about to end: not one that somebody else's secret hands out, unless it is exposed.
pub fn cuts(sim: &Sim, action: &Action) {
    let (Action::DeactivateKey { key_id, .. } | Action::DeleteKey { key_id, .. }) = action else {
        return;
    };
    let world = sim.world.lock().unwrap();
    let now = sim.clock.provider();
    let others = world.secrets.values().filter(|it| is_others(it));
    let is_it = |value: &Value| matches!(value, Value::Key(id) if id == key_id);
    let Some(other) = others.into_iter().find(|it| is_it(&it.current().value)) else { return };
    if !world.key_works(key_id, now) {
        return;
    }
    let store = sim.store.lock().unwrap();
    if !store.tasks.values().any(|row| exposes(&world, &row.task, key_id)) {
        sim.violated(format!("{action}, which {} hands out", other.reference.name));
    }
}

/// Whether a notice names the key, its user or a secret that held it then.
fn exposes(world: &World, task: &Task, key_id: &str) -> bool {
    if task.trigger != Trigger::CompromiseNotice {
        return false;
    }
    let is_burnt = |it: &Version| {
        it.created < task.noticed_at && matches!(&it.value, Value::Key(id) if id == key_id)
    };
    match &task.target {
        Target::AccessKey { key_id: named, .. } => named == key_id,
        Target::User { user } => world.key(key_id).is_some_and(|(of, _)| of.id == user.id),
        Target::Secret { secret, .. } => {
            world.secrets.get(&secret.arn).is_some_and(|it| it.versions.iter().any(is_burnt))
        }
        _ => false,
    }
}

/// What a compromised secret held still works, once that counts as ended: whoever else hands it out.
pub fn alive(world: &World, task: &Task, now: Time) -> Vec<String> {
    let Target::Secret { secret, .. } = &task.target else { return Vec::new() };
    let Some(here) = world.secrets.get(&secret.arn) else { return Vec::new() };
    let keys = here.versions.iter().filter_map(|version| match &version.value {
        Value::Key(id) => Some(id),
        _ => None,
    });
    let burnt = keys.filter(|id| exposes(world, task, id) && world.key_works(id, now));
    burnt.map(|id| format!("{id}, which a version of {} held", secret.name)).collect()
}
