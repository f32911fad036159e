//! No value is lost: whatever an issuer accepts stands in a version of its secret, and can be read there or
//! will be once the secret is restored; and in the end what is handed out is what the issuer accepts. Said by
//! the world alone, whatever the engine has in its records.

use severance_lifecycle::action::Action;
use severance_lifecycle::credential::Target;
use severance_lifecycle::policy::Desired;
use severance_lifecycle::secret::Strategy;
use severance_lifecycle::secret_action::SecretAction;
use severance_lifecycle::secret_view::CURRENT;
use severance_lifecycle::task::{Mode, Task, TaskState};

use crate::sim::Sim;
use crate::store::Store;
use crate::usable;
use crate::vault::{Secret, Value};
use crate::world::World;

/// What a secret's issuer accepts now; of IAM, which knows nothing of secrets, see [`keys`].
fn accepted(secret: &Secret) -> Vec<Value> {
    let logins = secret.logins.iter().filter_map(|(user, password)| {
        Some(Value::Login { user: user.clone(), password: (*password)? })
    });
    let opaque = secret.accepted.iter().chain(secret.accepting.iter().map(|(_, it)| it));
    logins.chain(opaque.map(|number| Value::Opaque(*number))).collect()
}

/// At every moment.
pub fn check(sim: &Sim, world: &World) {
    for secret in world.secrets.values() {
        for value in accepted(secret) {
            if !secret.versions.iter().any(|version| version.value == value) {
                let name = &secret.reference.name;
                lost(sim, &value, format!("{name}: its issuer accepts what no version holds"));
            }
        }
        if secret.versions.iter().filter(|it| it.stages.contains(CURRENT)).count() != 1 {
            sim.violated(format!("{} has not one current version", secret.reference.name));
        }
    }
}

/// Told once for each.
fn lost(sim: &Sim, value: &Value, what: String) {
    if sim.lost.lock().unwrap().insert(value.text()) {
        sim.violated(what);
    }
}

/// A secret is about to be hidden: what its issuer still accepts could be ended no more.
pub fn hides(sim: &Sim, action: &Action) {
    let Action::Secret { secret, what: SecretAction::ScheduleDeletion { .. } } = action else {
        return;
    };
    let world = sim.world.lock().unwrap();
    let Some(here) = world.secrets.get(&secret.arn) else { return };
    if here.deleted_at.is_none() && !accepted(here).is_empty() {
        sim.violated(format!("{} is hidden, and its value lives", secret.name));
    }
}

/// When everything has settled: production reads what is current, and that is let in; but where a case was to
/// end it, or somebody else made it current.
pub fn at_the_end(sim: &Sim, store: &Store, world: &World) {
    let now = sim.clock.provider();
    for secret in world.secrets.values().filter(|it| it.deleted_at.is_none() && !it.meddled) {
        let (name, current) = (&secret.reference.name, secret.current());
        if secret.strategy == Strategy::Untold || is_to_end(store, world, secret) {
            continue;
        }
        let of_it = |task: &Task| matches!(&task.target, Target::Secret { secret: it, .. } if it.arn == secret.reference.arn);
        let mut tasks = store.tasks.values().map(|row| &row.task);
        if tasks.any(|task| of_it(task) && usable::is_unproven(task)) {
            continue;
        }
        if !world.accepts(secret, &current.value, now) {
            sim.violated(format!("{name}: {} is current at the end, and refused", current.id));
        }
        // One login has one password: it is the one that is handed out.
        let all = accepted(secret);
        if secret.is_single_login() && all != [current.value.clone()] {
            sim.violated(format!("{name}: what is handed out is not what is accepted"));
        }
    }
}

/// Whether a case has the secret end, the whole user whose key it holds, or that key.
fn is_to_end(store: &Store, world: &World, secret: &Secret) -> bool {
    let tasks = store.tasks.values().map(|row| &row.task);
    let current = &secret.current().value;
    let owner = match current {
        Value::Key(id) => world.key(id).map(|(user, _)| user.id.clone()),
        _ => None,
    };
    // Of a key that is gone, by the user's name.
    let user = secret.reference.name.replace('s', "k");
    let mut ends =
        tasks.filter(|task| task.desired == Desired::Revoked && task.mode == Mode::Enforce);
    ends.any(|task| match &task.target {
        Target::Secret { secret: on, .. } => on.arn == secret.reference.arn,
        // What was told before another revision took its place stays so, of a value.
        Target::User { .. } if task.state == TaskState::Superseded => false,
        Target::User { user: it } => Some(&it.id) == owner.as_ref() || it.name == user,
        _ => false,
    })
}
