//! Values that are secrets: taken as the text that was written, whatever it looks like, so that
//! `12345678` or `1e5` is a password too, and so that no message about a wrong type shows it.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What the names of secrets contain.
const MARKS: [&str; 6] = ["password", "secret", "token", "pem", "jaas", "oauthbearer.config"];

/// Whether a key below `[kafka.security]` or `[kafka.properties]` may hold a secret. Wide on purpose:
/// what is taken as text without need costs nothing there.
pub(super) fn is_secret(section: &str, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(section, "security" | "properties") && MARKS.iter().any(|mark| name.contains(mark))
}

/// Takes the numbers, flags and dates of secret keys as the text of the file.
pub(super) fn as_written<'t>(document: &mut DeTable<'t>, text: &'t str) {
    let Some(kafka) = document.get_mut("kafka").map(Spanned::get_mut) else { return };
    let DeValue::Table(kafka) = kafka else { return };
    for section in ["security", "properties"] {
        let Some(DeValue::Table(table)) = kafka.get_mut(section).map(Spanned::get_mut) else {
            continue;
        };
        for (name, value) in table.iter_mut() {
            if is_secret(section, name.get_ref())
                && !matches!(
                    value.get_ref(),
                    DeValue::String(_) | DeValue::Table(_) | DeValue::Array(_)
                )
                && let Some(written) = text.get(value.span())
            {
                *value.get_mut() = DeValue::String(Cow::Borrowed(written));
            }
        }
    }
}
