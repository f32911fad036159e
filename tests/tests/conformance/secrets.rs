//! Secrets: made, found and read.

use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, Tag};

use crate::Check;
use crate::server::{Server, ok, refused, same};

crate::behaviours! {
    "secretsmanager", "a secret is made and read by name and by ARN" => round_trip;
    "secretsmanager", "the first version of a secret is AWSCURRENT" => current;
    "secretsmanager", "a secret that is not there is ResourceNotFoundException" => missing;
    "secretsmanager", "a second secret of one name is ResourceExistsException" => twice;
    "secretsmanager", "creating again with the same token and value changes nothing" => same_token;
    "secretsmanager", "ListSecrets finds by tag key and shows the tags" => by_tag;
    "secretsmanager", "ListSecrets gives all secrets page by page" => pages;
    "secretsmanager", "a secret's tags are described" => described;
    "secretsmanager", "a version that is not there is ResourceNotFoundException" => missing_version;
    "secretsmanager", "a secret of another region is not found" => other_region;
}

const TOKEN: &str = "11111111-2222-3333-4444-555555555555";

async fn make(server: &Server) -> Result<(String, String), String> {
    let name = server.name("secret");
    let create = server.admin().secrets.create_secret().name(&name).secret_string("value");
    let made = ok(create.client_request_token(TOKEN).send().await)?;
    Ok((name, made.arn().unwrap_or_default().to_owned()))
}

async fn round_trip(server: Server) -> Check {
    let (name, arn) = make(&server).await?;
    let without_end = arn.rsplit_once('-').map_or_else(String::new, |(stem, _)| stem.to_owned());
    for id in [name, arn, without_end] {
        let read = server.admin().secrets.get_secret_value().secret_id(id).send().await;
        same(ok(read)?.secret_string(), Some("value"))?;
    }
    Ok(())
}

async fn current(server: Server) -> Check {
    let (name, _) = make(&server).await?;
    let read = server.admin().secrets.get_secret_value().secret_id(name).send().await;
    let read = ok(read)?;
    same(read.version_stages(), &["AWSCURRENT".to_owned()])?;
    same(read.version_id(), Some(TOKEN))
}

async fn missing(server: Server) -> Check {
    let read = server.admin().secrets.get_secret_value().secret_id(server.name("nothing"));
    refused(read.send().await, "ResourceNotFoundException", 400)
}

async fn twice(server: Server) -> Check {
    let (name, _) = make(&server).await?;
    let again = server.admin().secrets.create_secret().name(name).secret_string("other");
    refused(again.send().await, "ResourceExistsException", 400)
}

async fn same_token(server: Server) -> Check {
    let (name, arn) = make(&server).await?;
    let again = server.admin().secrets.create_secret().name(name).secret_string("value");
    let again = ok(again.client_request_token(TOKEN).send().await)?;
    same(again.arn(), Some(arn.as_str()))
}

async fn by_tag(server: Server) -> Check {
    let (secrets, name, key) =
        (server.admin().secrets, server.name("secret"), server.name("severance:zone"));
    let tag = Tag::builder().key(&key).value("z").build();
    ok(secrets.create_secret().name(&name).secret_string("v").tags(tag).send().await)?;
    make(&server).await?;
    let filter = Filter::builder().key(FilterNameStringType::TagKey).values(&key).build();
    let list = ok(secrets.list_secrets().filters(filter).send().await)?;
    let found = list.secret_list().iter().map(|it| (it.name(), it.tags()[0].key()));
    same(found.collect(), vec![(Some(name.as_str()), Some(key.as_str()))])
}

async fn pages(server: Server) -> Check {
    let (secrets, stem) = (server.admin().secrets, server.name("paged"));
    for number in 0..5 {
        let create = secrets.create_secret().name(format!("{stem}/{number}"));
        ok(create.secret_string("v").send().await)?;
    }
    let filter = Filter::builder().key(FilterNameStringType::Name).values(&stem).build();
    let (mut found, mut calls, mut token) = (0, 0, None);
    loop {
        let list = secrets.list_secrets().filters(filter.clone()).max_results(2);
        let list = ok(list.set_next_token(token.take()).send().await)?;
        (found, calls) = (found + list.secret_list().len(), calls + 1);
        token = list.next_token().map(str::to_owned);
        if token.is_none() {
            return same((found, calls), (5, 3));
        }
    }
}

async fn described(server: Server) -> Check {
    let ((name, _), secrets) = (make(&server).await?, server.admin().secrets);
    let tag = Tag::builder().key("k").value("v").build();
    ok(secrets.tag_resource().secret_id(&name).tags(tag).send().await)?;
    let secret = ok(secrets.describe_secret().secret_id(&name).send().await)?;
    let tags: Vec<_> = secret.tags().iter().map(|it| (it.key(), it.value())).collect();
    same(tags, vec![(Some("k"), Some("v"))])
}

async fn missing_version(server: Server) -> Check {
    let (name, _) = make(&server).await?;
    let read = server.admin().secrets.get_secret_value().secret_id(name);
    let read = read.version_id("99999999-2222-3333-4444-555555555555").send().await;
    refused(read, "ResourceNotFoundException", 400)
}

async fn other_region(server: Server) -> Check {
    let (name, _) = make(&server).await?;
    let there = server.admin_in("eu-central-1");
    let read = there.secrets.get_secret_value().secret_id(name).send().await;
    refused(read, "ResourceNotFoundException", 400)
}
