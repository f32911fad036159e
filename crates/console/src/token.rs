//! The token that a write needs.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A bearer token. Never shown, wiped when dropped.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

/// Shorter tokens could be guessed: 32 hexadecimal digits are 128 bits.
const SHORTEST: usize = 32;

impl Token {
    /// Takes a token; `None` where it is too short to be one.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = Zeroizing::new(text.into().trim().to_owned());
        (text.len() >= SHORTEST).then_some(Self(text))
    }

    /// Whether `presented` is this token. Takes the same time wherever they differ, so that a token
    /// cannot be found digit by digit.
    pub fn matches(&self, presented: &str) -> bool {
        self.0.as_bytes().ct_eq(presented.as_bytes()).into()
    }

    /// The token itself, for the one who sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_matches_itself_only_and_is_never_shown() {
        let text = "0123456789abcdef0123456789abcdef";
        let token = Token::new(format!("{text}\n")).unwrap();
        assert!(token.matches(text));
        assert!(!token.matches("0123456789abcdef0123456789abcdee"));
        assert!(!token.matches(&text[1..]));
        assert!(!token.matches(""));
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert!(Token::new("short").is_none());
    }
}
