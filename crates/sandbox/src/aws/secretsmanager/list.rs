//! `ListSecrets`.

use serde_json::{Value, json};

use super::SmCall;
use super::describe::entry;
use super::input::invalid;
use super::search::Filters;
use crate::aws::error::AwsError;
use crate::aws::paging::{Page, cut};
use crate::aws::state::{Secret, Secrets};

pub(super) fn list(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    call.permit_on("*")?;
    let filters = Filters::read(call.input)?;
    let doomed = call.input.flag("IncludePlannedDeletion")?.unwrap_or(false);
    let size = call.input.page_size(100)?.min(call.world.settings.page_size);
    let order = Order::read(call)?;
    let after = call.input.after()?;
    let secrets = &call.world.account(&call.caller.account)?.secrets;
    let region = &call.caller.region;
    let shown = |secret: &&Secret| (doomed || secret.deleted.is_none()) && filters.admit(secret);
    let page = order.page(secrets, region, shown, after, size)?;
    let list: Vec<Value> = page.items.iter().map(|it| Value::Object(entry(it))).collect();
    let mut reply = json!({ "SecretList": list });
    if let Some(token) = page.token() {
        reply["NextToken"] = Value::String(token);
    }
    Ok(reply)
}

/// In which order secrets are listed.
struct Order {
    by: SortBy,
    descending: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SortBy {
    Created,
    Accessed,
    Changed,
    Name,
}

impl Order {
    fn read(call: &SmCall<'_>) -> Result<Self, AwsError> {
        let by = match call.input.text("SortBy")? {
            None | Some("created-date") => SortBy::Created,
            Some("last-accessed-date") => SortBy::Accessed,
            Some("last-changed-date") => SortBy::Changed,
            Some("name") => SortBy::Name,
            Some(other) => return Err(invalid(format!("Invalid SortBy: {other}"))),
        };
        let descending = match call.input.text("SortOrder")? {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(other) => return Err(invalid(format!("Invalid SortOrder: {other}"))),
        };
        Ok(Self { by, descending })
    }

    fn page<'a>(
        &self,
        secrets: &'a Secrets,
        region: &'a str,
        shown: impl Fn(&&Secret) -> bool,
        after: Option<String>,
        size: usize,
    ) -> Result<Page<&'a Secret>, AwsError> {
        if self.by == SortBy::Created && !self.descending {
            // The usual order is kept at hand: pages of very many secrets are cut out of it.
            let after = after.map(|key| age_of(&key)).transpose()?;
            let entries = secrets.by_age(region, after).filter(shown);
            return Ok(cut(entries.map(|secret| (self.key(secret), secret)), size));
        }
        let entries = secrets.by_age(region, None).filter(shown);
        let mut entries: Vec<_> = entries.map(|secret| (self.key(secret), secret)).collect();
        entries.sort_by(|left, right| left.0.cmp(&right.0));
        if self.descending {
            entries.reverse();
        }
        let follows =
            |key: &str, after: &str| if self.descending { key < after } else { key > after };
        entries.retain(|(key, _)| after.as_ref().is_none_or(|after| follows(key, after)));
        Ok(cut(entries.into_iter(), size))
    }

    fn key(&self, secret: &Secret) -> String {
        let time = match self.by {
            SortBy::Name => return secret.name.clone(),
            SortBy::Created => Some(secret.created),
            SortBy::Accessed => secret.accessed,
            SortBy::Changed => Some(secret.content.changed),
        };
        let micros = time.map_or(0, |time| time.timestamp_micros());
        format!("{micros:020}/{}", secret.name)
    }
}

/// The age and the name in a key.
fn age_of(key: &str) -> Result<(i64, String), AwsError> {
    let parts = key.split_once('/').and_then(|(age, name)| Some((age.parse().ok()?, name)));
    let (age, name) = parts.ok_or_else(|| {
        AwsError::new(400, "InvalidNextTokenException", "The NextToken value is invalid.")
    })?;
    Ok((age, name.to_owned()))
}
