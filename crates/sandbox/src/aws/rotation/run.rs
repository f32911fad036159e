//! The course of a rotation, step by step, as a rotation function takes it.
//!
//! AWS: Secrets Manager User Guide, "How rotation works". The function acts with every right.

use chrono::{DateTime, Utc};

use super::value::{new_value, switch_off_key};
use super::{RotationFunction, RotationKind};
use crate::aws::ids;
use crate::aws::log::CallRecord;
use crate::aws::request::Service;
use crate::aws::secretsmanager::send_to_replicas;
use crate::aws::state::agenda::{Job, Place, Task};
use crate::aws::state::rotation::Run;
use crate::aws::state::{Moment, Secret, World};

/// Starts a rotation that makes `version`, which is `AWSPENDING` and empty from now on.
pub(crate) fn begin(world: &mut World, place: &Place, version: &str, at: &Moment) {
    if let Some(secret) = world.secret_mut(place) {
        secret.content.store(version, None, &["AWSPENDING".to_owned()], at);
    }
    start_function(world, place, version, at);
}

/// Runs the function again on the version that an earlier rotation left, unless it still runs.
pub(crate) fn reattempt(world: &mut World, place: &Place, at: &Moment) {
    let Some(secret) = world.secret(place) else { return };
    let Some(version) = secret.content.pending().map(str::to_owned) else { return };
    if secret.run.as_ref().is_none_or(|run| run.version != version) {
        start_function(world, place, &version, at);
    }
}

fn start_function(world: &mut World, place: &Place, version: &str, at: &Moment) {
    let run = world.agenda.number();
    let Some(secret) = world.secret_mut(place) else { return };
    secret.run = Some(Run { id: run, version: version.to_owned() });
    let job =
        Job { place: place.clone(), arn: secret.arn.clone(), task: Task::MakePending { run } };
    world.agenda.add(at.now, job);
}

/// The time has come that the schedule named.
pub(crate) fn scheduled(world: &mut World, job: &Job, at: &Moment) {
    let due = world.secret(&job.place).is_some_and(|secret| {
        let rotation = &secret.content.rotation;
        secret.arn == job.arn
            && secret.deleted.is_none()
            && rotation.enabled
            && rotation.next == Some(at.now)
    });
    if !due {
        return;
    }
    if world.secret(&job.place).is_some_and(|it| it.content.pending().is_some()) {
        reattempt(world, &job.place, at);
    } else {
        let version = ids::uuid(&mut world.rng);
        begin(world, &job.place, &version, at);
    }
    plan_next(world, &job.place, at.now);
}

/// Puts the next scheduled rotation on the agenda.
pub(crate) fn plan_next(world: &mut World, place: &Place, now: DateTime<Utc>) {
    let Some(secret) = world.secret_mut(place) else { return };
    let rotation = &mut secret.content.rotation;
    let rules = rotation.rules.as_ref().filter(|_| rotation.enabled);
    rotation.next = rules.and_then(|rules| rules.next_after(now));
    if let Some(next) = rotation.next {
        let job = Job { place: place.clone(), arn: secret.arn.clone(), task: Task::Rotate };
        world.agenda.add(next, job);
    }
}

/// The function makes the new value and stores it as `AWSPENDING`.
pub(crate) fn make_pending(world: &mut World, job: &Job, run: u64, at: &Moment) {
    let Some(function) = running(world, job, run).map(function_of) else { return };
    let wrong = function.goes_wrong();
    if wrong {
        count_down(world, &job.place);
    }
    let ready = match (wrong, function.kind) {
        (true, RotationKind::Failing) => None,
        _ => store_value(world, job, at),
    };
    match ready {
        Some(ready) if !wrong => {
            let earliest = at.now + function.delay();
            let task = Task::Promote { run, earliest };
            world.agenda.add(earliest.max(ready), Job { task, ..job.clone() });
        }
        _ => end(world, &job.place),
    }
}

/// Stores a new value, unless an earlier attempt has; says when it can be used, or `None` where
/// there can be none.
fn store_value(world: &mut World, job: &Job, at: &Moment) -> Option<DateTime<Utc>> {
    let secret = world.secret(&job.place)?;
    let version = secret.run.as_ref()?.version.clone();
    if secret.content.versions.get(&version)?.value.is_some() {
        return Some(at.now);
    }
    let made = new_value(world, &job.place, at)?;
    let secret = world.secret_mut(&job.place)?;
    secret.content.store(&version, Some(made.value), &["AWSPENDING".to_owned()], at);
    log(world, &job.place, (Service::SecretsManager, "PutSecretValue"), &version, at);
    send_to_replicas(world, &job.place, at);
    Some(made.ready)
}

/// The function promotes the new value; the old one becomes `AWSPREVIOUS`.
pub(crate) fn promote(world: &mut World, job: &Job, run: u64, at: &Moment) {
    let Some(function) = running(world, job, run).map(function_of) else { return };
    end(world, &job.place);
    if function.retires_key {
        switch_off_key(world, &job.place, at);
    }
    let Some(secret) = world.secret_mut(&job.place) else { return };
    let Some(version) = secret.content.pending().map(str::to_owned) else { return };
    // As with AWS's own functions, AWSPENDING stays where it is, beside AWSCURRENT.
    secret.content.relabel(at, |labels| labels.attach("AWSCURRENT", &version));
    secret.content.changed = at.now;
    secret.content.rotation.last = Some(at.now);
    plan_next(world, &job.place, at.now);
    log(world, &job.place, (Service::SecretsManager, "UpdateSecretVersionStage"), &version, at);
    send_to_replicas(world, &job.place, at);
}

/// The secret, where this run of its function goes on.
fn running<'w>(world: &'w World, job: &Job, run: u64) -> Option<&'w Secret> {
    let secret = world.secret(&job.place)?;
    let goes_on = secret.arn == job.arn
        && secret.deleted.is_none()
        && secret.run.as_ref().is_some_and(|it| {
            it.id == run && secret.content.pending() == Some(it.version.as_str())
        });
    goes_on.then_some(secret)
}

fn function_of(secret: &Secret) -> RotationFunction {
    let none = || RotationFunction::new(RotationKind::Failing);
    RotationFunction::of(secret).unwrap_or_else(none)
}

fn count_down(world: &mut World, place: &Place) {
    let function = world.secret_mut(place).and_then(|secret| secret.function.as_mut());
    if let Some(runs) = function.and_then(|function| function.failing_runs.as_mut()) {
        *runs = runs.saturating_sub(1);
    }
}

fn end(world: &mut World, place: &Place) {
    if let Some(secret) = world.secret_mut(place) {
        secret.run = None;
    }
}

/// Records a call that a rotation function made.
pub(super) fn log(
    world: &mut World,
    place: &Place,
    (service, operation): (Service, &str),
    subject: &str,
    at: &Moment,
) {
    let Place { account, region, .. } = place;
    let resource = world.secret(place).map(|secret| secret.arn.clone()).unwrap_or_default();
    let record = CallRecord {
        sequence: 0,
        started: at.now,
        finished: at.now,
        account: account.clone(),
        caller: format!("arn:aws:sts::{account}:assumed-role/rotation-function/rotation"),
        access_key_id: String::new(),
        service,
        region: region.clone(),
        operation: operation.to_owned(),
        resource,
        subject: Some(subject.to_owned()),
        outcome: "Success".to_owned(),
        status: 200,
        changed: true,
        answered: true,
        fault: None,
        request_id: ids::uuid(&mut world.rng),
    };
    world.happened.push(record);
}
