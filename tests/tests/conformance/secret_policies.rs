//! Resource policies of secrets.

use crate::Check;
use crate::secret_help::{Made, secret};
use crate::server::{ALLOW_ALL, Person, Server, ok, refused, same, trust};

crate::behaviours! {
    "secretsmanager", "a resource policy is shown as it was put, and gone when deleted" => round_trip;
    "secretsmanager", "a secret without a resource policy shows none" => none;
    "secretsmanager iam", "a resource policy that denies a user refuses it, and no other" => deny_user;
    "secretsmanager iam sts", "a resource policy that denies a role refuses its sessions" => deny_role;
    "secretsmanager iam", "a resource policy that denies the account's root refuses all of it" => deny_account;
    "secretsmanager iam", "a resource policy that denies everyone spares whom a condition names" => deny_but;
    "secretsmanager iam", "a resource policy lets in a user that has no policy of its own" => allow_user;
    "secretsmanager iam", "a resource policy of the account alone lets in nobody by itself" => allow_account;
    "secretsmanager iam", "a deny for one action leaves the others" => deny_action;
    "secretsmanager", "a resource policy that is no JSON is MalformedPolicyDocumentException" => no_json;
    "secretsmanager", "a resource policy without a principal is MalformedPolicyDocumentException" => no_principal;
    "secretsmanager", "a principal that is not there is MalformedPolicyDocumentException" => stale_principal;
    "secretsmanager", "a public policy is PublicPolicyException where that is blocked" => public;
    "secretsmanager", "a public policy is put where that is not blocked" => public_unblocked;
    "secretsmanager", "a resource policy of more than 20,480 characters is refused" => too_large;
    "secretsmanager", "ValidateResourcePolicy passes a good policy and fails a public one" => validate;
    "secretsmanager iam", "a user that was deleted and made again is not whom the policy named" => made_again;
}

const MALFORMED: &str = "MalformedPolicyDocumentException";

fn policy(effect: &str, principal: &str, action: &str, condition: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Principal":{principal},"Action":"secretsmanager:{action}","Resource":"*"{condition}}}]}}"#
    )
}

async fn put(it: &Made, policy: &str) -> Check {
    let put = it.client.put_resource_policy().secret_id(&it.name).resource_policy(policy);
    ok(put.send().await).map(|_| ())
}

async fn arn_of(server: &Server, person: &Person) -> Result<String, String> {
    Ok(format!("arn:aws:iam::{}:user/{}", server.account().await?, person.name))
}

async fn reads(client: &aws_sdk_secretsmanager::Client, it: &Made) -> Check {
    ok(client.get_secret_value().secret_id(&it.arn).send().await).map(|_| ())
}

/// The code alone: of another server's status, one behaviour tells.
async fn denied(client: &aws_sdk_secretsmanager::Client, it: &Made) -> Check {
    use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
    match client.get_secret_value().secret_id(&it.arn).send().await {
        Ok(_) => Err("the value was read".to_owned()),
        Err(error) => same(error.code(), Some("AccessDeniedException")),
    }
}

async fn round_trip(server: Server) -> Check {
    let it = secret(&server).await?;
    let text = policy("Deny", r#"{"AWS":"*"}"#, "DeleteSecret", "");
    put(&it, &text).await?;
    let get = || it.client.get_resource_policy().secret_id(&it.name);
    same(ok(get().send().await)?.resource_policy(), Some(text.as_str()))?;
    ok(it.client.delete_resource_policy().secret_id(&it.name).send().await)?;
    same(ok(get().send().await)?.resource_policy(), None)
}

async fn none(server: Server) -> Check {
    let it = secret(&server).await?;
    let shown = ok(it.client.get_resource_policy().secret_id(&it.name).send().await)?;
    same((shown.resource_policy(), shown.arn()), (None, Some(it.arn.as_str())))
}

async fn deny_user(server: Server) -> Check {
    let it = secret(&server).await?;
    let (one, other) =
        (server.person(Some(ALLOW_ALL)).await?, server.person(Some(ALLOW_ALL)).await?);
    reads(&one.clients.secrets, &it).await?;
    let principal = format!(r#"{{"AWS":"{}"}}"#, arn_of(&server, &one).await?);
    put(&it, &policy("Deny", &principal, "*", "")).await?;
    denied(&one.clients.secrets, &it).await?;
    reads(&other.clients.secrets, &it).await
}

async fn deny_role(server: Server) -> Check {
    let it = secret(&server).await?;
    let person = server.person(Some(ALLOW_ALL)).await?;
    let user = arn_of(&server, &person).await?;
    let (_, role) = server.role(&trust(&format!(r#"{{"AWS":"{user}"}}"#))).await?;
    let session = server.assume(&person.clients, &role).await?;
    reads(&session.secrets, &it).await?;
    put(&it, &policy("Deny", &format!(r#"{{"AWS":"{role}"}}"#), "*", "")).await?;
    denied(&session.secrets, &it).await?;
    reads(&person.clients.secrets, &it).await
}

async fn deny_account(server: Server) -> Check {
    let it = secret(&server).await?;
    let person = server.person(Some(ALLOW_ALL)).await?;
    let root = format!(r#"{{"AWS":"arn:aws:iam::{}:root"}}"#, server.account().await?);
    put(&it, &policy("Deny", &root, "GetSecretValue", "")).await?;
    denied(&person.clients.secrets, &it).await?;
    denied(&it.client, &it).await
}

async fn deny_but(server: Server) -> Check {
    let it = secret(&server).await?;
    let (one, other) =
        (server.person(Some(ALLOW_ALL)).await?, server.person(Some(ALLOW_ALL)).await?);
    let spared = arn_of(&server, &one).await?;
    let condition = format!(r#","Condition":{{"ArnNotEquals":{{"aws:PrincipalArn":"{spared}"}}}}"#);
    put(&it, &policy("Deny", r#""*""#, "GetSecretValue", &condition)).await?;
    reads(&one.clients.secrets, &it).await?;
    denied(&other.clients.secrets, &it).await
}

async fn allow_user(server: Server) -> Check {
    let it = secret(&server).await?;
    let person = server.person(None).await?;
    denied(&person.clients.secrets, &it).await?;
    let principal = format!(r#"{{"AWS":"{}"}}"#, arn_of(&server, &person).await?);
    put(&it, &policy("Allow", &principal, "GetSecretValue", "")).await?;
    reads(&person.clients.secrets, &it).await
}

async fn allow_account(server: Server) -> Check {
    let it = secret(&server).await?;
    let person = server.person(None).await?;
    let root = format!(r#"{{"AWS":"arn:aws:iam::{}:root"}}"#, server.account().await?);
    put(&it, &policy("Allow", &root, "GetSecretValue", "")).await?;
    denied(&person.clients.secrets, &it).await
}

async fn deny_action(server: Server) -> Check {
    let it = secret(&server).await?;
    let person = server.person(Some(ALLOW_ALL)).await?;
    let principal = format!(r#"{{"AWS":"{}"}}"#, arn_of(&server, &person).await?);
    put(&it, &policy("Deny", &principal, "GetSecretValue", "")).await?;
    denied(&person.clients.secrets, &it).await?;
    let describe = person.clients.secrets.describe_secret().secret_id(&it.arn).send().await;
    ok(describe).map(|_| ())
}

async fn refuses(it: &Made, policy: &str, code: &str) -> Check {
    let put = it.client.put_resource_policy().secret_id(&it.name).resource_policy(policy);
    refused(put.send().await, code, 400)
}

async fn no_json(server: Server) -> Check {
    refuses(&secret(&server).await?, "{", MALFORMED).await
}

async fn no_principal(server: Server) -> Check {
    let text = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"secretsmanager:*","Resource":"*"}]}"#;
    refuses(&secret(&server).await?, text, MALFORMED).await
}

async fn stale_principal(server: Server) -> Check {
    let gone = format!("arn:aws:iam::{}:user/{}", server.account().await?, server.name("nobody"));
    let text = policy("Deny", &format!(r#"{{"AWS":"{gone}"}}"#), "*", "");
    refuses(&secret(&server).await?, &text, MALFORMED).await
}

async fn public(server: Server) -> Check {
    let it = secret(&server).await?;
    let blocked = async |text: &str| {
        let put = it.client.put_resource_policy().secret_id(&it.name).resource_policy(text);
        put.block_public_policy(true).send().await
    };
    let open = policy("Allow", r#""*""#, "GetSecretValue", "");
    refused(blocked(&open).await, "PublicPolicyException", 400)?;
    let condition = r#","Condition":{"StringEquals":{"aws:PrincipalAccount":"111111111111"}}"#;
    let narrow = policy("Allow", r#""*""#, "GetSecretValue", condition);
    ok(blocked(&narrow).await).map(|_| ())
}

async fn public_unblocked(server: Server) -> Check {
    put(&secret(&server).await?, &policy("Allow", r#""*""#, "GetSecretValue", "")).await
}

async fn too_large(server: Server) -> Check {
    let it = secret(&server).await?;
    let text = policy("Deny", r#""*""#, "DeleteSecret", "");
    let padded = |length: usize| format!("{text}{}", " ".repeat(length - text.len()));
    put(&it, &padded(20_480)).await?;
    refuses(&it, &padded(20_481), "InvalidParameterException").await
}

async fn validate(server: Server) -> Check {
    let it = secret(&server).await?;
    let validate = async |effect: &str| -> Result<bool, String> {
        let text = policy(effect, r#""*""#, "GetSecretValue", "");
        let asked = it.client.validate_resource_policy().secret_id(&it.name);
        Ok(ok(asked.resource_policy(text).send().await)?.policy_validation_passed())
    };
    same((validate("Deny").await?, validate("Allow").await?), (true, false))
}

async fn made_again(server: Server) -> Check {
    let (it, iam) = (secret(&server).await?, server.admin().iam);
    let name = server.user().await?;
    let arn = format!("arn:aws:iam::{}:user/{name}", server.account().await?);
    let text = policy("Allow", &format!(r#"{{"AWS":"{arn}"}}"#), "GetSecretValue", "");
    put(&it, &text).await?;
    ok(iam.delete_user().user_name(&name).send().await)?;
    ok(iam.create_user().user_name(&name).send().await)?;
    let key = ok(iam.create_access_key().user_name(&name).send().await)?;
    let key = key.access_key().ok_or("no access key in the answer")?;
    let key = crate::server::credentials(key.access_key_id(), key.secret_access_key(), None);
    denied(&server.clients(key).secrets, &it).await
}
