//! What a primary passes on to its replicas, and when.

use std::sync::Arc;

use super::replicate::taken;
use crate::aws::state::agenda::{Job, Place, Task};
use crate::aws::state::secret::{Content, ReplicaStatus};
use crate::aws::state::{Moment, Secret, Spread, World};

/// Sends the secret as it is now to each of its replicas, where it arrives after the replica delay.
pub(crate) fn send_to_replicas(world: &mut World, place: &Place, at: &Moment) {
    let due = at.now + world.settings.replica_delay;
    let number = world.agenda.number();
    let Some(secret) = world.secret_mut(place).filter(|it| !it.replicas.is_empty()) else { return };
    let (arn, content) = (secret.arn.clone(), settled(&secret.content));
    let mut regions = Vec::new();
    for (region, replica) in &mut secret.replicas {
        if !matches!(replica.status, ReplicaStatus::Failed(_)) {
            replica.status = ReplicaStatus::InProgress;
            replica.under_way += 1;
            regions.push(region.clone());
        }
    }
    for to in regions {
        let task = Task::Replicate { to, number, content: Box::new(content.clone()) };
        world.agenda.add(due, Job { place: place.clone(), arn: arn.clone(), task });
    }
}

/// The content as the control plane shows it: on arrival it needs no more time to spread.
fn settled(content: &Content) -> Content {
    Content {
        labels: Spread::settled(Arc::clone(content.labels.latest())),
        policy: Spread::settled(content.policy.latest().clone()),
        ..content.clone()
    }
}

/// The content of a primary, the `number`th that was sent, arrives in the region `to`.
pub(crate) fn arrive(
    world: &mut World,
    job: &Job,
    (to, number): (&str, u64),
    content: &Content,
    at: &Moment,
) {
    let primary = world.secret(&job.place).filter(|it| it.arn == job.arn);
    let replica = primary.and_then(|it| Some((it, it.replicas.get(to)?)));
    let Some((primary, replica)) = replica else { return };
    let kms_key = replica.kms_key.clone();
    let overtaken = replica.arrived > number;
    let fresh = Secret {
        replica_of: Some(job.place.region.clone()),
        owning_service: primary.owning_service.clone(),
        ..Secret::new(in_region(&job.arn, to), (to, &primary.name), at.now)
    };
    let there = Place { region: to.to_owned(), ..job.place.clone() };
    let conflict =
        world.secret(&there).is_some_and(|it| it.replica_of.as_ref() != Some(&job.place.region));
    if !conflict && !overtaken {
        if world.secret(&there).is_none()
            && let Ok(account) = world.account_mut(&there.account)
        {
            account.secrets.insert(fresh);
        }
        if let Some(secret) = world.secret_mut(&there) {
            secret.content = Content { kms_key, ..content.clone() };
        }
    }
    let Some(secret) = world.secret_mut(&job.place) else { return };
    let Some(replica) = secret.replicas.get_mut(to) else { return };
    replica.under_way = replica.under_way.saturating_sub(1);
    replica.arrived = replica.arrived.max(number);
    if conflict {
        replica.status = ReplicaStatus::Failed(taken(&job.place.name, to));
    } else if replica.under_way == 0 {
        replica.status = ReplicaStatus::InSync;
    }
}

/// A replica's ARN is the primary's, but for the region.
fn in_region(arn: &str, region: &str) -> String {
    let parts = arn.split(':').enumerate();
    let parts: Vec<&str> =
        parts.map(|(place, part)| if place == 3 { region } else { part }).collect();
    parts.join(":")
}
