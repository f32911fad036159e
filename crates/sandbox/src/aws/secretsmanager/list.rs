//! Finding secrets.

use std::ops::Bound;

use serde_json::{Value, json};

use super::SmCall;
use super::input::{Input, invalid};
use super::read::entry;
use crate::aws::error::AwsError;
use crate::aws::paging::{cut, decode};
use crate::aws::state::Secret;

pub(super) fn list(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    call.permit("*")?;
    let filters = call.input.list("Filters");
    let filters = filters.iter().map(Filter::read).collect::<Result<Vec<_>, _>>()?;
    let asked = match call.input.number("MaxResults") {
        Some(asked @ 1..=100) => usize::try_from(asked).unwrap_or(100),
        None => 100,
        Some(_) => return Err(invalid("MaxResults must be between 1 and 100")),
    };
    let after = call.input.text("NextToken")?.map(|token| {
        let bad =
            |_| AwsError::new(400, "InvalidNextTokenException", "The NextToken value is invalid.");
        decode(token).map_err(bad)
    });
    let after = after.transpose()?;
    let region = call.caller.region.clone();
    let from = match after {
        Some(name) => Bound::Excluded((region.clone(), name)),
        None => Bound::Included((region.clone(), String::new())),
    };
    let secrets = &call.world.account(&call.caller.account)?.secrets;
    let entries = secrets
        .range((from, Bound::Unbounded))
        .take_while(|((it, _), _)| *it == region)
        .filter(|(_, secret)| filters.iter().all(|filter| filter.admits(secret)))
        .map(|((_, name), secret)| (name.clone(), secret));
    let page = cut(entries, asked.min(call.world.settings.page_size));
    let list: Vec<Value> = page.items.iter().map(|it| Value::Object(entry(it))).collect();
    let mut reply = json!({ "SecretList": list });
    if let Some(token) = page.token() {
        reply["NextToken"] = Value::String(token);
    }
    Ok(reply)
}

/// One filter: any of its values suffices, and a value beginning with `!` must not match.
struct Filter<'a> {
    key: FilterKey,
    values: Vec<&'a str>,
}

#[derive(Clone, Copy)]
enum FilterKey {
    Name,
    Description,
    TagKey,
    TagValue,
    All,
}

impl<'a> Filter<'a> {
    fn read(value: &'a Value) -> Result<Self, AwsError> {
        let input = Input::new(value);
        let key = match input.required("Key")? {
            "name" => FilterKey::Name,
            "description" => FilterKey::Description,
            "tag-key" => FilterKey::TagKey,
            "tag-value" => FilterKey::TagValue,
            "all" => FilterKey::All,
            other => {
                return Err(invalid(format!("the sandbox does not know the filter key {other}")));
            }
        };
        let values = input.list("Values").iter().filter_map(Value::as_str).collect();
        Ok(Self { key, values })
    }

    fn admits(&self, secret: &Secret) -> bool {
        self.values.iter().any(|value| match value.strip_prefix('!') {
            Some(value) => !self.found(secret, value),
            None => self.found(secret, value),
        })
    }

    /// Names and tags are matched by prefix, with case; descriptions without.
    fn found(&self, secret: &Secret, value: &str) -> bool {
        let lower = value.to_lowercase();
        let description = secret.description.as_deref().unwrap_or_default().to_lowercase();
        let by_name = || secret.name.starts_with(value);
        let by_description = || description.split_whitespace().any(|word| word.starts_with(&lower));
        let by_key = || secret.tags.keys().any(|it| it.starts_with(value));
        let by_value = || secret.tags.values().any(|it| it.starts_with(value));
        match self.key {
            FilterKey::Name => by_name(),
            FilterKey::Description => by_description(),
            FilterKey::TagKey => by_key(),
            FilterKey::TagValue => by_value(),
            FilterKey::All => by_name() || by_description() || by_key() || by_value(),
        }
    }
}
