//! Brings the world up to the present: what fell due since it was last looked at is done now, in
//! order, each at the moment that it was due.

use chrono::{DateTime, Utc};

use super::rotation;
use super::secretsmanager::arrive;
use super::state::World;
use super::state::agenda::{Job, Task};

/// Does all that is due by `now`.
pub(crate) fn advance(world: &mut World, now: DateTime<Utc>) {
    while let Some((due, job)) = world.agenda.next_due(now) {
        carry_out(world, &job, due);
    }
}

fn carry_out(world: &mut World, job: &Job, due: DateTime<Utc>) {
    let at = world.moment(due);
    match &job.task {
        Task::Replicate { to, number, content } => {
            arrive(world, job, (to, *number), content, &at);
        }
        Task::Erase => erase(world, job, due),
        Task::Rotate => rotation::scheduled(world, job, &at),
        Task::MakePending { run } => rotation::make_pending(world, job, *run, &at),
        Task::Promote { run, .. } => rotation::promote(world, job, *run, &at),
    }
}

/// Removes a secret whose recovery window ends now and that was not restored.
fn erase(world: &mut World, job: &Job, due: DateTime<Utc>) {
    let still = world.secret(&job.place);
    if still.is_some_and(|it| it.arn == job.arn && it.deleted == Some(due))
        && let Ok(account) = world.account_mut(&job.place.account)
    {
        account.secrets.remove(&job.place.region, &job.place.name);
    }
}
