//! Values that must never be printed.

use std::fmt;

use serde::Deserialize;

/// A secret of the configuration: it is handed to the client library and nowhere else.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

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
