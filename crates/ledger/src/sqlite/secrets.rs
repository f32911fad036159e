//! Secrets of the inventory, and what they are looked up by.

use std::collections::BTreeSet;

use severance_lifecycle::event::Selector;
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::plan::{Identity, IdentityDetail};
use severance_lifecycle::secret::Holding;
use sqlx::SqliteConnection;

use super::inventory::is_in_region;
use crate::codec::{from_json, to_json};
use crate::fault::Fault;

const BY_SECRET_ARN: &str = "SELECT body FROM identities
     WHERE kind = 'secret' AND arn = ?1 AND (?2 IS NULL OR account = ?2)";
/// AWS ends an ARN with a dash and six characters of its choice, which may be left out (AWS: Secrets
/// Manager User Guide, "ARN format").
const BY_PARTIAL_ARN: &str = "SELECT body FROM identities
     WHERE kind = 'secret' AND name = ?3 AND length(arn) = length(?1) + 7
         AND substr(arn, 1, length(?1) + 1) = ?1 || '-' AND (?2 IS NULL OR account = ?2)";
const BY_SECRET_NAME: &str = "SELECT body FROM identities
     WHERE kind = 'secret' AND name = ?1 AND (?2 IS NULL OR account = ?2) ORDER BY arn";

/// Secrets by name, by ARN, or by an ARN without its end.
pub(super) async fn named(
    connection: &mut SqliteConnection,
    name: &str,
    selector: &Selector,
) -> Result<Vec<Identity>, Fault> {
    let account = selector.account.as_ref().map(AccountId::as_str);
    let is_arn = name.starts_with("arn:");
    let sql = if is_arn { BY_SECRET_ARN } else { BY_SECRET_NAME };
    let mut bodies: Vec<String> =
        sqlx::query_scalar(sql).bind(name).bind(account).fetch_all(&mut *connection).await?;
    if let Some((_, own_name)) = name.split_once(":secret:").filter(|_| bodies.is_empty() && is_arn)
    {
        bodies = sqlx::query_scalar(BY_PARTIAL_ARN)
            .bind(name)
            .bind(account)
            .bind(own_name)
            .fetch_all(connection)
            .await?;
    }
    let mut found = read_all(&bodies)?;
    found.retain(|identity| is_in_region(identity, selector));
    Ok(found)
}

fn read_all(bodies: &[String]) -> Result<Vec<Identity>, Fault> {
    bodies.iter().map(|body| from_json("identity", body)).collect()
}

/// Secrets that hand out one of these credentials.
pub(super) async fn holding(
    connection: &mut SqliteConnection,
    holds: &[Holding],
) -> Result<Vec<Identity>, Fault> {
    let names: Vec<String> = holds.iter().map(Holding::name).collect();
    let bodies: Vec<String> = sqlx::query_scalar(
        "SELECT body FROM identities WHERE number IN (
             SELECT identity FROM secret_holds WHERE holds IN (SELECT value FROM json_each(?)))
         ORDER BY arn",
    )
    .bind(to_json("credentials", &names)?)
    .fetch_all(connection)
    .await?;
    read_all(&bodies)
}

/// What a secret hands out from now on. Of one that was never listed nothing is kept.
pub(super) async fn learn(
    connection: &mut SqliteConnection,
    arn: &str,
    holds: &BTreeSet<Holding>,
) -> Result<(), Fault> {
    let row: Option<(i64, String)> =
        sqlx::query_as("SELECT number, body FROM identities WHERE kind = 'secret' AND arn = ?")
            .bind(arn)
            .fetch_optional(&mut *connection)
            .await?;
    let Some((number, body)) = row else { return Ok(()) };
    let mut identity: Identity = from_json("identity", &body)?;
    let IdentityDetail::Secret(detail) = &mut identity.detail else { return Ok(()) };
    detail.holds.clone_from(holds);
    sqlx::query("UPDATE identities SET body = ? WHERE number = ?")
        .bind(to_json("identity", &identity)?)
        .bind(number)
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM secret_holds WHERE identity = ?")
        .bind(number)
        .execute(&mut *connection)
        .await?;
    for holding in holds {
        sqlx::query(
            "INSERT INTO secret_holds (holds, identity) VALUES (?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(holding.name())
        .bind(number)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// A page of secrets, in the order of their ARNs.
pub(super) const AFTER: &str = "SELECT body FROM identities INDEXED BY identities_arn
     WHERE kind = 'secret' AND arn > ?1 ORDER BY arn LIMIT ?2";

/// A page of [`AFTER`].
pub(super) async fn after(
    connection: &mut SqliteConnection,
    last: Option<&str>,
    limit: usize,
) -> Result<Vec<Identity>, Fault> {
    let bodies: Vec<String> = sqlx::query_scalar(AFTER)
        .bind(last.unwrap_or_default())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await?;
    read_all(&bodies)
}
