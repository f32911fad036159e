//! Deleting secrets, and taking it back.

use crate::Check;
use crate::secret_help::{FIRST, secret};
use crate::server::{Server, ok, refused, same};

crate::behaviours! {
    "secretsmanager", "a deleted secret is not read, and is read again when restored" => restored;
    "secretsmanager", "the recovery window is 7 to 30 days, 30 unless said otherwise" => window;
    "secretsmanager", "a recovery window and a forced deletion exclude each other" => both;
    "secretsmanager", "a deleted secret is described with its DeletedDate" => described;
    "secretsmanager", "a deleted secret cannot be written, tagged or rotated" => not_written;
    "secretsmanager", "a deleted secret cannot be deleted again" => twice;
    "secretsmanager", "a deleted secret's name is not free" => name_taken;
    "secretsmanager", "ListSecrets leaves out deleted secrets unless asked" => listed;
    "secretsmanager", "a forced deletion frees the name" => forced;
    "secretsmanager", "a forced deletion of a secret that is not there succeeds" => forced_absent;
    "secretsmanager", "restoring a secret that is not deleted changes nothing" => restored_live;
    "secretsmanager", "a deletion of a secret that is not there is ResourceNotFoundException" => absent;
}

const DELETED: &str = "InvalidRequestException";

async fn restored(server: Server) -> Check {
    let it = secret(&server).await?;
    let delete = it.client.delete_secret().secret_id(&it.name).recovery_window_in_days(7);
    ok(delete.send().await)?;
    let read = || it.client.get_secret_value().secret_id(&it.name);
    refused(read().send().await, DELETED, 400)?;
    ok(it.client.restore_secret().secret_id(&it.name).send().await)?;
    same(ok(read().send().await)?.secret_string(), Some("one"))?;
    same(it.describe().await?.deleted_date().is_none(), true)
}

async fn window(server: Server) -> Check {
    let it = secret(&server).await?;
    for days in [6, 31] {
        let delete = it.client.delete_secret().secret_id(&it.name).recovery_window_in_days(days);
        refused(delete.send().await, "InvalidParameterException", 400)?;
    }
    let made = it.describe().await?.created_date().ok_or("no CreatedDate")?.secs();
    let deleted = ok(it.client.delete_secret().secret_id(&it.name).send().await)?;
    let gone = deleted.deletion_date().ok_or("no DeletionDate")?.secs();
    same((gone - made + 43_200) / 86_400, 30)
}

async fn both(server: Server) -> Check {
    let it = secret(&server).await?;
    let delete = it.client.delete_secret().secret_id(&it.name).recovery_window_in_days(7);
    let delete = delete.force_delete_without_recovery(true).send().await;
    refused(delete, "InvalidParameterException", 400)
}

async fn described(server: Server) -> Check {
    let it = secret(&server).await?;
    ok(it.client.delete_secret().secret_id(&it.name).send().await)?;
    same(it.describe().await?.deleted_date().is_some(), true)?;
    let versions = it.client.list_secret_version_ids().secret_id(&it.name).send().await;
    same(ok(versions)?.versions().first().and_then(|it| it.version_id()), Some(FIRST))
}

async fn not_written(server: Server) -> Check {
    let it = secret(&server).await?;
    ok(it.client.delete_secret().secret_id(&it.name).send().await)?;
    let (client, name) = (&it.client, &it.name);
    let put = client.put_secret_value().secret_id(name).secret_string("two").send().await;
    refused(put, DELETED, 400)?;
    refused(client.update_secret().secret_id(name).description("d").send().await, DELETED, 400)?;
    let tag = aws_sdk_secretsmanager::types::Tag::builder().key("k").value("v").build();
    refused(client.tag_resource().secret_id(name).tags(tag).send().await, DELETED, 400)?;
    refused(client.rotate_secret().secret_id(name).send().await, DELETED, 400)
}

async fn twice(server: Server) -> Check {
    let it = secret(&server).await?;
    ok(it.client.delete_secret().secret_id(&it.name).send().await)?;
    refused(it.client.delete_secret().secret_id(&it.name).send().await, DELETED, 400)
}

async fn name_taken(server: Server) -> Check {
    let it = secret(&server).await?;
    ok(it.client.delete_secret().secret_id(&it.name).send().await)?;
    let again = it.client.create_secret().name(&it.name).secret_string("two").send().await;
    refused(again, DELETED, 400)
}

async fn listed(server: Server) -> Check {
    use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType};
    let it = secret(&server).await?;
    ok(it.client.delete_secret().secret_id(&it.name).send().await)?;
    let filter = Filter::builder().key(FilterNameStringType::Name).values(&it.name).build();
    let list = it.client.list_secrets().filters(filter);
    same(ok(list.clone().send().await)?.secret_list().len(), 0)?;
    let all = ok(list.include_planned_deletion(true).send().await)?;
    same(all.secret_list().len(), 1)?;
    same(all.secret_list().iter().all(|it| it.deleted_date().is_some()), true)
}

async fn forced(server: Server) -> Check {
    let it = secret(&server).await?;
    let delete = it.client.delete_secret().secret_id(&it.name);
    ok(delete.force_delete_without_recovery(true).send().await)?;
    let read = it.client.get_secret_value().secret_id(&it.name).send().await;
    refused(read, "ResourceNotFoundException", 400)?;
    let again = it.client.create_secret().name(&it.name).secret_string("two").send().await;
    same(ok(again)?.arn() == Some(it.arn.as_str()), false)
}

async fn forced_absent(server: Server) -> Check {
    let delete = server.admin().secrets.delete_secret().secret_id(server.name("nothing"));
    ok(delete.force_delete_without_recovery(true).send().await).map(|_| ())
}

async fn restored_live(server: Server) -> Check {
    let it = secret(&server).await?;
    ok(it.client.restore_secret().secret_id(&it.name).send().await)?;
    it.has(&[(FIRST, &["AWSCURRENT"])]).await
}

async fn absent(server: Server) -> Check {
    let delete = server.admin().secrets.delete_secret().secret_id(server.name("nothing"));
    refused(delete.send().await, "ResourceNotFoundException", 400)
}
