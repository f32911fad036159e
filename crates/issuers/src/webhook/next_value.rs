//! The value after this one, where only its owner knows what it opens: one text in it is new.

use severance_engine::fields::Fields;
use severance_engine::ports::SecretValue;

/// Why no value can follow. Names the field, never what it holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NextValueError {
    /// A list, or an object that is torn: neither has a field, and a text in its place is not what its
    /// readers expect.
    #[error("value: neither a JSON object nor a plain text")]
    Neither,
    /// The field that is to change is not there.
    #[error("{0}: missing")]
    Missing(String),
    /// It is there twice, and readers differ in which one holds.
    #[error("{0}: given twice")]
    Twice(String),
    /// It has another type than text.
    #[error("{0}: not a string")]
    NotAString(String),
}

/// The value to store as `AWSPENDING`: of a JSON object the same with another text in `field`; a plain text
/// is replaced as a whole.
///
/// # Errors
/// Where it is neither, or the field is not a text of the object.
pub fn next_value(
    current: &SecretValue,
    field: &str,
    secret: &SecretValue,
) -> Result<SecretValue, NextValueError> {
    let Ok(fields) = Fields::of(current) else {
        let structured = current.reveal().trim_start().starts_with(['{', '[']);
        return if structured { Err(NextValueError::Neither) } else { Ok(secret.clone()) };
    };
    let mut found = fields.named(field);
    let raw = found.next().ok_or_else(|| NextValueError::Missing(field.to_owned()))?;
    if found.next().is_some() {
        return Err(NextValueError::Twice(field.to_owned()));
    }
    if !raw.get().starts_with('"') {
        return Err(NextValueError::NotAString(field.to_owned()));
    }
    Ok(fields.replaced(|name| (name == field).then(|| secret.reveal())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(current: &str) -> Result<String, String> {
        let value = |text: &str| SecretValue::new(text.to_owned());
        let next = next_value(&value(current), "token", &value("n\"ew"));
        next.map(|next| next.reveal().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn one_field_of_an_object_changes_and_a_plain_text_as_a_whole() {
        let made = next(r#"{ "url" : "https://a", "token":"old", "n":[1] }"#);
        assert_eq!(made.unwrap(), r#"{"url":"https://a","token":"n\"ew","n":[1]}"#);
        for text in ["old", "", "\"old\"", "7", "a {b"] {
            assert_eq!(next(text).unwrap(), "n\"ew", "{text}");
        }
    }

    #[test]
    fn what_has_no_such_field_is_refused_and_the_field_named() {
        for (text, why) in [
            ("{}", "token: missing"),
            ("[1]", "value: neither a JSON object nor a plain text"),
            (r#"{"token":"#, "value: neither a JSON object nor a plain text"),
            (r#"{"token":7}"#, "token: not a string"),
            (r#"{"token":"a","token":"b"}"#, "token: given twice"),
        ] {
            assert_eq!(next(text).unwrap_err(), why, "{text}");
        }
    }
}
