//! The fields of a value that is a JSON object, as they are written: what is not changed stays as it is.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::ports::SecretValue;

/// What a value is that is no JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Not JSON, or something after it.
    NotJson,
    /// JSON, but a list, a text, a number.
    NotAnObject,
}

/// The fields of a value, in order, as they are written.
pub struct Fields<'a>(Vec<(Zeroizing<String>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Reads them.
    ///
    /// # Errors
    /// A [`Shape`] of a value that has none.
    pub fn of(value: &'a SecretValue) -> Result<Self, Shape> {
        let whole: &RawValue = serde_json::from_str(value.reveal()).map_err(|_| Shape::NotJson)?;
        // The library's own words are dropped: they repeat the value.
        serde_json::from_str(whole.get()).map_err(|_| Shape::NotAnObject)
    }

    /// What is written under a name, each time that it is.
    pub fn named(&self, field: &str) -> impl Iterator<Item = &'a RawValue> {
        self.0.iter().filter(move |(name, _)| name.as_str() == field).map(|(_, raw)| *raw)
    }

    /// The value with other texts in some fields; everything else is as it was, in the same order.
    pub fn replaced<'t>(&self, text_of: impl Fn(&str) -> Option<&'t str>) -> SecretValue {
        // Large enough never to move, since a move would leave a copy behind.
        let written = |(name, raw): &(Zeroizing<String>, &RawValue)| {
            let value = text_of(name).map_or(raw.get().len(), |text| 6 * text.len() + 2);
            6 * name.len() + value + 4
        };
        let room = 2 + self.0.iter().map(written).sum::<usize>();
        let mut text = Zeroizing::new(String::with_capacity(room));
        let mut separator = '{';
        for (name, raw) in &self.0 {
            text.push(std::mem::replace(&mut separator, ','));
            push_text(&mut text, name);
            text.push(':');
            match text_of(name) {
                Some(other) => push_text(&mut text, other),
                None => text.push_str(raw.get()),
            }
        }
        if separator == '{' {
            text.push('{');
        }
        text.push('}');
        SecretValue::new(std::mem::take(&mut *text))
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut fields = Vec::new();
        while let Some((name, raw)) = map.next_entry::<String, &RawValue>()? {
            fields.push((Zeroizing::new(name), raw));
        }
        Ok(Fields(fields))
    }
}

/// Writes a JSON text. By hand, since the library's buffer would leave copies behind.
fn push_text(into: &mut String, text: &str) {
    into.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                into.push('\\');
                into.push(character);
            }
            control if control < ' ' => {
                let code = u32::from(control);
                into.push_str("\\u00");
                into.extend(
                    [code >> 4, code & 15].map(|digit| char::from_digit(digit, 16).unwrap_or('0')),
                );
            }
            _ => into.push(character),
        }
    }
    into.push('"');
}
