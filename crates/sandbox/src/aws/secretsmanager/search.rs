//! `Filters`: which secrets are wanted.
//!
//! AWS: Secrets Manager User Guide, "Find secrets in AWS Secrets Manager".

use serde_json::Value;

use super::input::{Input, invalid};
use crate::aws::error::AwsError;
use crate::aws::state::Secret;

const MOST: usize = 10;

/// All of them must admit a secret.
pub(super) struct Filters<'a>(Vec<Filter<'a>>);

/// One filter: any of its values suffices, and a value beginning with `!` must not match.
struct Filter<'a> {
    key: Field,
    values: Vec<&'a str>,
}

#[derive(Clone, Copy)]
enum Field {
    Name,
    Description,
    TagKey,
    TagValue,
    PrimaryRegion,
    OwningService,
    All,
}

impl<'a> Filters<'a> {
    pub(super) fn read(input: Input<'a>) -> Result<Self, AwsError> {
        let filters = input.list("Filters");
        if filters.len() > MOST {
            return Err(invalid(format!("Filters must have at most {MOST} entries")));
        }
        filters.iter().map(Filter::read).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn admit(&self, secret: &Secret) -> bool {
        self.0.iter().all(|filter| filter.admits(secret))
    }
}

impl<'a> Filter<'a> {
    fn read(value: &'a Value) -> Result<Self, AwsError> {
        let input = Input::new(value);
        let key = match input.required("Key")? {
            "name" => Field::Name,
            "description" => Field::Description,
            "tag-key" => Field::TagKey,
            "tag-value" => Field::TagValue,
            "primary-region" => Field::PrimaryRegion,
            "owning-service" => Field::OwningService,
            "all" => Field::All,
            other => return Err(invalid(format!("Invalid filter key: {other}"))),
        };
        let values = input.texts("Values")?;
        if !(1..=MOST).contains(&values.len()) {
            return Err(invalid(format!("A filter must have 1 to {MOST} values")));
        }
        Ok(Self { key, values })
    }

    fn admits(&self, secret: &Secret) -> bool {
        self.values.iter().any(|value| match value.strip_prefix('!') {
            Some(value) => !self.found(secret, value),
            None => self.found(secret, value),
        })
    }

    /// By prefix, with case; descriptions and `all` by the words in them, without.
    fn found(&self, secret: &Secret, value: &str) -> bool {
        let content = &secret.content;
        let description = content.description.as_deref().unwrap_or_default();
        let starts = |text: Option<&str>| text.is_some_and(|text| text.starts_with(value));
        match self.key {
            Field::Name => secret.name.starts_with(value),
            Field::Description => has_words(description, value),
            Field::TagKey => content.tags.keys().any(|it| it.starts_with(value)),
            Field::TagValue => content.tags.values().any(|it| it.starts_with(value)),
            Field::PrimaryRegion => starts(secret.primary_region()),
            Field::OwningService => starts(secret.owning_service.as_deref()),
            Field::All => {
                let tags = content.tags.iter().flat_map(|(key, value)| [key, value]);
                let texts = tags.map(String::as_str).chain([secret.name.as_str(), description]);
                let services = [secret.owning_service.as_deref(), secret.primary_region()];
                texts.chain(services.into_iter().flatten()).any(|text| has_words(text, value))
            }
        }
    }
}

/// Whether each word of `wanted` begins some word of `text`, without regard to case.
fn has_words(text: &str, wanted: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let parts = text.split(|it: char| !it.is_alphanumeric());
        parts.filter(|it| !it.is_empty()).map(str::to_lowercase).collect()
    };
    let (there, wanted) = (words(text), words(wanted));
    !wanted.is_empty()
        && wanted.iter().all(|word| there.iter().any(|it| it.starts_with(word.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_by_their_beginnings() {
        assert!(has_words("The Payment gateway", "pay gate"));
        assert!(has_words("acme/payments", "PAY"));
        assert!(!has_words("repayment", "pay"));
        assert!(!has_words("payment", "pay other"));
        assert!(!has_words("payment", "/"));
    }
}
