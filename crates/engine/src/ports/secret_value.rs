//! A secret's value: a text that shows itself nowhere.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The value of one version of a secret. Wiped when it is dropped. It has no `Display`, no
/// `Serialize` and no digest: a digest of a value that is easy to guess gives the value away.
///
/// Cloning makes a second copy, which is wiped in its turn.
#[derive(Clone)]
pub struct SecretValue(Zeroizing<String>);

impl SecretValue {
    /// Takes the text over without a copy.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for the one call that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether both are the same text. For two of the same length the time that this takes says
    /// nothing of where they differ.
    pub fn same_as(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_the_text_nor_its_length() {
        let short = SecretValue::new("s3cr3t".to_owned());
        let long = SecretValue::new("another s3cr3t, a longer one".to_owned());
        assert_eq!(format!("{short:?}"), "SecretValue(…)");
        assert_eq!(format!("{short:#?}"), format!("{long:#?}"));
    }

    #[test]
    fn values_are_the_same_when_their_texts_are() {
        let value = |text: &str| SecretValue::new(text.to_owned());
        assert!(value("abc").same_as(&value("abc").clone()));
        for other in ["abd", "ab", "abcd", "", "ABC"] {
            assert!(!value("abc").same_as(&value(other)), "{other}");
        }
    }

    #[test]
    fn the_text_comes_back_as_it_was() {
        assert_eq!(SecretValue::new(" ü\n".to_owned()).reveal(), " ü\n");
    }
}
