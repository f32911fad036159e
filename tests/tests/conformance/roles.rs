//! Roles: trust, sessions, and what stands in the way of changing them.

use crate::Check;
use crate::server::{ALLOW_ALL, DENY_SESSIONS, Server, ok, refused, same, shaped, trust};

crate::behaviours! {
    "iam", "role ids are AROA and 17 more" => role_shape;
    "iam sts", "a role that trusts its account is taken by a user with leave to" => by_account;
    "sts", "a role's session says which role it is" => session_arn;
    "iam sts", "a role that trusts its account is not taken without leave: AccessDenied" => no_leave;
    "iam sts", "a role that trusts a user by name needs no other leave in its account" => by_name;
    "iam sts", "a role that trusts another user is AccessDenied" => another_user;
    "iam sts", "a role that trusts a service is not for users: AccessDenied" => service;
    "iam sts", "a changed trust policy decides who takes the role" => changed_trust;
    "iam sts", "a deny of older sessions cuts a role's session" => cutoff;
    "iam", "a role with an inline policy cannot be deleted: DeleteConflict" => delete_with_policy;
    "iam", "a trust policy that names nobody is MalformedPolicyDocument" => nobody;
    "iam", "a trust policy that names a user that is not there is MalformedPolicyDocument" => missing_user;
    "iam", "a trust policy shows a deleted user by its id" => stale;
    "sts", "a session longer than the role allows is ValidationError" => too_long;
    "iam", "a role that is not there is NoSuchEntity" => missing;
    "iam", "a service-linked role refuses a policy with UnmodifiableEntity" => service_linked;
}

async fn root_of(server: &Server) -> Result<String, String> {
    let account = server.account().await?;
    Ok(trust(&format!(r#"{{"AWS":"arn:aws:iam::{account}:root"}}"#)))
}

async fn trusting(server: &Server, user: &str) -> Result<String, String> {
    let account = server.account().await?;
    Ok(trust(&format!(r#"{{"AWS":"arn:aws:iam::{account}:user/{user}"}}"#)))
}

async fn role_shape(server: Server) -> Check {
    let (name, _) = server.role(&root_of(&server).await?).await?;
    let role = ok(server.admin().iam.get_role().role_name(name).send().await)?;
    shaped(role.role().ok_or("no role in the answer")?.role_id(), "AROA", 21)
}

async fn by_account(server: Server) -> Check {
    let it = server.person(Some(ALLOW_ALL)).await?;
    let (_, arn) = server.role(&root_of(&server).await?).await?;
    let session = server.assume(&it.clients, &arn).await?;
    ok(session.iam.list_users().send().await).map(|_| ())
}

async fn session_arn(server: Server) -> Check {
    let it = server.person(Some(ALLOW_ALL)).await?;
    let (name, arn) = server.role(&root_of(&server).await?).await?;
    let session = server.assume(&it.clients, &arn).await?;
    let who = ok(session.sts.get_caller_identity().send().await)?;
    let account = server.account().await?;
    let expected = format!("arn:aws:sts::{account}:assumed-role/{name}/session");
    same(who.arn(), Some(expected.as_str()))
}

async fn no_leave(server: Server) -> Check {
    let it = server.person(None).await?;
    let (_, arn) = server.role(&root_of(&server).await?).await?;
    let taken = it.clients.sts.assume_role().role_arn(arn).role_session_name("session");
    refused(taken.send().await, "AccessDenied", 403)
}

async fn by_name(server: Server) -> Check {
    let it = server.person(None).await?;
    let (_, arn) = server.role(&trusting(&server, &it.name).await?).await?;
    server.assume(&it.clients, &arn).await.map(|_| ())
}

async fn another_user(server: Server) -> Check {
    let (one, it) = (server.person(None).await?, server.person(Some(ALLOW_ALL)).await?);
    let (_, arn) = server.role(&trusting(&server, &one.name).await?).await?;
    let taken = it.clients.sts.assume_role().role_arn(arn).role_session_name("session");
    refused(taken.send().await, "AccessDenied", 403)
}

async fn service(server: Server) -> Check {
    let it = server.person(Some(ALLOW_ALL)).await?;
    let (_, arn) = server.role(&trust(r#"{"Service":"ec2.amazonaws.com"}"#)).await?;
    let taken = it.clients.sts.assume_role().role_arn(arn).role_session_name("session");
    refused(taken.send().await, "AccessDenied", 403)
}

async fn changed_trust(server: Server) -> Check {
    let (it, other) = (server.person(Some(ALLOW_ALL)).await?, server.person(None).await?);
    let (name, arn) = server.role(&root_of(&server).await?).await?;
    server.assume(&it.clients, &arn).await?;
    let update = server.admin().iam.update_assume_role_policy().role_name(name);
    let update = update.policy_document(trusting(&server, &other.name).await?);
    ok(update.send().await)?;
    let taken = it.clients.sts.assume_role().role_arn(&arn).role_session_name("session");
    refused(taken.send().await, "AccessDenied", 403)?;
    server.assume(&other.clients, &arn).await.map(|_| ())
}

async fn cutoff(server: Server) -> Check {
    let it = server.person(Some(ALLOW_ALL)).await?;
    let (name, arn) = server.role(&root_of(&server).await?).await?;
    let session = server.assume(&it.clients, &arn).await?;
    ok(session.iam.list_users().send().await)?;
    let put = server.admin().iam.put_role_policy().role_name(name).policy_name("cut");
    ok(put.policy_document(DENY_SESSIONS).send().await)?;
    refused(session.iam.list_users().send().await, "AccessDenied", 403)
}

async fn delete_with_policy(server: Server) -> Check {
    let (name, _) = server.role(&root_of(&server).await?).await?;
    let delete = server.admin().iam.delete_role().role_name(name);
    refused(delete.send().await, "DeleteConflict", 409)
}

async fn nobody(server: Server) -> Check {
    let create = server.admin().iam.create_role().role_name(server.name("role"));
    let create = create.assume_role_policy_document(trust(r#"{"AWS":[]}"#));
    refused(create.send().await, "MalformedPolicyDocument", 400)
}

async fn missing_user(server: Server) -> Check {
    let document = trusting(&server, "nobody-of-that-name").await?;
    let create = server.admin().iam.create_role().role_name(server.name("role"));
    let create = create.assume_role_policy_document(document);
    refused(create.send().await, "MalformedPolicyDocument", 400)
}

async fn stale(server: Server) -> Check {
    let (user, iam) = (server.user().await?, server.admin().iam);
    let made = ok(iam.get_user().user_name(&user).send().await)?;
    let id = made.user().ok_or("no user in the answer")?.user_id().to_owned();
    let (name, _) = server.role(&trusting(&server, &user).await?).await?;
    ok(iam.delete_user().user_name(&user).send().await)?;
    let role = ok(iam.get_role().role_name(name).send().await)?;
    let document = role.role().and_then(|it| it.assume_role_policy_document()).unwrap_or_default();
    same(document.contains(&id), true)
}

async fn too_long(server: Server) -> Check {
    let it = server.person(Some(ALLOW_ALL)).await?;
    let (_, arn) = server.role(&root_of(&server).await?).await?;
    let taken = it.clients.sts.assume_role().role_arn(arn).role_session_name("session");
    refused(taken.duration_seconds(7_200).send().await, "ValidationError", 400)
}

async fn missing(server: Server) -> Check {
    let asked = server.admin().iam.get_role().role_name(server.name("nothing"));
    refused(asked.send().await, "NoSuchEntity", 404)
}

async fn service_linked(server: Server) -> Check {
    let iam = server.admin().iam;
    let create = iam.create_service_linked_role().aws_service_name("autoscaling.amazonaws.com");
    let made = ok(create.custom_suffix(server.name("x")).send().await)?;
    let name = made.role().ok_or("no role in the answer")?.role_name().to_owned();
    let put = iam.put_role_policy().role_name(name).policy_name("p");
    refused(put.policy_document(ALLOW_ALL).send().await, "UnmodifiableEntity", 400)
}
