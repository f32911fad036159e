//! Labels of versions, and moving them.

use crate::Check;
use crate::secret_help::{FIRST, Made, SECOND, THIRD, secret, with_two};
use crate::server::{Server, ok, refused};

crate::behaviours! {
    "secretsmanager", "moving AWSCURRENT puts AWSPREVIOUS on the version that it left" => back;
    "secretsmanager", "moving a label without RemoveFromVersionId is InvalidParameterException" => without_from;
    "secretsmanager", "moving a label from the wrong version is InvalidParameterException" => wrong_from;
    "secretsmanager", "AWSCURRENT cannot be removed, only moved" => keep_current;
    "secretsmanager", "AWSPREVIOUS can be removed" => drop_previous;
    "secretsmanager", "removing a label from a version without it is InvalidParameterException" => not_there;
    "secretsmanager", "a new label is put on a version without RemoveFromVersionId" => new_label;
    "secretsmanager", "moving a label to the version that has it changes nothing" => in_place;
    "secretsmanager", "a move that names no version is InvalidParameterException" => no_version;
    "secretsmanager", "a label is not moved to a version that is not there" => unknown_version;
    "secretsmanager", "a rotation by hand: pending, promoted, pending label removed" => by_hand;
    "secretsmanager", "a secret has 20 labels at most" => most_labels;
}

async fn shift(it: &Made, label: &str, from: Option<&str>, to: Option<&str>) -> Check {
    let shift = it.client.update_secret_version_stage().secret_id(&it.name).version_stage(label);
    let shift = shift.set_remove_from_version_id(from.map(str::to_owned));
    let shift = shift.set_move_to_version_id(to.map(str::to_owned));
    ok(shift.send().await).map(|_| ())
}

async fn refuses(
    it: &Made,
    (label, from, to): (&str, Option<&str>, Option<&str>),
    code: &str,
) -> Check {
    let shift = it.client.update_secret_version_stage().secret_id(&it.name).version_stage(label);
    let shift = shift.set_remove_from_version_id(from.map(str::to_owned));
    let shift = shift.set_move_to_version_id(to.map(str::to_owned));
    let before = it.stages().await?;
    refused(shift.send().await, code, 400)?;
    crate::server::same(it.stages().await?, before)
}

const INVALID: &str = "InvalidParameterException";

async fn back(server: Server) -> Check {
    let it = with_two(&server).await?;
    shift(&it, "AWSCURRENT", Some(SECOND), Some(FIRST)).await?;
    it.has(&[(FIRST, &["AWSCURRENT"]), (SECOND, &["AWSPREVIOUS"])]).await?;
    crate::server::same(it.value("AWSCURRENT").await?.as_str(), "one")
}

async fn without_from(server: Server) -> Check {
    let it = with_two(&server).await?;
    refuses(&it, ("AWSCURRENT", None, Some(FIRST)), INVALID).await
}

async fn wrong_from(server: Server) -> Check {
    let it = with_two(&server).await?;
    it.put(THIRD, "three", &["AWSPENDING"]).await?;
    refuses(&it, ("AWSCURRENT", Some(FIRST), Some(THIRD)), INVALID).await
}

async fn keep_current(server: Server) -> Check {
    let it = with_two(&server).await?;
    refuses(&it, ("AWSCURRENT", Some(SECOND), None), INVALID).await
}

async fn drop_previous(server: Server) -> Check {
    let it = with_two(&server).await?;
    shift(&it, "AWSPREVIOUS", Some(FIRST), None).await?;
    it.has(&[(SECOND, &["AWSCURRENT"])]).await?;
    let read = it.client.get_secret_value().secret_id(&it.name).version_stage("AWSPREVIOUS");
    refused(read.send().await, "ResourceNotFoundException", 400)
}

async fn not_there(server: Server) -> Check {
    let it = with_two(&server).await?;
    refuses(&it, ("AWSPREVIOUS", Some(SECOND), None), INVALID).await
}

async fn new_label(server: Server) -> Check {
    let it = with_two(&server).await?;
    shift(&it, "mine", None, Some(FIRST)).await?;
    it.has(&[(FIRST, &["AWSPREVIOUS", "mine"]), (SECOND, &["AWSCURRENT"])]).await
}

async fn in_place(server: Server) -> Check {
    let it = with_two(&server).await?;
    shift(&it, "AWSCURRENT", None, Some(SECOND)).await?;
    it.has(&[(FIRST, &["AWSPREVIOUS"]), (SECOND, &["AWSCURRENT"])]).await
}

async fn no_version(server: Server) -> Check {
    refuses(&secret(&server).await?, ("mine", None, None), INVALID).await
}

async fn unknown_version(server: Server) -> Check {
    let it = secret(&server).await?;
    refuses(&it, ("mine", None, Some(THIRD)), "ResourceNotFoundException").await
}

async fn by_hand(server: Server) -> Check {
    let it = secret(&server).await?;
    it.put(SECOND, "two", &["AWSPENDING"]).await?;
    shift(&it, "AWSCURRENT", Some(FIRST), Some(SECOND)).await?;
    it.has(&[(FIRST, &["AWSPREVIOUS"]), (SECOND, &["AWSCURRENT", "AWSPENDING"])]).await?;
    shift(&it, "AWSPENDING", Some(SECOND), None).await?;
    it.has(&[(FIRST, &["AWSPREVIOUS"]), (SECOND, &["AWSCURRENT"])]).await
}

async fn most_labels(server: Server) -> Check {
    let it = secret(&server).await?;
    let labels: Vec<String> = (1..20).map(|number| format!("label-{number}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    it.put(SECOND, "two", &labels).await?;
    refuses(&it, ("one-more", None, Some(FIRST)), "LimitExceededException").await
}
