//! The inventory: identities, and what they are looked up by.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use severance_engine::ports::IdentityPage;
use severance_lifecycle::event::{Selector, SelectorTarget};
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::plan::{Identity, IdentityDetail, TagKeys};
use severance_lifecycle::secret::Holding;
use severance_lifecycle::trust;
use sqlx::SqliteConnection;

use super::secrets;
use crate::codec::{from_json, micros, time, to_json};
use crate::fault::Fault;

/// Stores a page of an account's listing. A listing that is older than what is there changes nothing.
pub(super) async fn store(
    connection: &mut SqliteConnection,
    account: &AccountId,
    generation: i64,
    identities: &[Identity],
    keys: &TagKeys,
) -> Result<(), Fault> {
    for identity in identities {
        let number: Option<i64> = sqlx::query_scalar(
            "INSERT INTO identities (arn, account, kind, name, generation, body)
             VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (arn) DO UPDATE SET account = excluded.account, kind = excluded.kind,
                 name = excluded.name, generation = excluded.generation, body = excluded.body
             WHERE excluded.generation >= identities.generation
             RETURNING number",
        )
        .bind(&identity.arn)
        .bind(account.as_str())
        .bind(kind(identity))
        .bind(&identity.name)
        .bind(generation)
        .bind(to_json("identity", identity)?)
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(number) = number {
            index(connection, number, identity, keys).await?;
        }
    }
    Ok(())
}

fn kind(identity: &Identity) -> &'static str {
    match identity.detail {
        IdentityDetail::User { .. } => "user",
        IdentityDetail::Role { .. } => "role",
        IdentityDetail::Secret(_) => "secret",
    }
}

/// Writes an identity's lookups anew.
async fn index(
    connection: &mut SqliteConnection,
    number: i64,
    identity: &Identity,
    keys: &TagKeys,
) -> Result<(), Fault> {
    for clear in [
        "DELETE FROM identity_tags WHERE identity = ?",
        "DELETE FROM identity_keys WHERE identity = ?",
        "DELETE FROM role_principals WHERE identity = ?",
        "DELETE FROM secret_holds WHERE identity = ?",
    ] {
        sqlx::query(clear).bind(number).execute(&mut *connection).await?;
    }
    for (tag, value) in &identity.tags {
        let tag = tag.to_ascii_lowercase();
        add_tag(connection, number, &tag, value, true).await?;
        for name in names(value) {
            add_tag(connection, number, &tag, name, false).await?;
        }
    }
    if identity.secret().is_some() {
        // A contract that a secret is shared with ends for it as the one that it is bound to.
        let contract = keys.contract.to_ascii_lowercase();
        for name in identity.shared_with(keys) {
            add_tag(connection, number, &contract, name.as_str(), false).await?;
        }
    }
    let (sql, texts) = match &identity.detail {
        IdentityDetail::User { access_keys, .. } => (
            "INSERT INTO identity_keys (key_id, identity) VALUES (?, ?) ON CONFLICT DO NOTHING",
            access_keys.clone(),
        ),
        IdentityDetail::Role { trust, .. } => (
            "INSERT INTO role_principals (principal, identity) VALUES (?, ?)
             ON CONFLICT DO NOTHING",
            trust::principals(trust),
        ),
        IdentityDetail::Secret(detail) => (
            "INSERT INTO secret_holds (holds, identity) VALUES (?, ?) ON CONFLICT DO NOTHING",
            detail.holds.iter().map(Holding::name).collect(),
        ),
    };
    for text in texts {
        sqlx::query(sql).bind(text).bind(number).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn add_tag(
    connection: &mut SqliteConnection,
    number: i64,
    tag: &str,
    value: &str,
    whole: bool,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO identity_tags (tag, value, whole, identity) VALUES (?, ?, ?, ?)
         ON CONFLICT DO NOTHING",
    )
    .bind(tag)
    .bind(value)
    .bind(whole)
    .bind(number)
    .execute(connection)
    .await?;
    Ok(())
}

/// The names in a tag's value, parted as [`Identity::tagged`] parts them.
fn names(value: &str) -> impl Iterator<Item = &str> {
    value.split([' ', '+', ',', ';']).filter(|name| !name.is_empty())
}

/// The listing of a generation is complete.
pub(super) async fn finish(
    connection: &mut SqliteConnection,
    account: &AccountId,
    generation: i64,
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query("DELETE FROM identities WHERE account = ? AND generation < ?")
        .bind(account.as_str())
        .bind(generation)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO inventories (account, generation, finished_at) VALUES (?, ?, ?)
         ON CONFLICT (account) DO UPDATE SET
             generation = excluded.generation, finished_at = excluded.finished_at",
    )
    .bind(account.as_str())
    .bind(generation)
    .bind(micros(at))
    .execute(connection)
    .await?;
    Ok(())
}

/// When each account's listing was last complete.
pub(super) async fn finished(
    connection: &mut SqliteConnection,
) -> Result<BTreeMap<AccountId, DateTime<Utc>>, Fault> {
    let rows: Vec<(String, i64)> = sqlx::query_as("SELECT account, finished_at FROM inventories")
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(|(account, at)| Ok((AccountId(account), time(at)?))).collect()
}

const BY_KEY: &str = "SELECT i.number, i.body FROM identity_keys AS k JOIN identities AS i
         ON i.number = k.identity
     WHERE k.key_id = ?1 AND (?2 IS NULL OR i.account = ?2) AND i.number > ?3
     ORDER BY i.number LIMIT ?4";
const BY_NAME: &str = "SELECT number, body FROM identities
     WHERE kind = ?5 AND name = ?1 AND (?2 IS NULL OR account = ?2) AND number > ?3
     ORDER BY number LIMIT ?4";
const BY_ARN: &str = "SELECT number, body FROM identities
     WHERE kind = ?5 AND arn = ?1 AND (?2 IS NULL OR account = ?2) AND number > ?3 LIMIT ?4";
/// In the order of the lookup's own key: a page costs what it holds, wherever it begins.
pub(super) const BY_TAG: &str = "SELECT i.number, i.body FROM identity_tags AS t
         CROSS JOIN identities AS i ON i.number = t.identity
     WHERE t.tag = ?5 AND t.value = ?1 AND t.whole = ?6 AND t.identity > ?3
         AND (?2 IS NULL OR i.account = ?2)
     ORDER BY t.identity LIMIT ?4";

/// What the inventory knows of a selector that names few.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    keys: &TagKeys,
    selector: &Selector,
) -> Result<Vec<Identity>, Fault> {
    if let SelectorTarget::Secret(name) = &selector.target {
        return secrets::named(connection, name, selector).await;
    }
    let mut found = page(connection, keys, selector, 0, usize::MAX).await?.identities;
    found.sort_by(|one, other| one.arn.cmp(&other.arn));
    Ok(found)
}

/// What the inventory knows of a selector after this place, up to so many.
pub(super) async fn page(
    connection: &mut SqliteConnection,
    keys: &TagKeys,
    selector: &Selector,
    after: i64,
    limit: usize,
) -> Result<IdentityPage, Fault> {
    let Some(lookup) = Lookup::of(keys, selector) else { return Ok(IdentityPage::default()) };
    let account = selector.account.as_ref().map(AccountId::as_str);
    let rows = lookup.read(connection, account, after, limit).await?;
    let is_full = rows.len() >= limit;
    let next = rows.last().map(|(number, _)| *number).filter(|_| is_full);
    let identities = rows.iter().map(|(_, body)| from_json("identity", body));
    let mut identities: Vec<Identity> = identities.collect::<Result<_, _>>()?;
    if let SelectorTarget::Tags(tags) = &selector.target {
        identities.retain(|identity| {
            tags.iter().all(|(tag, value)| {
                identity.tags.iter().any(|(k, v)| k.eq_ignore_ascii_case(tag) && v == value)
            })
        });
    }
    identities.retain(|identity| is_in_region(identity, selector));
    Ok(IdentityPage { identities, next })
}

/// IAM is global; a secret is in one region.
pub(super) fn is_in_region(identity: &Identity, selector: &Selector) -> bool {
    let region = identity.secret().map(|(secret, _)| secret.region);
    match (&selector.region, region) {
        (Some(wanted), Some(region)) => *wanted == region,
        _ => true,
    }
}

struct Lookup {
    sql: &'static str,
    value: String,
    /// The kind or the tag, where the statement asks for it.
    fifth: Option<String>,
    /// Whether a tag's value is meant as a whole, where the statement asks for it.
    whole: Option<bool>,
}

impl Lookup {
    fn of(keys: &TagKeys, selector: &Selector) -> Option<Self> {
        let named = |kind: &'static str, name: &String| {
            let sql = if name.starts_with("arn:") { BY_ARN } else { BY_NAME };
            Some(Self { sql, value: name.clone(), fifth: Some(kind.to_owned()), whole: None })
        };
        let tagged = |tag: &str, value: &str, whole| {
            let (value, fifth) = (value.to_owned(), Some(tag.to_ascii_lowercase()));
            Some(Self { sql: BY_TAG, value, fifth, whole: Some(whole) })
        };
        match &selector.target {
            SelectorTarget::AccessKeyId(id) => {
                Some(Self { sql: BY_KEY, value: id.clone(), fifth: None, whole: None })
            }
            SelectorTarget::User(name) => named("user", name),
            SelectorTarget::Role(name) => named("role", name),
            SelectorTarget::Contract(name) => tagged(&keys.contract, name.as_str(), false),
            SelectorTarget::Zone(name) => tagged(&keys.zone, name.as_str(), false),
            SelectorTarget::Tags(tags) => {
                tags.first_key_value().and_then(|(tag, value)| tagged(tag, value, true))
            }
            // Named, and so found by `find`.
            SelectorTarget::Secret(_) => None,
        }
    }

    async fn read(
        self,
        connection: &mut SqliteConnection,
        account: Option<&str>,
        after: i64,
        limit: usize,
    ) -> Result<Vec<(i64, String)>, Fault> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut query =
            sqlx::query_as(self.sql).bind(self.value).bind(account).bind(after).bind(limit);
        if let Some(fifth) = self.fifth {
            query = query.bind(fifth);
        }
        if let Some(whole) = self.whole {
            query = query.bind(whole);
        }
        Ok(query.fetch_all(connection).await?)
    }
}

/// Roles whose trust policy names one of these principals in an allow.
pub(super) async fn roles_trusting(
    connection: &mut SqliteConnection,
    principals: &[String],
) -> Result<Vec<Identity>, Fault> {
    let bodies: Vec<String> = sqlx::query_scalar(
        "SELECT body FROM identities WHERE number IN (
             SELECT identity FROM role_principals
             WHERE principal IN (SELECT value FROM json_each(?)))
         ORDER BY arn",
    )
    .bind(to_json("principals", &principals)?)
    .fetch_all(connection)
    .await?;
    bodies.iter().map(|body| from_json("identity", body)).collect()
}
