//! What policies allow and deny, and how sessions follow them; all through the real SDK.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use severance_sandbox::aws::SandboxHandle;
use support::*;

const DENIED: (&str, u16) = ("AccessDenied", 403);
const DEAD: (&str, u16) = ("InvalidClientTokenId", 403);

fn deny_before(time: chrono::DateTime<chrono::Utc>) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Action":"*","Resource":"*",
           "Condition":{{"DateLessThan":{{"aws:TokenIssueTime":"{}"}}}}}}]}}"#,
        time.to_rfc3339()
    )
}

fn trust(principal: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{principal}}}]}}"#
    )
}

async fn assume(
    clients: &Clients,
    account: &str,
    role: &str,
) -> Result<aws_sdk_iam::config::Credentials, (String, u16)> {
    let arn = format!("arn:aws:iam::{account}:role/{role}");
    let answer = clients.sts.assume_role().role_arn(arn).role_session_name("test").send().await;
    match answer {
        Ok(answer) => Ok(issued(answer.credentials())),
        Err(error) => Err(refusal::<(), _>(Err(error))),
    }
}

#[tokio::test]
async fn nothing_is_allowed_that_no_policy_allows() {
    let sandbox = sandbox().await;
    let read = r#"{"Statement":{"Effect":"Allow","Action":"iam:List*","Resource":"*"}}"#;
    let (_, eve) = user_with(&sandbox, "eve", read);
    eve.iam.list_users().send().await.unwrap();
    is(&refusal(eve.iam.create_user().user_name("x").send().await), DENIED);
    let read = eve.secrets.list_secrets().send().await;
    is(&refusal(read), ("AccessDeniedException", 400));
    eve.sts.get_caller_identity().send().await.unwrap();
}

#[tokio::test]
async fn a_deny_of_everything_leaves_only_the_callers_identity() {
    let sandbox = sandbox().await;
    let (_, eve) = user_with(&sandbox, "eve", ALLOW_ALL);
    eve.iam.list_users().send().await.unwrap();
    let put = root(&sandbox).iam.put_user_policy().user_name("eve").policy_name("deny");
    put.policy_document(DENY_ALL).send().await.unwrap();
    is(&refusal(eve.iam.list_users().send().await), DENIED);
    eve.sts.get_caller_identity().send().await.unwrap();
    eve.sts.get_session_token().send().await.unwrap();
}

#[tokio::test]
async fn a_user_session_outlives_its_key_until_a_deny_of_older_sessions_cuts_it() {
    let sandbox = sandbox().await;
    let (key, eve) = user_with(&sandbox, "eve", ALLOW_ALL);
    let answer = eve.sts.get_session_token().send().await.unwrap();
    let credentials = issued(answer.credentials());
    assert!(credentials.access_key_id().starts_with("ASIA"));
    let held = clients(&sandbox, &credentials);
    let admin = root(&sandbox);
    admin
        .iam
        .update_access_key()
        .user_name("eve")
        .access_key_id(&key.access_key_id)
        .status(aws_sdk_iam::types::StatusType::Inactive)
        .send()
        .await
        .unwrap();
    is(&refusal(eve.sts.get_caller_identity().send().await), DEAD);
    held.secrets.list_secrets().send().await.unwrap();
    let cutoff = sandbox.clock().now() + chrono::TimeDelta::seconds(1);
    let put = admin.iam.put_user_policy().user_name("eve").policy_name("cut");
    put.policy_document(deny_before(cutoff)).send().await.unwrap();
    is(&refusal(held.secrets.list_secrets().send().await), ("AccessDeniedException", 400));
    held.sts.get_caller_identity().send().await.unwrap();
    let another = long_term(&sandbox.seed(ACCOUNT).unwrap().access_key("eve").unwrap());
    clients(&sandbox, &another).iam.list_users().send().await.unwrap();
}

#[tokio::test]
async fn a_session_needs_its_token_and_ends() {
    let sandbox = sandbox().await;
    let (_, eve) = user_with(&sandbox, "eve", ALLOW_ALL);
    let answer = eve.sts.get_session_token().duration_seconds(900).send().await.unwrap();
    let it = answer.credentials().unwrap();
    let (id, secret) = (it.access_key_id(), it.secret_access_key());
    let bare = aws_sdk_iam::config::Credentials::new(id, secret, None, None, "test");
    is(&refusal(clients(&sandbox, &bare).sts.get_caller_identity().send().await), DEAD);
    let other = session(id, secret, "another token");
    is(&refusal(clients(&sandbox, &other).sts.get_caller_identity().send().await), DEAD);
    let whole = clients(&sandbox, &issued(answer.credentials()));
    whole.sts.get_caller_identity().send().await.unwrap();
    let weak = whole.iam.list_users().send().await;
    is(&refusal(weak), DEAD);
    sandbox.clock().set_offset(chrono::TimeDelta::minutes(16));
    let late = skewed(&sandbox, &issued(answer.credentials())).await;
    assert!(late.contains("<Code>ExpiredToken</Code>"), "{late}");
}

/// `GetCallerIdentity` signed at the sandbox's own time.
async fn skewed(sandbox: &SandboxHandle, credentials: &aws_sdk_iam::config::Credentials) -> String {
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    let body = "Action=GetCallerIdentity&Version=2011-06-15";
    let identity = credentials.clone().into();
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("sts")
        .time(sandbox.clock().now().into())
        .settings(SigningSettings::default())
        .build()
        .unwrap();
    let uri = format!("{}/", sandbox.endpoint());
    let host = sandbox.address().to_string();
    let headers = [("host", host.as_str())];
    let signable = SignableRequest::new(
        "POST",
        &uri,
        headers.into_iter(),
        SignableBody::Bytes(body.as_bytes()),
    );
    let (signed, _) = sign(signable.unwrap(), &params.into()).unwrap().into_parts();
    let mut request = reqwest::Client::new().post(&uri).body(body);
    for (name, value) in signed.headers() {
        request = request.header(name, value);
    }
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn a_boundary_caps_what_policies_allow() {
    let sandbox = sandbox().await;
    let (_, eve) = user_with(&sandbox, "eve", ALLOW_ALL);
    let admin = root(&sandbox);
    let arn = "arn:aws:iam::aws:policy/IAMReadOnlyAccess";
    let put = admin.iam.put_user_permissions_boundary().user_name("eve");
    put.permissions_boundary(arn).send().await.unwrap();
    eve.iam.list_users().send().await.unwrap();
    is(&refusal(eve.iam.create_user().user_name("x").send().await), DENIED);
    let shown = admin.iam.get_user().user_name("eve").send().await.unwrap();
    let boundary = shown.user().unwrap().permissions_boundary().unwrap();
    assert_eq!(boundary.permissions_boundary_arn(), Some(arn));
    admin.iam.delete_user_permissions_boundary().user_name("eve").send().await.unwrap();
    eve.iam.create_user().user_name("x").send().await.unwrap();
}

#[tokio::test]
async fn groups_and_managed_policies_grant_and_deny() {
    let sandbox = sandbox().await;
    let seed = sandbox.seed(ACCOUNT).unwrap();
    seed.user("eve", &[]).unwrap();
    seed.group("partners").unwrap();
    seed.group_policy("partners", "all", ALLOW_ALL).unwrap();
    let eve = clients(&sandbox, &long_term(&seed.access_key("eve").unwrap()));
    is(&refusal(eve.iam.list_users().send().await), DENIED);
    seed.member("partners", "eve").unwrap();
    eve.iam.list_users().send().await.unwrap();
    let admin = root(&sandbox);
    let made = admin.iam.create_policy().policy_name("deny").policy_document(DENY_ALL);
    let made = made.send().await.unwrap();
    let arn = made.policy().unwrap().arn().unwrap();
    admin.iam.attach_user_policy().user_name("eve").policy_arn(arn).send().await.unwrap();
    is(&refusal(eve.iam.list_users().send().await), DENIED);
    let kept = admin.iam.delete_policy().policy_arn(arn).send().await;
    is(&refusal(kept), ("DeleteConflict", 409));
    admin.iam.detach_user_policy().user_name("eve").policy_arn(arn).send().await.unwrap();
    eve.iam.list_users().send().await.unwrap();
}

#[tokio::test]
async fn a_role_is_taken_only_where_its_trust_and_the_callers_policies_meet() {
    let sandbox = sandbox().await;
    let seed = sandbox.seed(ACCOUNT).unwrap();
    seed.user("plain", &[]).unwrap();
    let plain = clients(&sandbox, &long_term(&seed.access_key("plain").unwrap()));
    let (_, strong) = user_with(&sandbox, "strong", ALLOW_ALL);
    let by_name = r#"{"AWS":"arn:aws:iam::111111111111:user/plain"}"#;
    seed.role("by-name", &trust(by_name), &[]).unwrap();
    seed.role("by-account", &trust(r#"{"AWS":"111111111111"}"#), &[]).unwrap();
    seed.role("open", &trust(r#""*""#), &[]).unwrap();
    seed.role("machine", &trust(r#"{"Service":"ec2.amazonaws.com"}"#), &[]).unwrap();
    let far = sandbox.seed(OTHER).unwrap();
    far.role("far", &trust(r#"{"AWS":"arn:aws:iam::111111111111:root"}"#), &[]).unwrap();
    far.role("far-open", &trust(r#"{"AWS":"*"}"#), &[]).unwrap();
    for (role, account, by_plain, by_strong) in [
        ("by-name", ACCOUNT, true, false),
        ("by-account", ACCOUNT, false, true),
        ("open", ACCOUNT, true, true),
        ("machine", ACCOUNT, false, false),
        ("far", OTHER, false, true),
        ("far-open", OTHER, false, true),
        ("missing", ACCOUNT, false, false),
    ] {
        for (who, clients, expected) in
            [("plain", &plain, by_plain), ("strong", &strong, by_strong)]
        {
            match assume(clients, account, role).await {
                Ok(_) => assert!(expected, "{who} took {role}"),
                Err(refused) => {
                    assert!(!expected, "{who} could not take {role}");
                    is(&refused, DENIED);
                }
            }
        }
    }
    let refused = assume(&root(&sandbox), ACCOUNT, "open").await.unwrap_err();
    is(&refused, DENIED);
}

#[tokio::test]
async fn a_role_session_follows_the_role_and_a_deny_of_older_ones_spares_the_newer() {
    let sandbox = sandbox().await;
    let seed = sandbox.seed(ACCOUNT).unwrap();
    let (_, eve) = user_with(&sandbox, "eve", ALLOW_ALL);
    seed.role("partner", &trust(r#"{"AWS":"111111111111"}"#), &[]).unwrap();
    seed.role_policy("partner", "all", ALLOW_ALL).unwrap();
    let old = clients(&sandbox, &assume(&eve, ACCOUNT, "partner").await.unwrap());
    old.iam.list_users().send().await.unwrap();
    let who = old.sts.get_caller_identity().send().await.unwrap();
    assert_eq!(who.arn(), Some("arn:aws:sts::111111111111:assumed-role/partner/test"));
    let cutoff = sandbox.clock().now() + chrono::TimeDelta::seconds(30);
    let put = root(&sandbox).iam.put_role_policy().role_name("partner").policy_name("cut");
    put.policy_document(deny_before(cutoff)).send().await.unwrap();
    is(&refusal(old.iam.list_users().send().await), DENIED);
    old.sts.get_caller_identity().send().await.unwrap();
    sandbox.clock().set_offset(chrono::TimeDelta::seconds(60));
    let new = clients(&sandbox, &assume(&eve, ACCOUNT, "partner").await.unwrap());
    new.iam.list_users().send().await.unwrap();
    is(&refusal(old.iam.list_users().send().await), DENIED);
}

#[tokio::test]
async fn a_trust_policy_shows_a_deleted_principal_by_its_id_and_cannot_be_saved_with_it() {
    let sandbox = sandbox().await;
    let seed = sandbox.seed(ACCOUNT).unwrap();
    let id = seed.user("gone", &[]).unwrap();
    seed.user("stays", &[]).unwrap();
    let both =
        r#"{"AWS":["arn:aws:iam::111111111111:user/gone","arn:aws:iam::111111111111:user/stays"]}"#;
    seed.role("partner", &trust(both), &[]).unwrap();
    let admin = root(&sandbox);
    admin.iam.delete_user().user_name("gone").send().await.unwrap();
    seed.user("gone", &[]).unwrap();
    let again = clients(&sandbox, &long_term(&seed.access_key("gone").unwrap()));
    assert!(assume(&again, ACCOUNT, "partner").await.is_err(), "another user of the same name");
    let role = admin.iam.get_role().role_name("partner").send().await.unwrap();
    let document = role.role().unwrap().assume_role_policy_document().unwrap().to_owned();
    let document = percent_encoding::percent_decode_str(&document).decode_utf8().unwrap();
    assert!(document.contains(&id), "{document}");
    let saved = admin.iam.update_assume_role_policy().role_name("partner");
    let saved = saved.policy_document(document.clone()).send().await;
    is(&refusal(saved), ("MalformedPolicyDocument", 400));
    let without = document.replace(&format!("\"{id}\","), "");
    let saved = admin.iam.update_assume_role_policy().role_name("partner");
    saved.policy_document(without).send().await.unwrap();
}

#[tokio::test]
async fn a_simulation_says_what_would_be_enforced() {
    let sandbox = sandbox().await;
    let read = r#"{"Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"},
        {"Effect":"Deny","Action":"iam:DeleteUser","Resource":"*"}]}"#;
    user_with(&sandbox, "eve", read);
    let asked = root(&sandbox).iam.simulate_principal_policy();
    let answer = asked
        .policy_source_arn("arn:aws:iam::111111111111:user/eve")
        .action_names("iam:GetUser")
        .action_names("iam:DeleteUser")
        .action_names("sts:AssumeRole")
        .send()
        .await
        .unwrap();
    let decisions: Vec<_> = answer
        .evaluation_results()
        .iter()
        .map(|it| it.eval_decision().as_str().to_owned())
        .collect();
    assert_eq!(decisions, ["allowed", "explicitDeny", "implicitDeny"]);
}

#[tokio::test]
async fn a_federated_session_may_do_only_what_both_the_user_and_its_own_policy_allow() {
    let sandbox = sandbox().await;
    let seed = sandbox.seed(ACCOUNT).unwrap();
    seed.secret("us-east-1", "s", "v", &[]).unwrap();
    let (_, eve) = user_with(&sandbox, "eve", ALLOW_ALL);
    let list =
        r#"{"Statement":{"Effect":"Allow","Action":"secretsmanager:ListSecrets","Resource":"*"}}"#;
    let token = eve.sts.get_federation_token().name("partner").policy(list);
    let token = token.send().await.unwrap();
    let session = clients(&sandbox, &issued(token.credentials()));
    session.secrets.list_secrets().send().await.unwrap();
    let read = session.secrets.get_secret_value().secret_id("s").send().await;
    is(&refusal(read), ("AccessDeniedException", 400));
    is(&refusal(session.iam.list_users().send().await), DEAD);
    let role = session.sts.assume_role().role_arn("arn:aws:iam::111111111111:role/any");
    is(&refusal(role.role_session_name("test").send().await), DENIED);
    let put = root(&sandbox).iam.put_user_policy().user_name("eve").policy_name("deny");
    put.policy_document(DENY_ALL).send().await.unwrap();
    let listed = session.secrets.list_secrets().send().await;
    is(&refusal(listed), ("AccessDeniedException", 400));
    session.sts.get_caller_identity().send().await.unwrap();
}

#[tokio::test]
async fn a_root_key_is_told_apart_from_a_users() {
    let sandbox = sandbox().await;
    let seed = sandbox.seed(ACCOUNT).unwrap();
    let administrator = clients(&sandbox, &long_term(&seed.administrator("operator").unwrap()));
    let root_key = sandbox.root_key(ACCOUNT).unwrap().access_key_id;
    let asked = administrator.iam.get_access_key_last_used().access_key_id(root_key);
    assert_eq!(asked.send().await.unwrap().user_name(), Some("<root_account>"));
    let foreign = sandbox.root_key(OTHER).unwrap().access_key_id;
    let asked = administrator.iam.get_access_key_last_used().access_key_id(&foreign);
    is(&refusal(asked.send().await), DENIED);
    let info = administrator.sts.get_access_key_info().access_key_id(&foreign);
    assert_eq!(info.send().await.unwrap().account(), Some(OTHER));
}
