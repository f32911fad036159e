//! What policies do to calls.

use crate::Check;
use crate::server::{
    ALLOW_ALL, DENY_ALL, DENY_SESSIONS, Person, Server, credentials, ok, refused, same,
};

crate::behaviours! {
    "iam", "without a policy a call is AccessDenied" => no_policy;
    "iam", "an explicit deny wins over an allow" => explicit_deny;
    "iam", "an allow of some actions does not allow others" => some_actions;
    "sts", "GetCallerIdentity succeeds under a deny of everything" => identity_under_deny;
    "sts", "GetSessionToken succeeds under a deny of everything" => session_under_deny;
    "iam", "an attached managed policy that denies everything denies" => managed_deny;
    "iam", "a group's policy allows its users" => group_allows;
    "iam", "a permissions boundary caps what policies allow" => boundary;
    "secretsmanager", "without a policy Secrets Manager says AccessDeniedException" => secrets_denied;
    "sts secretsmanager", "a user's session goes on after its key is inactive" => session_survives;
    "iam sts", "a deny of older sessions cuts a user's session" => cutoff;
    "iam", "a deny of older sessions leaves long-term keys alone" => cutoff_spares_keys;
    "sts", "session credentials without their token are refused with InvalidClientTokenId" => no_token;
    "sts", "session credentials with another token are refused with InvalidClientTokenId" => other_token;
    "iam sts", "a session from GetSessionToken without MFA cannot call IAM" => weak_session;
    "iam", "SimulatePrincipalPolicy tells allow, explicit deny and implicit deny apart" => simulation;
}

async fn add(server: &Server, it: &Person, document: &str) -> Check {
    let put = server.admin().iam.put_user_policy().user_name(&it.name).policy_name("second");
    ok(put.policy_document(document).send().await).map(|_| ())
}

async fn no_policy(server: Server) -> Check {
    let it = server.person(None).await?;
    refused(it.clients.iam.list_users().send().await, "AccessDenied", 403)
}

async fn explicit_deny(server: Server) -> Check {
    let it = server.person(Some(ALLOW_ALL)).await?;
    ok(it.clients.iam.list_users().send().await)?;
    add(&server, &it, DENY_ALL).await?;
    refused(it.clients.iam.list_users().send().await, "AccessDenied", 403)
}

async fn some_actions(server: Server) -> Check {
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:List*","Resource":"*"}]}"#;
    let it = server.person(Some(policy)).await?;
    ok(it.clients.iam.list_users().send().await)?;
    let create = it.clients.iam.create_user().user_name(server.name("user"));
    refused(create.send().await, "AccessDenied", 403)
}

async fn identity_under_deny(server: Server) -> Check {
    let it = server.person(Some(DENY_ALL)).await?;
    ok(it.clients.sts.get_caller_identity().send().await).map(|_| ())
}

async fn session_under_deny(server: Server) -> Check {
    let it = server.person(Some(DENY_ALL)).await?;
    ok(it.clients.sts.get_session_token().send().await).map(|_| ())
}

async fn managed_deny(server: Server) -> Check {
    let it = server.person(Some(ALLOW_ALL)).await?;
    let arn = server.policy(DENY_ALL).await?;
    let attach = server.admin().iam.attach_user_policy().user_name(&it.name).policy_arn(arn);
    ok(attach.send().await)?;
    refused(it.clients.iam.list_users().send().await, "AccessDenied", 403)
}

async fn group_allows(server: Server) -> Check {
    let (it, group, iam) = (server.person(None).await?, server.name("group"), server.admin().iam);
    ok(iam.create_group().group_name(&group).send().await)?;
    let put = iam.put_group_policy().group_name(&group).policy_name("all");
    ok(put.policy_document(ALLOW_ALL).send().await)?;
    ok(iam.add_user_to_group().group_name(&group).user_name(&it.name).send().await)?;
    ok(it.clients.iam.list_users().send().await).map(|_| ())
}

async fn boundary(server: Server) -> Check {
    let it = server.person(Some(ALLOW_ALL)).await?;
    let cap = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:List*","Resource":"*"}]}"#;
    let arn = server.policy(cap).await?;
    let put = server.admin().iam.put_user_permissions_boundary().user_name(&it.name);
    ok(put.permissions_boundary(arn).send().await)?;
    ok(it.clients.iam.list_users().send().await)?;
    let create = it.clients.iam.create_user().user_name(server.name("user"));
    refused(create.send().await, "AccessDenied", 403)
}

async fn secrets_denied(server: Server) -> Check {
    let it = server.person(None).await?;
    let read = it.clients.secrets.list_secrets().send().await;
    refused(read, "AccessDeniedException", 400)
}

async fn session_survives(server: Server) -> Check {
    let it = server.person(Some(ALLOW_ALL)).await?;
    let taken = ok(it.clients.sts.get_session_token().send().await)?;
    let session = server.session(taken.credentials())?;
    let off = server.admin().iam.update_access_key().user_name(&it.name);
    let off = off.access_key_id(&it.key_id).status(aws_sdk_iam::types::StatusType::Inactive);
    ok(off.send().await)?;
    refused(it.clients.sts.get_caller_identity().send().await, "InvalidClientTokenId", 403)?;
    ok(session.secrets.list_secrets().send().await).map(|_| ())
}

async fn cutoff(server: Server) -> Check {
    let it = server.person(Some(ALLOW_ALL)).await?;
    let taken = ok(it.clients.sts.get_session_token().send().await)?;
    let session = server.session(taken.credentials())?;
    ok(session.secrets.list_secrets().send().await)?;
    add(&server, &it, DENY_SESSIONS).await?;
    let read = session.secrets.list_secrets().send().await;
    refused(read, "AccessDeniedException", 400)?;
    ok(session.sts.get_caller_identity().send().await).map(|_| ())
}

async fn cutoff_spares_keys(server: Server) -> Check {
    let it = server.person(Some(ALLOW_ALL)).await?;
    add(&server, &it, DENY_SESSIONS).await?;
    ok(it.clients.iam.list_users().send().await).map(|_| ())
}

async fn no_token(server: Server) -> Check {
    with_token(&server, None).await
}

async fn other_token(server: Server) -> Check {
    with_token(&server, Some("another token".to_owned())).await
}

async fn with_token(server: &Server, token: Option<String>) -> Check {
    let it = server.person(Some(ALLOW_ALL)).await?;
    let given = ok(it.clients.sts.get_session_token().send().await)?;
    let given = given.credentials().ok_or("no credentials in the answer")?;
    let bare = credentials(given.access_key_id(), given.secret_access_key(), token);
    let call = server.clients(bare).sts.get_caller_identity().send().await;
    refused(call, "InvalidClientTokenId", 403)
}

async fn weak_session(server: Server) -> Check {
    let it = server.person(Some(ALLOW_ALL)).await?;
    let taken = ok(it.clients.sts.get_session_token().send().await)?;
    let session = server.session(taken.credentials())?;
    refused(session.iam.list_users().send().await, "InvalidClientTokenId", 403)
}

async fn simulation(server: Server) -> Check {
    let policy = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"iam:*","Resource":"*"},
        {"Effect":"Deny","Action":"iam:DeleteUser","Resource":"*"}]}"#;
    let it = server.person(Some(policy)).await?;
    let arn = format!("arn:aws:iam::{}:user/{}", server.account().await?, it.name);
    let asked = server.admin().iam.simulate_principal_policy().policy_source_arn(arn);
    let asked = asked.action_names("iam:GetUser").action_names("iam:DeleteUser");
    let answer = ok(asked.action_names("s3:GetObject").send().await)?;
    let found = answer.evaluation_results().iter().map(|it| it.eval_decision().as_str());
    same(found.collect(), vec!["allowed", "explicitDeny", "implicitDeny"])
}
