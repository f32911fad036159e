//! What people do to secrets by mistake, in mid-run: a value that nobody can use is stored, a secret is
//! scheduled for deletion. Later it is mended; now and then it is not.

use std::sync::Arc;

use severance_lifecycle::credential::Target;
use severance_lifecycle::secret_view::CURRENT;
use severance_lifecycle::task::BlockReason;

use crate::clock::pause;
use crate::sharing;
use crate::sim::Sim;
use crate::vault::{Secret, Value, Version};
use crate::world::Time;

const MINUTE: i64 = 60_000;

/// One mishap, and its end.
pub async fn happen(sim: Arc<Sim>) {
    if !sim.more.happens(3_000) {
        return;
    }
    let early = sim.more.happens(5_000);
    pause(sim.more.between(0, if early { 2 * MINUTE } else { 150 * MINUTE })).await;
    let Some(arn) = some_secret(&sim) else { return };
    let deleted = sim.more.happens(5_000);
    let before =
        if deleted { hide(&sim, &arn).map(|()| None) } else { spoil(&sim, &arn).map(Some) };
    let Some(before) = before else { return };
    if sim.more.happens(1_000) {
        sim.store.lock().unwrap().unmended.insert(arn);
        return;
    }
    pause(sim.more.between(2 * MINUTE, 120 * MINUTE)).await;
    match before {
        None => restore(&sim, &arn),
        Some(before) => mend(&sim, &arn, &before),
    }
}

fn some_secret(sim: &Sim) -> Option<String> {
    let world = sim.world.lock().unwrap();
    let ours = world.secrets.values().filter(|it| it.reference.name.starts_with('s'));
    let ours: Vec<&String> = ours.map(|it| &it.reference.arn).collect();
    let which = usize::try_from(sim.more.below(ours.len() as u64)).unwrap();
    ours.get(which).map(|arn| (*arn).clone())
}

fn hide(sim: &Sim, arn: &str) -> Option<()> {
    let now = sim.clock.provider();
    let mut world = sim.world.lock().unwrap();
    world.pass(now);
    let here = world.secrets.get_mut(arn).filter(|it| it.deleted_at.is_none())?;
    here.deleted_at = Some(now);
    // Whoever deletes it says that nobody needs it: a case that comes then has it end.
    sim.scope.lock().unwrap().ending.insert(arn.to_owned());
    sim.hidden.lock().unwrap().insert(arn.to_owned(), now);
    sim.note("a secret deleted by others");
    Some(())
}

fn restore(sim: &Sim, arn: &str) {
    let hidden = sim.hidden.lock().unwrap().get(arn).copied();
    let mut world = sim.world.lock().unwrap();
    // What a case of ours hid meanwhile is not theirs to restore.
    if let Some(here) = world.secrets.get_mut(arn).filter(|it| it.deleted_at == hidden) {
        here.deleted_at = None;
        sim.note("a deleted secret restored by others");
    }
}

/// Stores what nobody can use. Answers the version that was current before.
fn spoil(sim: &Sim, arn: &str) -> Option<String> {
    let now = sim.clock.provider();
    let mut world = sim.world.lock().unwrap();
    world.pass(now);
    let number = world.next_serial();
    let here = world.secrets.get_mut(arn).filter(|it| it.deleted_at.is_none())?;
    // What an endpoint or a function makes of a value, only they know.
    let is_told_by_value = matches!(here.current().value, Value::Key(_) | Value::Login { .. });
    // An earlier key loses its label to what follows, and with it whatever tells that it is this secret's, but
    // to a task that saw it before: where it takes the room of a new one, a person is asked else.
    let earlier = here.versions.iter().find(|it| sharing::is_earlier(&it.id));
    let is_forgotten = |key_id: &String| {
        let store = sim.store.lock().unwrap();
        let tasks = store.tasks.values().map(|row| &row.task);
        let mut rotations = tasks.filter(
            |task| matches!(&task.target, Target::Secret { secret, .. } if secret.arn == arn),
        );
        !rotations.any(|task| task.record.rotation.own_keys.contains(key_id))
    };
    if !is_told_by_value
        || matches!(earlier.map(|it| &it.value), Some(Value::Key(id)) if is_forgotten(id))
    {
        return None;
    }
    let before = here.current().id.clone();
    hand_out(here, number, Value::Unfit, now);
    here.meddled = true;
    sim.note("an unfit value stored by others");
    Some(before)
}

/// Hands out again what was there before, under its own version or a new one.
fn mend(sim: &Sim, arn: &str, before: &str) {
    let now = sim.clock.provider();
    let mut world = sim.world.lock().unwrap();
    world.pass(now);
    let number = world.next_serial();
    let Some(here) = world.secrets.get_mut(arn) else { return };
    if here.deleted_at.is_some() || here.current().value != Value::Unfit {
        return;
    }
    if sim.more.happens(5_000) {
        here.move_label(CURRENT, before, now);
    } else if let Some(value) = here.version(before).map(|it| it.value.clone()) {
        hand_out(here, number, value, now);
    }
    sim.note("an unfit value mended by others");
}

fn hand_out(here: &mut Secret, number: u64, value: Value, now: Time) {
    let id = format!("OTHERS03-90ab-cdef-fedc-{number:012}");
    let stages = std::collections::BTreeSet::new();
    let (created, listed, current_at) = (now, now, None);
    here.versions.push(Version { id: id.clone(), stages, created, listed, current_at, value });
    here.move_label(CURRENT, &id, now);
}

/// Whether a block says what nobody mends.
pub fn is_for_good(reason: &BlockReason) -> bool {
    matches!(reason, BlockReason::UnfitValue { .. } | BlockReason::ScheduledForDeletion { .. })
}
