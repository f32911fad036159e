//! Values that must never be printed.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A secret of the configuration: it is handed to the client library and nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A text, or a whole number taken as one. What is refused is not shown.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Hidden)
    }
}

struct Hidden;

impl Visitor<'_> for Hidden {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret as text, in quotes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret::new(text))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Secret, E> {
        Ok(Secret::new(number.to_string()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Secret, E> {
        Ok(Secret::new(number.to_string()))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        // It may have been written in several ways.
        Err(E::invalid_type(Unexpected::Other("a decimal number"), &self))
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Secret, E> {
        Ok(Secret::new(flag.to_string()))
    }
}

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the client library.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(redacted)")
    }
}

/// Whether a librdkafka property may hold a secret, by its name. Wide on purpose: what is hidden without
/// need costs nothing.
pub(crate) fn is_secret_property(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "secret", "token", "oauthbearer.config", "key.pem", "jaas", "assertion"]
        .iter()
        .any(|mark| name.contains(mark))
}
