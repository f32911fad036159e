//! Overrides from the environment: `SEVERANCE__KAFKA__BROKERS=host:9092`.
//!
//! A value is read as TOML where it is TOML (`true`, `5`, `["a"]`), and as text otherwise; a secret is
//! text unless it is a quoted TOML string, so that no password is taken for a number. Sections
//! and keys are matched without case, `_` standing for `-` as well; the last part of a name that the
//! file has not is taken in lower case.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::secrets;

const PREFIX: &str = "SEVERANCE__";

/// The overrides of this process's environment, in order of their names.
pub(super) fn from_environment() -> Vec<(String, String)> {
    let mut found: Vec<_> =
        std::env::vars().filter(|(variable, _)| variable.starts_with(PREFIX)).collect();
    found.sort();
    found
}

/// Puts one override into the table; its key and value have `span`.
pub(super) fn apply<'t>(
    table: &mut DeTable<'t>,
    variable: &str,
    value: &'t str,
    span: Range<usize>,
) -> Result<(), String> {
    let path = variable.strip_prefix(PREFIX).unwrap_or(variable);
    let parts: Vec<_> = path.split("__").collect();
    if parts.len() < 2 || parts.iter().any(|part| part.is_empty()) {
        return Err(format!("not of the form {PREFIX}SECTION__KEY"));
    }
    let secret = matches!(parts.as_slice(), [kafka, section, name]
        if same("kafka", kafka) && secrets::is_secret(&section.to_ascii_lowercase(), name));
    let value = if secret { text(value) } else { read(value) };
    put(table, &parts, Spanned::new(span.clone(), respan(&value, &span)), &span)
}

fn read(value: &str) -> DeValue<'_> {
    let read = DeValue::parse(value).map(Spanned::into_inner);
    read.unwrap_or(DeValue::String(Cow::Borrowed(value)))
}

fn text(value: &str) -> DeValue<'_> {
    match read(value) {
        DeValue::String(text) => DeValue::String(text),
        _ => DeValue::String(Cow::Borrowed(value)),
    }
}

fn put<'t>(
    table: &mut DeTable<'t>,
    parts: &[&str],
    value: Spanned<DeValue<'t>>,
    span: &Range<usize>,
) -> Result<(), String> {
    let Some((first, rest)) = parts.split_first() else { return Ok(()) };
    let known = table.keys().find(|key| same(key.get_ref(), first)).cloned();
    if rest.is_empty() {
        let key = known.map_or_else(|| first.to_ascii_lowercase(), |k| k.into_inner().into_owned());
        // The key of the file would keep its own span, so it goes.
        table.remove(key.as_str());
        table.insert(Spanned::new(span.clone(), Cow::Owned(key)), value);
        return Ok(());
    }
    let key =
        known.unwrap_or_else(|| Spanned::new(span.clone(), Cow::Owned(first.to_ascii_lowercase())));
    let entry = table
        .entry(key)
        .or_insert_with(|| Spanned::new(span.clone(), DeValue::Table(DeTable::new())));
    match entry.get_mut() {
        DeValue::Table(below) => put(below, rest, value, span),
        _ => Err(format!("{first} is not a section")),
    }
}

fn same(key: &str, part: &str) -> bool {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    plain(key) == plain(part)
}

/// The value with every span inside it set to `span`.
fn respan<'t>(value: &DeValue<'t>, span: &Range<usize>) -> DeValue<'t> {
    match value {
        DeValue::Array(items) => {
            let mut array = DeArray::new();
            for item in &**items {
                array.push(Spanned::new(span.clone(), respan(item.get_ref(), span)));
            }
            DeValue::Array(array)
        }
        DeValue::Table(table) => {
            let mut copy = DeTable::new();
            for (key, item) in table {
                let key = Spanned::new(span.clone(), key.get_ref().clone());
                copy.insert(key, Spanned::new(span.clone(), respan(item.get_ref(), span)));
            }
            DeValue::Table(copy)
        }
        plain => plain.clone(),
    }
}
