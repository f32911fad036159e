//! Access keys.

use aws_sdk_iam::types::StatusType;

use crate::Check;
use crate::server::{ALLOW_ALL, Server, credentials, ok, refused, same, shaped};

crate::behaviours! {
    "sts", "a new access key is accepted and says whose it is" => accepted;
    "iam", "access key ids are AKIA and 16 more" => key_shape;
    "iam sts", "an inactive key is refused by STS with InvalidClientTokenId" => inactive_sts;
    "iam", "an inactive key is refused by IAM with InvalidClientTokenId" => inactive_iam;
    "secretsmanager", "an inactive key is refused by Secrets Manager with UnrecognizedClientException" => inactive_secrets;
    "iam sts", "a key that is active again is accepted again" => reactivated;
    "iam sts", "a deleted key is refused with InvalidClientTokenId" => deleted;
    "sts", "a key that never was is refused with InvalidClientTokenId" => unknown;
    "sts", "a wrong secret is refused with SignatureDoesNotMatch" => wrong_secret;
    "sts", "a live key in a region that is not enabled is refused with InvalidClientTokenId" => wrong_region;
    "iam", "a third access key is refused with LimitExceeded" => third_key;
    "iam", "an inactive key counts towards the two" => inactive_counts;
    "iam", "ListAccessKeys shows each key's status" => listed;
    "iam", "updating a key that is not the user's is NoSuchEntity" => update_missing;
    "iam", "deleting a key twice is NoSuchEntity" => delete_twice;
    "iam", "GetAccessKeyLastUsed names the user" => last_used;
    "sts", "GetAccessKeyInfo names the account" => key_info;
    "sts", "GetAccessKeyInfo names the account of a deleted key too" => key_info_deleted;
}

async fn set(server: &Server, user: &str, key: &str, status: StatusType) -> Check {
    let update = server.admin().iam.update_access_key().user_name(user);
    ok(update.access_key_id(key).status(status).send().await).map(|_| ())
}

async fn accepted(server: Server) -> Check {
    let it = server.person(None).await?;
    let who = ok(it.clients.sts.get_caller_identity().send().await)?;
    let arn = format!("arn:aws:iam::{}:user/{}", server.account().await?, it.name);
    same(who.arn(), Some(arn.as_str()))
}

async fn key_shape(server: Server) -> Check {
    shaped(&server.person(None).await?.key_id, "AKIA", 20)
}

async fn inactive_sts(server: Server) -> Check {
    let it = server.person(None).await?;
    set(&server, &it.name, &it.key_id, StatusType::Inactive).await?;
    refused(it.clients.sts.get_caller_identity().send().await, "InvalidClientTokenId", 403)
}

async fn inactive_iam(server: Server) -> Check {
    let it = server.person(Some(ALLOW_ALL)).await?;
    set(&server, &it.name, &it.key_id, StatusType::Inactive).await?;
    refused(it.clients.iam.list_users().send().await, "InvalidClientTokenId", 403)
}

async fn inactive_secrets(server: Server) -> Check {
    let it = server.person(Some(ALLOW_ALL)).await?;
    set(&server, &it.name, &it.key_id, StatusType::Inactive).await?;
    let read = it.clients.secrets.list_secrets().send().await;
    refused(read, "UnrecognizedClientException", 400)
}

async fn reactivated(server: Server) -> Check {
    let it = server.person(None).await?;
    set(&server, &it.name, &it.key_id, StatusType::Inactive).await?;
    set(&server, &it.name, &it.key_id, StatusType::Active).await?;
    ok(it.clients.sts.get_caller_identity().send().await).map(|_| ())
}

async fn deleted(server: Server) -> Check {
    let it = server.person(None).await?;
    let delete = server.admin().iam.delete_access_key().user_name(&it.name);
    ok(delete.access_key_id(&it.key_id).send().await)?;
    refused(it.clients.sts.get_caller_identity().send().await, "InvalidClientTokenId", 403)
}

async fn unknown(server: Server) -> Check {
    let nobody = server.clients(credentials("AKIAIOSFODNN7EXAMPLE", "secret", None));
    refused(nobody.sts.get_caller_identity().send().await, "InvalidClientTokenId", 403)
}

async fn wrong_secret(server: Server) -> Check {
    let it = server.person(None).await?;
    let wrong = server.clients(credentials(&it.key_id, "wrong", None));
    refused(wrong.sts.get_caller_identity().send().await, "SignatureDoesNotMatch", 403)
}

async fn wrong_region(server: Server) -> Check {
    let it = server.person(None).await?;
    let there = server.clients_in(credentials(&it.key_id, &it.secret, None), "af-south-1");
    refused(there.sts.get_caller_identity().send().await, "InvalidClientTokenId", 403)
}

async fn third_key(server: Server) -> Check {
    let it = server.person(None).await?;
    let create = || server.admin().iam.create_access_key().user_name(&it.name).send();
    ok(create().await)?;
    refused(create().await, "LimitExceeded", 409)
}

async fn inactive_counts(server: Server) -> Check {
    let it = server.person(None).await?;
    set(&server, &it.name, &it.key_id, StatusType::Inactive).await?;
    third_of(&server, &it.name).await
}

async fn third_of(server: &Server, name: &str) -> Check {
    let create = || server.admin().iam.create_access_key().user_name(name).send();
    ok(create().await)?;
    refused(create().await, "LimitExceeded", 409)
}

async fn listed(server: Server) -> Check {
    let it = server.person(None).await?;
    set(&server, &it.name, &it.key_id, StatusType::Inactive).await?;
    let list = server.admin().iam.list_access_keys().user_name(&it.name);
    let list = ok(list.send().await)?;
    let found = list.access_key_metadata();
    let found: Vec<_> = found.iter().map(|it| (it.access_key_id(), it.status().cloned())).collect();
    same(found, vec![(Some(it.key_id.as_str()), Some(StatusType::Inactive))])
}

async fn update_missing(server: Server) -> Check {
    let (one, other) = (server.person(None).await?, server.person(None).await?);
    let update = server.admin().iam.update_access_key().user_name(&one.name);
    let update = update.access_key_id(&other.key_id).status(StatusType::Inactive);
    refused(update.send().await, "NoSuchEntity", 404)
}

async fn delete_twice(server: Server) -> Check {
    let it = server.person(None).await?;
    let iam = server.admin().iam;
    let delete = || iam.delete_access_key().user_name(&it.name).access_key_id(&it.key_id).send();
    ok(delete().await)?;
    refused(delete().await, "NoSuchEntity", 404)
}

async fn last_used(server: Server) -> Check {
    let it = server.person(None).await?;
    ok(it.clients.sts.get_caller_identity().send().await)?;
    let asked = server.admin().iam.get_access_key_last_used().access_key_id(&it.key_id);
    let answer = ok(asked.send().await)?;
    same(answer.user_name(), Some(it.name.as_str()))?;
    let service = answer.access_key_last_used().map(|it| it.service_name().to_owned());
    same(service, Some("sts".to_owned()))
}

async fn key_info(server: Server) -> Check {
    let it = server.person(None).await?;
    let asked = server.admin().sts.get_access_key_info().access_key_id(&it.key_id);
    same(ok(asked.send().await)?.account(), Some(server.account().await?.as_str()))
}

async fn key_info_deleted(server: Server) -> Check {
    let it = server.person(None).await?;
    let delete = server.admin().iam.delete_access_key().user_name(&it.name);
    ok(delete.access_key_id(&it.key_id).send().await)?;
    let asked = server.admin().sts.get_access_key_info().access_key_id(&it.key_id);
    same(ok(asked.send().await)?.account(), Some(server.account().await?.as_str()))
}
