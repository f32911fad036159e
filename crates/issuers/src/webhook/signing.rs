//! Signatures: HMAC-SHA256 over the timestamp, a dot and the body.

use std::fmt;
use std::path::PathBuf;

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

/// Shortest key, in bytes: as long as what it makes.
const SHORTEST: usize = 32;

/// Where a signing key is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// In a file; one trailing line break is not part of it.
    File(PathBuf),
    /// In an environment variable of this name.
    Environment(String),
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the signing key {}", path.display())]
    Unreadable {
        /// The configured file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The variable is not set, or is not text.
    #[error("the signing key's environment variable {0} is not set")]
    NotSet(String),
    /// A key that can be guessed.
    #[error("a signing key needs at least {SHORTEST} bytes")]
    TooShort,
}

/// The key that one owner's endpoint knows too. One key an owner: whoever has it can call every endpoint
/// that believes it. Wiped when it is dropped.
#[derive(Clone)]
pub struct SigningKey(Zeroizing<Vec<u8>>);

impl SigningKey {
    /// Takes the key over without a copy.
    ///
    /// # Errors
    /// Where it has fewer than 32 bytes.
    pub fn new(bytes: Vec<u8>) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(bytes);
        if bytes.len() < SHORTEST { Err(KeyError::TooShort) } else { Ok(Self(bytes)) }
    }

    /// Reads the key from where it is kept. For use at start.
    ///
    /// # Errors
    /// Where it is not there, or too short.
    pub fn load(source: &KeySource) -> Result<Self, KeyError> {
        match source {
            KeySource::File(path) => {
                let unreadable = |source| KeyError::Unreadable { path: path.clone(), source };
                let mut bytes = std::fs::read(path).map_err(unreadable)?;
                if bytes.ends_with(b"\n") {
                    bytes.truncate(bytes.len() - 1);
                }
                if bytes.ends_with(b"\r") {
                    bytes.truncate(bytes.len() - 1);
                }
                Self::new(bytes)
            }
            KeySource::Environment(name) => match std::env::var(name) {
                Ok(text) => Self::new(text.into_bytes()),
                Err(_) => Err(KeyError::NotSet(name.clone())),
            },
        }
    }

    /// `v1=<hex>`, over Unix seconds and the body as it is sent.
    pub(super) fn signature(&self, timestamp: &str, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.0));
        context.update(timestamp.as_bytes());
        context.update(b".");
        context.update(body);
        format!("v1={}", hex::encode(context.sign()))
    }

    /// Whether a signature is of this key, for receivers. In constant time.
    #[must_use]
    pub fn verifies(&self, timestamp: &str, body: &[u8], signature: &str) -> bool {
        let Some(Ok(tag)) = signature.strip_prefix("v1=").map(hex::decode) else { return false };
        let signed = [timestamp.as_bytes(), b".", body].concat();
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), &signed, &tag).is_ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn the_signature_is_what_another_implementation_makes() {
        // printf '%s' '1700000000.{"a":1}' | openssl dgst -sha256 -hmac "$KEY"
        let expected = "v1=f05f2539e3ae1c49aec5f8cfdad75ef6b06480b133973ffbb7ec9e18827af177";
        let key = SigningKey::new(KEY.as_bytes().to_vec()).unwrap();
        assert_eq!(key.signature("1700000000", br#"{"a":1}"#), expected);
        assert!(key.verifies("1700000000", br#"{"a":1}"#, expected));
        for (timestamp, body, signature) in [
            ("1700000001", r#"{"a":1}"#, expected),
            ("1700000000", r#"{"a":2}"#, expected),
            ("1700000000", r#"{"a":1}"#, &expected[3..]),
            ("1700000000", r#"{"a":1}"#, "v1=zz"),
        ] {
            assert!(!key.verifies(timestamp, body.as_bytes(), signature), "{timestamp} {body}");
        }
    }

    #[test]
    fn a_key_comes_from_a_file_without_its_line_break() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        for ending in ["", "\n", "\r\n"] {
            std::fs::write(&path, format!("{KEY}{ending}")).unwrap();
            let key = SigningKey::load(&KeySource::File(path.clone())).unwrap();
            assert_eq!(key.0.as_slice(), KEY.as_bytes());
        }
        std::fs::write(&path, "short").unwrap();
        let short = SigningKey::load(&KeySource::File(path));
        assert!(matches!(short, Err(KeyError::TooShort)));
    }

    #[test]
    fn a_key_that_is_not_there_is_named() {
        let unset = KeySource::Environment("SEVERANCE_TEST_NO_SUCH_KEY".to_owned());
        let error = SigningKey::load(&unset).unwrap_err().to_string();
        assert!(error.contains("SEVERANCE_TEST_NO_SUCH_KEY"), "{error}");
        let missing = SigningKey::load(&KeySource::File("/no/such/key".into()));
        assert!(matches!(missing, Err(KeyError::Unreadable { .. })));
    }

    #[test]
    fn a_key_shows_nothing_of_itself() {
        let key = SigningKey::new(KEY.as_bytes().to_vec()).unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey(…)");
    }
}
