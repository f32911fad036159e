//! Rotation of secrets by a function.

use aws_sdk_secretsmanager::types::RotationRulesType;

use crate::Check;
use crate::secret_help::{FIRST, Made, SECOND, THIRD, secret, until};
use crate::server::{Server, ok, refused, same};

crate::behaviours! {
    "secretsmanager", "a secret without a rotation function is not rotated" => no_function;
    "secretsmanager", "a rotation makes a new current value, under the token's version" => rotated;
    "secretsmanager", "a rotation under way makes another one InvalidRequestException" => under_way;
    "secretsmanager", "a rotation is asked for again with its own token" => again;
    "secretsmanager", "AWSPENDING on another version makes a rotation InvalidRequestException" => stale;
    "secretsmanager", "AWSPENDING on the current version lets a secret be rotated" => beside_current;
    "secretsmanager", "an unfinished rotation goes on once AWSPENDING is removed" => unstuck;
    "secretsmanager", "the rules of a rotation are described, with the next date" => rules;
    "secretsmanager", "rules that exclude each other are InvalidParameterException" => both_rules;
    "secretsmanager", "a rotation that is not to be at once only sets the rules" => not_at_once;
    "secretsmanager", "a cancelled rotation turns the schedule off and leaves AWSPENDING" => cancelled;
    "secretsmanager iam", "a function that cannot be invoked is AccessDeniedException" => no_such_function;
}

async fn arn(server: &Server, function: &str) -> Result<String, String> {
    Ok(format!("arn:aws:lambda:us-east-1:{}:function:{function}", server.account().await?))
}

fn every(days: i64) -> RotationRulesType {
    RotationRulesType::builder().automatically_after_days(days).build()
}

/// Asks for a rotation by this function, under the version [`SECOND`].
async fn rotate(server: &Server, it: &Made, function: &str) -> Check {
    let rotate = it.client.rotate_secret().secret_id(&it.name).client_request_token(SECOND);
    let rotate = rotate.rotation_lambda_arn(arn(server, function).await?).send().await;
    same(ok(rotate)?.version_id(), Some(SECOND))
}

async fn is_current(it: &Made, version: &str) -> Check {
    until("the promotion", || async {
        let labels = it.stages().await?.remove(version).unwrap_or_default();
        Ok(labels.iter().any(|label| label == "AWSCURRENT"))
    })
    .await
}

async fn no_function(server: Server) -> Check {
    let it = secret(&server).await?;
    let rotate = it.client.rotate_secret().secret_id(&it.name).send().await;
    refused(rotate, "InvalidRequestException", 400)
}

async fn rotated(server: Server) -> Check {
    let it = secret(&server).await?;
    rotate(&server, &it, "succeeding").await?;
    is_current(&it, SECOND).await?;
    same(it.value("AWSCURRENT").await? == "one", false)?;
    same(it.value("AWSPREVIOUS").await?.as_str(), "one")?;
    let described = it.describe().await?;
    same(described.rotation_enabled(), Some(true))?;
    same(described.last_rotated_date().is_some(), true)
}

async fn under_way(server: Server) -> Check {
    let it = secret(&server).await?;
    rotate(&server, &it, "slow").await?;
    let more = it.client.rotate_secret().secret_id(&it.name).client_request_token(THIRD);
    refused(more.send().await, "InvalidRequestException", 400)?;
    it.has(&[(FIRST, &["AWSCURRENT"]), (SECOND, &["AWSPENDING"])]).await
}

async fn again(server: Server) -> Check {
    let it = secret(&server).await?;
    rotate(&server, &it, "slow").await?;
    rotate(&server, &it, "slow").await?;
    it.has(&[(FIRST, &["AWSCURRENT"]), (SECOND, &["AWSPENDING"])]).await
}

async fn stale(server: Server) -> Check {
    let it = secret(&server).await?;
    it.put(THIRD, "left over", &["AWSPENDING"]).await?;
    let rotate = it.client.rotate_secret().secret_id(&it.name).client_request_token(SECOND);
    let rotate = rotate.rotation_lambda_arn(arn(&server, "succeeding").await?).send().await;
    refused(rotate, "InvalidRequestException", 400)
}

async fn beside_current(server: Server) -> Check {
    let it = secret(&server).await?;
    let label = it.client.update_secret_version_stage().secret_id(&it.name);
    let label = label.version_stage("AWSPENDING").move_to_version_id(FIRST);
    ok(label.send().await)?;
    rotate(&server, &it, "succeeding").await?;
    is_current(&it, SECOND).await
}

async fn unstuck(server: Server) -> Check {
    let it = secret(&server).await?;
    it.put(THIRD, "left over", &["AWSPENDING"]).await?;
    let label = it.client.update_secret_version_stage().secret_id(&it.name);
    let label = label.version_stage("AWSPENDING").remove_from_version_id(THIRD);
    ok(label.send().await)?;
    rotate(&server, &it, "succeeding").await?;
    is_current(&it, SECOND).await
}

async fn rules(server: Server) -> Check {
    let it = secret(&server).await?;
    let rotate = it.client.rotate_secret().secret_id(&it.name).rotation_rules(every(30));
    ok(rotate.rotation_lambda_arn(arn(&server, "succeeding").await?).send().await)?;
    let described = it.describe().await?;
    let rules = described.rotation_rules().ok_or("no RotationRules")?;
    same(rules.automatically_after_days(), Some(30))?;
    let (made, next) = (described.created_date(), described.next_rotation_date());
    let days = next.zip(made).map(|(next, made)| (next.secs() - made.secs() + 43_200) / 86_400);
    same(days, Some(30))
}

async fn both_rules(server: Server) -> Check {
    let it = secret(&server).await?;
    let rules = RotationRulesType::builder().automatically_after_days(30);
    let rules = rules.schedule_expression("rate(30 days)").build();
    let rotate = it.client.rotate_secret().secret_id(&it.name).rotation_rules(rules);
    let rotate = rotate.rotation_lambda_arn(arn(&server, "succeeding").await?).send().await;
    refused(rotate, "InvalidParameterException", 400)
}

async fn not_at_once(server: Server) -> Check {
    let it = secret(&server).await?;
    let rotate = it.client.rotate_secret().secret_id(&it.name).rotate_immediately(false);
    let rotate = rotate.rotation_lambda_arn(arn(&server, "succeeding").await?);
    ok(rotate.rotation_rules(every(30)).send().await)?;
    it.has(&[(FIRST, &["AWSCURRENT"])]).await?;
    same(it.describe().await?.rotation_enabled(), Some(true))
}

async fn cancelled(server: Server) -> Check {
    let it = secret(&server).await?;
    rotate(&server, &it, "slow").await?;
    let cancel = ok(it.client.cancel_rotate_secret().secret_id(&it.name).send().await)?;
    same(cancel.version_id(), Some(SECOND))?;
    same(it.describe().await?.rotation_enabled().unwrap_or(false), false)?;
    it.has(&[(FIRST, &["AWSCURRENT"]), (SECOND, &["AWSPENDING"])]).await
}

async fn no_such_function(server: Server) -> Check {
    let it = secret(&server).await?;
    let rotate = it.client.rotate_secret().secret_id(&it.name);
    let rotate = rotate.rotation_lambda_arn(arn(&server, "nothing").await?).send().await;
    refused(rotate, "AccessDeniedException", 400)
}
