//! Replicas of secrets in other regions.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::types::{ReplicaRegionType, StatusType};

use crate::Check;
use crate::secret_help::{Made, SECOND, secret, until};
use crate::server::{Server, ok, refused, same};

crate::behaviours! {
    "secretsmanager", "a replica is read in its region" => read_there;
    "secretsmanager", "a secret is created with a replica" => created_with;
    "secretsmanager", "a replica's ARN is the primary's, but for the region" => arn_there;
    "secretsmanager", "primary and replica both name the primary's region" => primary_region;
    "secretsmanager", "a new value arrives in the replica" => new_value;
    "secretsmanager", "a replica cannot be written" => read_only;
    "secretsmanager", "a region that has a secret of that name fails, and is overwritten when forced" => conflict;
    "secretsmanager", "a secret is not replicated to its own region" => own_region;
    "secretsmanager", "a secret with replicas cannot be deleted" => not_deleted;
    "secretsmanager", "a region removed from replication has the secret no more" => removed;
    "secretsmanager", "a promoted replica is a secret of its own" => promoted;
    "secretsmanager", "StopReplicationToReplica of a secret that is no replica is refused" => no_replica;
}

const THERE: &str = "eu-west-1";

fn region() -> ReplicaRegionType {
    ReplicaRegionType::builder().region(THERE).build()
}

async fn in_sync(it: &Made) -> Check {
    until("the replica's being in sync", || async {
        let described = it.describe().await?;
        let status = described.replication_status().first().and_then(|it| it.status());
        Ok(status == Some(&StatusType::InSync))
    })
    .await
}

/// A secret with a replica that is in sync, and a client of the replica's region.
async fn replicated(server: &Server) -> Result<(Made, Client), String> {
    let it = secret(server).await?;
    let add = it.client.replicate_secret_to_regions().secret_id(&it.name);
    let added = ok(add.add_replica_regions(region()).send().await)?;
    let region = added.replication_status().first().and_then(|it| it.region());
    same(region, Some(THERE))?;
    in_sync(&it).await?;
    Ok((it, server.admin_in(THERE).secrets))
}

async fn value(client: &Client, name: &str) -> Result<String, String> {
    let read = ok(client.get_secret_value().secret_id(name).send().await)?;
    Ok(read.secret_string().unwrap_or_default().to_owned())
}

async fn read_there(server: Server) -> Check {
    let (it, there) = replicated(&server).await?;
    same(value(&there, &it.name).await?.as_str(), "one")
}

async fn created_with(server: Server) -> Check {
    let (name, client) = (server.name("secret"), server.admin().secrets);
    let create = client.create_secret().name(&name).secret_string("one");
    let made = ok(create.add_replica_regions(region()).send().await)?;
    let region_there = made.replication_status().first().and_then(|it| it.region());
    same(region_there, Some(THERE))?;
    let arn = made.arn().unwrap_or_default().to_owned();
    in_sync(&Made { name: name.clone(), arn, client }).await?;
    same(value(&server.admin_in(THERE).secrets, &name).await?.as_str(), "one")
}

async fn arn_there(server: Server) -> Check {
    let (it, there) = replicated(&server).await?;
    let described = ok(there.describe_secret().secret_id(&it.name).send().await)?;
    let expected = it.arn.replace(":us-east-1:", &format!(":{THERE}:"));
    same(described.arn(), Some(expected.as_str()))
}

async fn primary_region(server: Server) -> Check {
    let (it, there) = replicated(&server).await?;
    let described = ok(there.describe_secret().secret_id(&it.name).send().await)?;
    same(described.primary_region(), Some("us-east-1"))?;
    same(it.describe().await?.primary_region(), Some("us-east-1"))
}

async fn new_value(server: Server) -> Check {
    let (it, there) = replicated(&server).await?;
    it.put(SECOND, "two", &[]).await?;
    until("the new value", || async { Ok(value(&there, &it.name).await? == "two") }).await
}

async fn read_only(server: Server) -> Check {
    let (it, there) = replicated(&server).await?;
    let put = there.put_secret_value().secret_id(&it.name).secret_string("two").send().await;
    refused(put, "InvalidParameterException", 400)?;
    let delete = there.delete_secret().secret_id(&it.name).send().await;
    refused(delete, "InvalidParameterException", 400)
}

async fn conflict(server: Server) -> Check {
    let (it, there) = (secret(&server).await?, server.admin_in(THERE).secrets);
    ok(there.create_secret().name(&it.name).secret_string("other").send().await)?;
    let add = || it.client.replicate_secret_to_regions().secret_id(&it.name);
    ok(add().add_replica_regions(region()).send().await)?;
    let described = it.describe().await?;
    let status = described.replication_status().first().and_then(|it| it.status());
    same(status, Some(&StatusType::Failed))?;
    same(value(&there, &it.name).await?.as_str(), "other")?;
    let forced = add().add_replica_regions(region()).force_overwrite_replica_secret(true);
    ok(forced.send().await)?;
    in_sync(&it).await?;
    same(value(&there, &it.name).await?.as_str(), "one")
}

async fn own_region(server: Server) -> Check {
    let it = secret(&server).await?;
    let own = ReplicaRegionType::builder().region("us-east-1").build();
    let add = it.client.replicate_secret_to_regions().secret_id(&it.name);
    refused(add.add_replica_regions(own).send().await, "InvalidParameterException", 400)
}

async fn not_deleted(server: Server) -> Check {
    let (it, _) = replicated(&server).await?;
    let delete = it.client.delete_secret().secret_id(&it.name).send().await;
    refused(delete, "InvalidParameterException", 400)
}

async fn removed(server: Server) -> Check {
    let (it, there) = replicated(&server).await?;
    let remove = it.client.remove_regions_from_replication().secret_id(&it.name);
    let left = ok(remove.remove_replica_regions(THERE).send().await)?;
    same(left.replication_status().len(), 0)?;
    let read = there.get_secret_value().secret_id(&it.name).send().await;
    refused(read, "ResourceNotFoundException", 400)?;
    ok(it.client.delete_secret().secret_id(&it.name).send().await).map(|_| ())
}

async fn promoted(server: Server) -> Check {
    let (it, there) = replicated(&server).await?;
    ok(there.stop_replication_to_replica().secret_id(&it.name).send().await)?;
    same(it.describe().await?.replication_status().len(), 0)?;
    let put = there.put_secret_value().secret_id(&it.name).secret_string("own").send().await;
    ok(put)?;
    it.put(SECOND, "two", &[]).await?;
    same(value(&there, &it.name).await?.as_str(), "own")?;
    same(it.value("AWSCURRENT").await?.as_str(), "two")
}

async fn no_replica(server: Server) -> Check {
    let it = secret(&server).await?;
    let stop = it.client.stop_replication_to_replica().secret_id(&it.name).send().await;
    refused(stop, "InvalidRequestException", 400)
}
