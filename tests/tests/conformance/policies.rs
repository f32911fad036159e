//! Policies as documents: what is kept, counted and refused.

use crate::Check;
use crate::server::{ALLOW_ALL, DENY_ALL, Server, ok, refused, same};

crate::behaviours! {
    "iam", "an inline policy comes back as it was put" => round_trip;
    "iam", "inline policies of a user above 2,048 characters are refused with LimitExceeded" => too_large;
    "iam", "white space does not count towards a policy's size" => white_space;
    "iam", "a policy that is not JSON is MalformedPolicyDocument" => not_json;
    "iam", "a policy without an effect is MalformedPolicyDocument" => no_effect;
    "iam", "an inline policy that is not there is NoSuchEntity" => missing_inline;
    "iam", "a managed policy is attached, listed and detached" => attach;
    "iam", "detaching a policy that is not attached is NoSuchEntity" => detach_missing;
    "iam", "attaching a policy that is not there is NoSuchEntity" => attach_missing;
    "iam", "an attached policy cannot be deleted: DeleteConflict" => delete_attached;
    "iam", "an eleventh managed policy on a user is refused with LimitExceeded" => eleventh;
    "iam", "a new default version is shown as such" => versions;
    "iam", "the default version cannot be deleted: DeleteConflict" => delete_default;
    "iam", "ListEntitiesForPolicy names the users that hold it" => entities;
}

async fn put(
    server: &Server,
    user: &str,
    name: &str,
    document: &str,
) -> Result<
    aws_sdk_iam::operation::put_user_policy::PutUserPolicyOutput,
    aws_sdk_iam::error::SdkError<aws_sdk_iam::operation::put_user_policy::PutUserPolicyError>,
> {
    let put = server.admin().iam.put_user_policy().user_name(user).policy_name(name);
    put.policy_document(document).send().await
}

async fn round_trip(server: Server) -> Check {
    let name = server.user().await?;
    ok(put(&server, &name, "p", ALLOW_ALL).await)?;
    let get = server.admin().iam.get_user_policy().user_name(&name).policy_name("p");
    let got = ok(get.send().await)?;
    // Percent-encoded on the wire, as RFC 3986 has it.
    let plain = got.policy_document().replace("%22", "\"").replace("%7B", "{").replace("%7D", "}");
    let plain = plain.replace("%3A", ":").replace("%2C", ",").replace("%2A", "*");
    same(plain.replace("%5B", "[").replace("%5D", "]"), ALLOW_ALL.to_owned())
}

fn of_size(characters: usize) -> String {
    let frame = r#"{"Statement":[{"Sid":"","Effect":"Deny","Action":"a:b","Resource":"*"}]}"#;
    let sid = "x".repeat(characters - frame.len());
    frame.replace(r#""Sid":"""#, &format!(r#""Sid":"{sid}""#))
}

async fn too_large(server: Server) -> Check {
    let name = server.user().await?;
    ok(put(&server, &name, "a", &of_size(1_024)).await)?;
    ok(put(&server, &name, "b", &of_size(1_024)).await)?;
    refused(put(&server, &name, "b", &of_size(1_025)).await, "LimitExceeded", 409)
}

async fn white_space(server: Server) -> Check {
    let name = server.user().await?;
    let spaced = of_size(1_500).replace("{\"", &format!("{{{}\"", " ".repeat(1_000)));
    ok(put(&server, &name, "a", &spaced).await).map(|_| ())
}

async fn not_json(server: Server) -> Check {
    let name = server.user().await?;
    refused(put(&server, &name, "p", "not json").await, "MalformedPolicyDocument", 400)
}

async fn no_effect(server: Server) -> Check {
    let name = server.user().await?;
    let document = r#"{"Version":"2012-10-17","Statement":[{"Action":"*","Resource":"*"}]}"#;
    refused(put(&server, &name, "p", document).await, "MalformedPolicyDocument", 400)
}

async fn missing_inline(server: Server) -> Check {
    let name = server.user().await?;
    let get = server.admin().iam.get_user_policy().user_name(name).policy_name("none");
    refused(get.send().await, "NoSuchEntity", 404)
}

async fn attach(server: Server) -> Check {
    let (name, arn, iam) =
        (server.user().await?, server.policy(ALLOW_ALL).await?, server.admin().iam);
    ok(iam.attach_user_policy().user_name(&name).policy_arn(&arn).send().await)?;
    let list = ok(iam.list_attached_user_policies().user_name(&name).send().await)?;
    let found: Vec<_> = list.attached_policies().iter().map(|it| it.policy_arn()).collect();
    same(found, vec![Some(arn.as_str())])?;
    ok(iam.detach_user_policy().user_name(&name).policy_arn(&arn).send().await)?;
    let list = ok(iam.list_attached_user_policies().user_name(&name).send().await)?;
    same(list.attached_policies().len(), 0)
}

async fn detach_missing(server: Server) -> Check {
    let (name, arn) = (server.user().await?, server.policy(ALLOW_ALL).await?);
    let detach = server.admin().iam.detach_user_policy().user_name(name).policy_arn(arn);
    refused(detach.send().await, "NoSuchEntity", 404)
}

async fn attach_missing(server: Server) -> Check {
    let (name, account) = (server.user().await?, server.account().await?);
    let arn = format!("arn:aws:iam::{account}:policy/none");
    let attach = server.admin().iam.attach_user_policy().user_name(name).policy_arn(arn);
    refused(attach.send().await, "NoSuchEntity", 404)
}

async fn delete_attached(server: Server) -> Check {
    let (name, arn, iam) =
        (server.user().await?, server.policy(ALLOW_ALL).await?, server.admin().iam);
    ok(iam.attach_user_policy().user_name(name).policy_arn(&arn).send().await)?;
    refused(iam.delete_policy().policy_arn(arn).send().await, "DeleteConflict", 409)
}

async fn eleventh(server: Server) -> Check {
    let (name, iam) = (server.user().await?, server.admin().iam);
    for _ in 0..10 {
        let arn = server.policy(ALLOW_ALL).await?;
        ok(iam.attach_user_policy().user_name(&name).policy_arn(arn).send().await)?;
    }
    let arn = server.policy(ALLOW_ALL).await?;
    let attach = iam.attach_user_policy().user_name(&name).policy_arn(arn);
    refused(attach.send().await, "LimitExceeded", 409)
}

async fn versions(server: Server) -> Check {
    let (arn, iam) = (server.policy(ALLOW_ALL).await?, server.admin().iam);
    let create = iam.create_policy_version().policy_arn(&arn).policy_document(DENY_ALL);
    ok(create.set_as_default(true).send().await)?;
    let policy = ok(iam.get_policy().policy_arn(&arn).send().await)?;
    same(policy.policy().and_then(|it| it.default_version_id()), Some("v2"))?;
    let list = ok(iam.list_policy_versions().policy_arn(&arn).send().await)?;
    let defaults: Vec<_> = list.versions().iter().filter(|it| it.is_default_version()).collect();
    same((list.versions().len(), defaults.len()), (2, 1))
}

async fn delete_default(server: Server) -> Check {
    let arn = server.policy(ALLOW_ALL).await?;
    let delete = server.admin().iam.delete_policy_version().policy_arn(arn).version_id("v1");
    refused(delete.send().await, "DeleteConflict", 409)
}

async fn entities(server: Server) -> Check {
    let (name, arn, iam) =
        (server.user().await?, server.policy(ALLOW_ALL).await?, server.admin().iam);
    ok(iam.attach_user_policy().user_name(&name).policy_arn(&arn).send().await)?;
    let list = ok(iam.list_entities_for_policy().policy_arn(arn).send().await)?;
    let found: Vec<_> = list.policy_users().iter().map(|it| it.user_name()).collect();
    same(found, vec![Some(name.as_str())])
}
