//! Replicas: wanted, no longer wanted, and made independent.

use serde_json::{Value, json};

use super::input::{Input, invalid};
use super::{SmCall, refusals};
use crate::aws::error::AwsError;
use crate::aws::state::Secret;
use crate::aws::state::agenda::Place;
use crate::aws::state::secret::{Replica, ReplicaStatus};

/// The regions that are to have a replica, each with its KMS key.
pub(super) struct Wanted {
    regions: Vec<(String, Option<String>)>,
    overwrite: bool,
}

pub(super) fn add(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let place = call.primary()?;
    let wanted = replicas_wanted(call, &place.region)?;
    if wanted.regions.is_empty() {
        return Err(invalid("You must provide a value for AddReplicaRegions"));
    }
    let known = &call.secret(&place)?.replicas;
    let repeated = wanted.regions.iter().find(|(region, _)| {
        known.get(region).is_some_and(|it| !matches!(it.status, ReplicaStatus::Failed(_)))
    });
    if let Some((region, _)) = repeated {
        return Err(invalid(format!("The secret is already replicated to region {region}.")));
    }
    call.replicate(&place, wanted)?;
    answer(call, &place)
}

/// Reads `AddReplicaRegions` for a secret of region `home`.
pub(super) fn replicas_wanted(call: &SmCall<'_>, home: &str) -> Result<Wanted, AwsError> {
    let overwrite = call.input.flag("ForceOverwriteReplicaSecret")?.unwrap_or(false);
    let mut regions = Vec::new();
    for entry in call.input.list("AddReplicaRegions") {
        let entry = Input::new(entry);
        let region = entry.required("Region")?;
        if region == home || !call.world.settings.regions.iter().any(|it| it == region) {
            return Err(invalid(format!("Invalid replica region: {region}")));
        }
        regions.push((region.to_owned(), entry.kms_key()?.map(str::to_owned)));
    }
    Ok(Wanted { regions, overwrite })
}

impl SmCall<'_> {
    /// Notes the wanted replicas; their content is sent when the call has succeeded.
    pub(super) fn replicate(&mut self, place: &Place, wanted: Wanted) -> Result<(), AwsError> {
        for (region, kms_key) in wanted.regions {
            let there = Place { region: region.clone(), ..place.clone() };
            let in_the_way = self.world.secret(&there).is_some();
            if in_the_way && wanted.overwrite {
                let secrets = &mut self.world.account_mut(&place.account)?.secrets;
                secrets.remove(&region, &place.name);
            }
            let status = if in_the_way && !wanted.overwrite {
                ReplicaStatus::Failed(taken(&place.name, &region))
            } else {
                ReplicaStatus::InProgress
            };
            let replica = Replica { kms_key, status, under_way: 0, arrived: 0 };
            self.secret_mut(place)?.replicas.insert(region, replica);
        }
        Ok(())
    }
}

/// Why a replica cannot be made where a secret of that name is.
pub(super) fn taken(name: &str, region: &str) -> String {
    format!("Replication failed: Secret name {name} already exists in region {region}.")
}

pub(super) fn remove(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let place = call.primary()?;
    let regions = call.input.texts("RemoveReplicaRegions")?;
    if regions.is_empty() {
        return Err(invalid("You must provide a value for RemoveReplicaRegions"));
    }
    let replicas = &call.secret(&place)?.replicas;
    if let Some(unknown) = regions.iter().find(|&&it| !replicas.contains_key(it)) {
        return Err(invalid(format!("The secret is not replicated to region {unknown}.")));
    }
    for region in regions {
        call.secret_mut(&place)?.replicas.remove(region);
        let there = Place { region: region.to_owned(), ..place.clone() };
        let ours = call.world.secret(&there).and_then(|it| it.replica_of.as_ref());
        if ours == Some(&place.region) {
            call.world.account_mut(&place.account)?.secrets.remove(region, &place.name);
        }
    }
    answer(call, &place)
}

/// In the replica's region: it becomes a secret of its own, which no one follows.
pub(super) fn promote(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let place = call.live()?;
    let Some(primary) = call.secret(&place)?.replica_of.clone() else {
        return Err(refusals::out_of_state("The secret isn't a replica in this Region."));
    };
    let secret = call.secret_mut(&place)?;
    secret.replica_of = None;
    let arn = secret.arn.clone();
    let home = Place { region: primary, ..place };
    if let Some(primary) = call.world.secret_mut(&home) {
        primary.replicas.remove(&call.caller.region);
    }
    Ok(json!({ "ARN": arn }))
}

fn answer(call: &SmCall<'_>, place: &Place) -> Result<Value, AwsError> {
    let secret = call.secret(place)?;
    Ok(json!({ "ARN": secret.arn, "ReplicationStatus": replication_status(secret) }))
}

pub(super) fn replication_status(secret: &Secret) -> Value {
    let replicas = secret.replicas.iter().map(|(region, replica)| {
        let (status, message) = match &replica.status {
            ReplicaStatus::InProgress => ("InProgress", None),
            ReplicaStatus::InSync => ("InSync", Some("Replication succeeded")),
            ReplicaStatus::Failed(message) => ("Failed", Some(message.as_str())),
        };
        let mut entry = json!({ "Region": region, "Status": status });
        let key = replica.kms_key.as_deref().unwrap_or("alias/aws/secretsmanager");
        entry["KmsKeyId"] = json!(key);
        if let Some(message) = message {
            entry["StatusMessage"] = json!(message);
        }
        entry
    });
    Value::Array(replicas.collect())
}
