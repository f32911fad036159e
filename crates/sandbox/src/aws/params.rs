//! The parameters of a Query-protocol call.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::error::AwsError;

/// The longest list that is read; AWS's own limits are far lower.
const MOST_MEMBERS: usize = 100_000;

/// A call's form parameters, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads `application/x-www-form-urlencoded`.
    pub(crate) fn parse(form: &str) -> Self {
        let pairs = form.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Self(pairs.collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, AwsError> {
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            AwsError::validation(format!(
                "1 validation error detected: Value null at '{}' failed to satisfy constraint: \
                 Member must not be null",
                lower_first(name)
            ))
        })
    }

    /// A boolean parameter, `false` when absent.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, AwsError> {
        self.get(name)
            .map(|value| {
                let bad = || AwsError::validation(format!("{name} must be a number"));
                value.parse().map_err(|_| bad())
            })
            .transpose()
    }

    /// The values of `name.member.1`, `name.member.2`, ….
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        (1..).map_while(|place| self.get(&format!("{name}.member.{place}"))).collect()
    }

    /// The members of a list of structures, each as the parameters under it.
    pub(crate) fn structs(&self, name: &str) -> Vec<Params> {
        (1..=MOST_MEMBERS)
            .map(|place| self.under(&format!("{name}.member.{place}.")))
            .take_while(|inner| !inner.0.is_empty())
            .collect()
    }

    /// `Tags.member.N.Key` and `.Value`.
    pub(crate) fn tags(&self) -> Result<BTreeMap<String, String>, AwsError> {
        self.structs("Tags")
            .iter()
            .map(|tag| {
                let value = tag.get("Value").unwrap_or_default();
                Ok((tag.required("Key")?.to_owned(), value.to_owned()))
            })
            .collect()
    }

    /// The first parameter whose top-level name is not in `known`.
    pub(crate) fn unknown<'a>(&'a self, known: &[&str]) -> Option<&'a str> {
        self.0
            .keys()
            .map(|name| name.split('.').next().unwrap_or(name))
            .find(|name| !matches!(*name, "Action" | "Version") && !known.contains(name))
    }

    fn under(&self, prefix: &str) -> Params {
        let inner = self
            .0
            .range(prefix.to_owned()..)
            .take_while(|(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name[prefix.len()..].to_owned(), value.clone()));
        Self(inner.collect())
    }
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_ascii_lowercase().to_string() + letters.as_str())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_structures_and_escapes_are_read() {
        let params = Params::parse(
            "Action=X&Names.member.1=a&Names.member.2=b+c&Tags.member.1.Key=k&Tags.member.1.Value=%7B",
        );
        assert_eq!(params.list("Names"), ["a", "b c"]);
        assert_eq!(params.tags().unwrap()["k"], "{");
        assert_eq!(params.unknown(&["Names"]), Some("Tags"));
        assert_eq!(params.unknown(&["Names", "Tags"]), None);
    }
}
