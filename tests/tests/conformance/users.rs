//! Users and groups.

use crate::Check;
use crate::server::{ALLOW_ALL, Server, ok, refused, same, shaped};

crate::behaviours! {
    "iam", "user ids are AIDA and 17 more" => user_shape;
    "iam", "a second user of one name is EntityAlreadyExists" => twice;
    "iam", "a user that is not there is NoSuchEntity" => missing;
    "iam", "a user with an access key cannot be deleted: DeleteConflict" => delete_with_key;
    "iam", "a user with an inline policy cannot be deleted: DeleteConflict" => delete_with_policy;
    "iam", "a user made again under its name has another id" => made_again;
    "iam", "tags are added, listed and removed" => tags;
    "iam", "ListUsers gives all users page by page" => pages;
    "iam", "a user's groups and a group's users are listed" => membership;
    "iam", "a group with a user cannot be deleted: DeleteConflict" => delete_group;
    "iam", "GetAccountAuthorizationDetails shows a user with its inline policy" => details;
}

async fn user_shape(server: Server) -> Check {
    let create = server.admin().iam.create_user().user_name(server.name("user"));
    let made = ok(create.send().await)?;
    shaped(made.user().ok_or("no user in the answer")?.user_id(), "AIDA", 21)
}

async fn twice(server: Server) -> Check {
    let name = server.user().await?;
    let again = server.admin().iam.create_user().user_name(name).send().await;
    refused(again, "EntityAlreadyExists", 409)
}

async fn missing(server: Server) -> Check {
    let asked = server.admin().iam.get_user().user_name(server.name("nobody"));
    refused(asked.send().await, "NoSuchEntity", 404)
}

async fn delete_with_key(server: Server) -> Check {
    let it = server.person(None).await?;
    let delete = server.admin().iam.delete_user().user_name(it.name);
    refused(delete.send().await, "DeleteConflict", 409)
}

async fn delete_with_policy(server: Server) -> Check {
    let (name, iam) = (server.user().await?, server.admin().iam);
    let put = iam.put_user_policy().user_name(&name).policy_name("p");
    ok(put.policy_document(ALLOW_ALL).send().await)?;
    refused(iam.delete_user().user_name(name).send().await, "DeleteConflict", 409)
}

async fn made_again(server: Server) -> Check {
    let (name, iam) = (server.name("user"), server.admin().iam);
    let create = async || {
        let made = ok(iam.create_user().user_name(&name).send().await)?;
        let id = made.user().map(|it| it.user_id().to_owned());
        id.ok_or_else(|| "no user in the answer".to_owned())
    };
    let first = create().await?;
    ok(iam.delete_user().user_name(&name).send().await)?;
    same(create().await? == first, false)
}

async fn tags(server: Server) -> Check {
    let (name, iam) = (server.user().await?, server.admin().iam);
    let tag = |key: &str| {
        let tag = aws_sdk_iam::types::Tag::builder().key(key).value("v").build();
        tag.map_err(|error| error.to_string())
    };
    let put = iam.tag_user().user_name(&name).tags(tag("a")?).tags(tag("b")?);
    ok(put.send().await)?;
    ok(iam.untag_user().user_name(&name).tag_keys("a").send().await)?;
    let list = ok(iam.list_user_tags().user_name(&name).send().await)?;
    let keys: Vec<_> = list.tags().iter().map(|it| it.key()).collect();
    same(keys, vec!["b"])
}

async fn pages(server: Server) -> Check {
    let iam = server.admin().iam;
    let path = format!("/{}/", server.name("paged"));
    for _ in 0..5 {
        let create = iam.create_user().user_name(server.name("user")).path(&path);
        ok(create.send().await)?;
    }
    let (mut found, mut calls, mut marker) = (0, 0, None);
    loop {
        let list = iam.list_users().path_prefix(&path).max_items(2).set_marker(marker.take());
        let list = ok(list.send().await)?;
        (found, calls) = (found + list.users().len(), calls + 1);
        if !list.is_truncated() {
            break;
        }
        marker = list.marker().map(str::to_owned);
    }
    same((found, calls), (5, 3))
}

async fn membership(server: Server) -> Check {
    let (name, group, iam) = (server.user().await?, server.name("group"), server.admin().iam);
    ok(iam.create_group().group_name(&group).send().await)?;
    ok(iam.add_user_to_group().group_name(&group).user_name(&name).send().await)?;
    let groups = ok(iam.list_groups_for_user().user_name(&name).send().await)?;
    let groups: Vec<_> = groups.groups().iter().map(|it| it.group_name()).collect();
    same(groups, vec![group.as_str()])?;
    let users = ok(iam.get_group().group_name(&group).send().await)?;
    let users: Vec<_> = users.users().iter().map(|it| it.user_name()).collect();
    same(users, vec![name.as_str()])
}

async fn delete_group(server: Server) -> Check {
    let (name, group, iam) = (server.user().await?, server.name("group"), server.admin().iam);
    ok(iam.create_group().group_name(&group).send().await)?;
    ok(iam.add_user_to_group().group_name(&group).user_name(&name).send().await)?;
    refused(iam.delete_group().group_name(&group).send().await, "DeleteConflict", 409)
}

async fn details(server: Server) -> Check {
    let it = server.person(Some(ALLOW_ALL)).await?;
    let (iam, mut marker) = (server.admin().iam, None);
    let filter = aws_sdk_iam::types::EntityType::User;
    loop {
        let asked = iam.get_account_authorization_details().filter(filter.clone());
        let page = ok(asked.set_marker(marker.take()).send().await)?;
        let found = page.user_detail_list().iter().find(|user| user.user_name() == Some(&it.name));
        if let Some(user) = found {
            let policies = user.user_policy_list().iter();
            let names: Vec<_> = policies.filter_map(|it| it.policy_name()).collect();
            return same(names, vec!["first"]);
        }
        match page.marker() {
            Some(next) if page.is_truncated() => marker = Some(next.to_owned()),
            _ => return Err("the user is not in the details".to_owned()),
        }
    }
}
