//! A TOML document that knows where each value came from: a line of the file, or a variable of the
//! environment.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::Problem;
use super::{overrides, secrets};

/// A parsed file with the environment's overrides in it.
pub(super) struct Document<'t> {
    name: &'t str,
    text: &'t str,
    table: Spanned<DeTable<'t>>,
    /// Override number `i` has the span that starts at `text.len() + 1 + i`, beyond the file.
    variables: Vec<String>,
}

impl<'t> Document<'t> {
    pub(super) fn parse(
        name: &'t str,
        text: &'t str,
        overrides: &'t [(String, String)],
    ) -> Result<Self, String> {
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line(text, span.start));
            format!("{name}:{line}: {}", one_line(error.message()))
        })?;
        let mut table = table;
        secrets::as_written(table.get_mut(), text);
        let variables = overrides.iter().map(|(variable, _)| variable.clone()).collect();
        let mut document = Self { name, text, table, variables };
        for (number, (variable, value)) in overrides.iter().enumerate() {
            let at = text.len() + 1 + number;
            overrides::apply(document.table.get_mut(), variable, value, at..at)
                .map_err(|why| format!("environment variable {variable}: {why}"))?;
        }
        Ok(document)
    }

    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_path_to_error::deserialize(Deserializer::from(self.table.clone())).map_err(|error| {
            let key = error.path().to_string();
            let why = one_line(error.inner().message());
            let place = self.place(error.inner().span());
            if key == "." { format!("{place}{why}") } else { format!("{place}{key}: {why}") }
        })
    }

    /// A problem in words, with its place.
    pub(super) fn locate(&self, problem: &Problem) -> String {
        let Problem { key, why } = problem;
        format!("{}{key}: {why}", self.place(self.find(key)))
    }

    /// Where a span is, ready to be put before a message.
    fn place(&self, span: Option<Range<usize>>) -> String {
        let Some(start) = span.map(|span| span.start) else {
            return format!("{}: ", self.name);
        };
        match start.checked_sub(self.text.len() + 1).and_then(|n| self.variables.get(n)) {
            Some(variable) => format!("environment variable {variable}: "),
            None => format!("{}:{}: ", self.name, line(self.text, start)),
        }
    }

    /// The span of a key, or of the nearest thing above it that is written down.
    fn find(&self, key: &str) -> Option<Range<usize>> {
        let mut rest = key;
        let mut table = Some(self.table.get_ref());
        let mut array = None;
        let mut found = None;
        while !rest.is_empty() {
            let (part, below) = first(rest);
            let next = match (table, array) {
                // A name of librdkafka's has dots of its own.
                (Some(table), _) => match member(table, rest) {
                    Some(whole) => Some((whole, "")),
                    None => member(table, part).map(|member| (member, below)),
                },
                (_, Some(array)) => item(array, part).map(|item| (item, below)),
                _ => None,
            };
            let Some(((span, value), below)) = next else { break };
            found = Some(span);
            rest = below;
            (table, array) = match value.get_ref() {
                DeValue::Table(below) => (Some(below), None),
                DeValue::Array(below) => (None, Some(below)),
                _ => (None, None),
            };
        }
        found
    }
}

fn member<'a, 't>(
    table: &'a DeTable<'t>,
    name: &str,
) -> Option<(Range<usize>, &'a Spanned<DeValue<'t>>)> {
    let (key, value) = table.iter().find(|(key, _)| key.get_ref().as_ref() == name)?;
    Some((key.span(), value))
}

fn item<'a, 't>(
    array: &'a DeArray<'t>,
    number: &str,
) -> Option<(Range<usize>, &'a Spanned<DeValue<'t>>)> {
    let value = array.get(number.parse::<usize>().ok()?)?;
    Some((value.span(), value))
}

/// The first part of a key, and what is below it: `aws.accounts[0].id` is `aws`, `accounts`, `0`, `id`.
fn first(key: &str) -> (&str, &str) {
    let (part, below) = key.split_once(['.', '[']).unwrap_or((key, ""));
    (part.trim_end_matches(']'), below)
}

fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
