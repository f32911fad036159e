//! Versions of secrets: put, read and listed.

use aws_sdk_secretsmanager::primitives::Blob;

use crate::Check;
use crate::secret_help::{FIRST, Made, SECOND, THIRD, secret, with_two};
use crate::server::{Server, ok, refused, same};

crate::behaviours! {
    "secretsmanager", "a new value is AWSCURRENT, the one before it AWSPREVIOUS" => put_moves_current;
    "secretsmanager", "a put with the same token and value changes nothing" => put_again;
    "secretsmanager", "a put with the same token and another value is ResourceExistsException" => put_other;
    "secretsmanager", "a token of fewer than 32 characters is refused" => short_token;
    "secretsmanager", "a token of more than 64 characters is refused" => long_token;
    "secretsmanager", "a put without a value is InvalidParameterException" => put_nothing;
    "secretsmanager", "a put with labels of its own leaves AWSCURRENT where it is" => put_labelled;
    "secretsmanager", "a put with AWSPENDING takes the label off another version" => put_pending;
    "secretsmanager", "UpdateSecret changes the description and makes no version" => update_description;
    "secretsmanager", "UpdateSecret with a value makes it AWSCURRENT" => update_value;
    "secretsmanager", "UpdateSecret with a used token and another value is ResourceExistsException" => update_other;
    "secretsmanager", "a version is read by its id after it lost its labels" => read_by_id;
    "secretsmanager", "a value is read by its label" => read_by_label;
    "secretsmanager", "an id with a label that it does not carry is InvalidRequestException" => mismatch;
    "secretsmanager", "a label that no version carries is ResourceNotFoundException" => no_label;
    "secretsmanager", "a secret without a value is ResourceNotFoundException when read" => no_value;
    "secretsmanager", "ListSecretVersionIds leaves out versions without labels" => listed;
    "secretsmanager", "ListSecretVersionIds shows versions without labels when asked" => listed_deprecated;
    "secretsmanager", "ListSecretVersionIds gives all versions page by page" => pages;
    "secretsmanager", "a binary value is kept as it is" => binary;
    "secretsmanager", "a value of 65,536 bytes is kept and one more byte is refused" => largest;
    "secretsmanager", "a secret tells when it was made and changed, and the day it was read" => dates;
}

async fn put_moves_current(server: Server) -> Check {
    let it = with_two(&server).await?;
    it.put(THIRD, "three", &[]).await?;
    it.has(&[(SECOND, &["AWSPREVIOUS"]), (THIRD, &["AWSCURRENT"])]).await?;
    same(it.value("AWSCURRENT").await?.as_str(), "three")?;
    same(it.value("AWSPREVIOUS").await?.as_str(), "two")
}

async fn put_again(server: Server) -> Check {
    let it = with_two(&server).await?;
    it.put(FIRST, "one", &[]).await?;
    it.has(&[(FIRST, &["AWSPREVIOUS"]), (SECOND, &["AWSCURRENT"])]).await
}

async fn put_other(server: Server) -> Check {
    let it = with_two(&server).await?;
    let put = it.client.put_secret_value().secret_id(&it.name).client_request_token(SECOND);
    refused(put.secret_string("other").send().await, "ResourceExistsException", 400)
}

async fn token(server: Server, token: String) -> Check {
    let it = secret(&server).await?;
    let put = it.client.put_secret_value().secret_id(&it.name).client_request_token(token);
    refused(put.secret_string("two").send().await, "InvalidParameterException", 400)
}

async fn short_token(server: Server) -> Check {
    token(server, "t".repeat(31)).await
}

async fn long_token(server: Server) -> Check {
    token(server, "t".repeat(65)).await
}

async fn put_nothing(server: Server) -> Check {
    let it = secret(&server).await?;
    let put = it.client.put_secret_value().secret_id(&it.name).client_request_token(SECOND);
    refused(put.send().await, "InvalidParameterException", 400)
}

async fn put_labelled(server: Server) -> Check {
    let it = secret(&server).await?;
    it.put(SECOND, "two", &["mine"]).await?;
    it.has(&[(FIRST, &["AWSCURRENT"]), (SECOND, &["mine"])]).await?;
    same(it.value("mine").await?.as_str(), "two")
}

async fn put_pending(server: Server) -> Check {
    let it = secret(&server).await?;
    it.put(SECOND, "two", &["AWSPENDING"]).await?;
    it.put(THIRD, "three", &["AWSPENDING"]).await?;
    it.has(&[(FIRST, &["AWSCURRENT"]), (THIRD, &["AWSPENDING"])]).await
}

async fn update_description(server: Server) -> Check {
    let it = secret(&server).await?;
    let update = it.client.update_secret().secret_id(&it.name).description("said");
    same(ok(update.send().await)?.version_id(), None)?;
    same(it.describe().await?.description(), Some("said"))?;
    it.has(&[(FIRST, &["AWSCURRENT"])]).await
}

async fn update_value(server: Server) -> Check {
    let it = secret(&server).await?;
    let update = it.client.update_secret().secret_id(&it.name).secret_string("two");
    let updated = ok(update.client_request_token(SECOND).send().await)?;
    same(updated.version_id(), Some(SECOND))?;
    it.has(&[(FIRST, &["AWSPREVIOUS"]), (SECOND, &["AWSCURRENT"])]).await
}

async fn update_other(server: Server) -> Check {
    let it = with_two(&server).await?;
    let update = it.client.update_secret().secret_id(&it.name).secret_string("other");
    let update = update.client_request_token(FIRST).send().await;
    refused(update, "ResourceExistsException", 400)
}

async fn read_by_id(server: Server) -> Check {
    let it = with_two(&server).await?;
    it.put(THIRD, "three", &[]).await?;
    let read = it.client.get_secret_value().secret_id(&it.name).version_id(FIRST);
    let read = ok(read.send().await)?;
    same(read.secret_string(), Some("one"))?;
    same(read.version_stages().len(), 0)
}

async fn read_by_label(server: Server) -> Check {
    let it = with_two(&server).await?;
    let read = it.client.get_secret_value().secret_id(&it.name).version_stage("AWSPREVIOUS");
    let read = ok(read.send().await)?;
    same((read.secret_string(), read.version_id()), (Some("one"), Some(FIRST)))
}

async fn mismatch(server: Server) -> Check {
    let it = with_two(&server).await?;
    let read = it.client.get_secret_value().secret_id(&it.name).version_id(FIRST);
    ok(read.clone().version_stage("AWSPREVIOUS").send().await)?;
    refused(read.version_stage("AWSCURRENT").send().await, "InvalidRequestException", 400)
}

async fn no_label(server: Server) -> Check {
    let it = secret(&server).await?;
    let read = it.client.get_secret_value().secret_id(&it.name).version_stage("AWSPREVIOUS");
    refused(read.send().await, "ResourceNotFoundException", 400)
}

async fn no_value(server: Server) -> Check {
    let (name, client) = (server.name("secret"), server.admin().secrets);
    ok(client.create_secret().name(&name).send().await)?;
    let read = client.get_secret_value().secret_id(&name).send().await;
    refused(read, "ResourceNotFoundException", 400)
}

async fn ids(it: &Made, deprecated: bool) -> Result<Vec<String>, String> {
    let list = it.client.list_secret_version_ids().secret_id(&it.name);
    let list = ok(list.include_deprecated(deprecated).send().await)?;
    let mut ids: Vec<_> =
        list.versions().iter().filter_map(|it| it.version_id()).map(str::to_owned).collect();
    ids.sort();
    Ok(ids)
}

async fn three(server: &Server) -> Result<Made, String> {
    let it = with_two(server).await?;
    it.put(THIRD, "three", &[]).await?;
    Ok(it)
}

async fn listed(server: Server) -> Check {
    let found = ids(&three(&server).await?, false).await?;
    same(found, vec![SECOND.to_owned(), THIRD.to_owned()])
}

async fn listed_deprecated(server: Server) -> Check {
    let found = ids(&three(&server).await?, true).await?;
    same(found, vec![FIRST.to_owned(), SECOND.to_owned(), THIRD.to_owned()])
}

async fn pages(server: Server) -> Check {
    let it = three(&server).await?;
    let (mut found, mut calls, mut token) = (Vec::new(), 0, None);
    loop {
        let list = it.client.list_secret_version_ids().secret_id(&it.name).max_results(2);
        let list = list.include_deprecated(true).set_next_token(token.take());
        let list = ok(list.send().await)?;
        let ids = list.versions().iter().filter_map(|it| it.version_id());
        found.extend(ids.map(str::to_owned));
        calls += 1;
        token = list.next_token().map(str::to_owned);
        if token.is_none() {
            found.sort();
            let all = [FIRST, SECOND, THIRD].map(str::to_owned).to_vec();
            return same((found, calls), (all, 2));
        }
    }
}

async fn binary(server: Server) -> Check {
    let (name, client) = (server.name("secret"), server.admin().secrets);
    let bytes = Blob::new([0u8, 255, 10, 13]);
    ok(client.create_secret().name(&name).secret_binary(bytes.clone()).send().await)?;
    let read = ok(client.get_secret_value().secret_id(&name).send().await)?;
    same((read.secret_string(), read.secret_binary()), (None, Some(&bytes)))
}

async fn largest(server: Server) -> Check {
    let it = secret(&server).await?;
    it.put(SECOND, &"x".repeat(65_536), &[]).await?;
    let put = it.client.put_secret_value().secret_id(&it.name).secret_string("x".repeat(65_537));
    refused(put.send().await, "InvalidParameterException", 400)
}

async fn dates(server: Server) -> Check {
    let it = secret(&server).await?;
    same(it.describe().await?.last_accessed_date().is_none(), true)?;
    it.value("AWSCURRENT").await?;
    let described = it.describe().await?;
    same(described.created_date().is_some() && described.last_changed_date().is_some(), true)?;
    let read = described.last_accessed_date().ok_or("no LastAccessedDate")?.secs();
    same(read % 86_400, 0)
}
