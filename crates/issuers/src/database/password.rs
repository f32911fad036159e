//! New passwords.

use severance_engine::ports::SecretValue;
use zeroize::Zeroizing;

use crate::random::{RandomBytes, RandomnessUnavailable};

/// Characters of a password: 190 bits of randomness.
const LENGTH: usize = 32;

/// Letters and digits, which need no quoting in a URL, a shell, SQL or JSON.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Bytes from here on would favour the alphabet's first letters.
const FAIR: u8 = 248; // 4 * 62

/// Draws before the source is taken for broken; a good one needs a second draw once in 10^13.
const DRAWS: usize = 8;

/// A new password of 32 letters and digits, each as likely as every other.
///
/// # Errors
/// Where there is no randomness, or what is called so is not.
pub fn new_password(random: &dyn RandomBytes) -> Result<SecretValue, RandomnessUnavailable> {
    let mut password = Zeroizing::new(String::with_capacity(LENGTH));
    let mut bytes = Zeroizing::new([0_u8; 2 * LENGTH]);
    for _ in 0..DRAWS {
        random.fill(&mut *bytes)?;
        for byte in bytes.iter().filter(|byte| **byte < FAIR) {
            password.push(char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
            if password.len() == LENGTH {
                return Ok(SecretValue::new(std::mem::take(&mut *password)));
            }
        }
    }
    Err(RandomnessUnavailable)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_password_is_32_letters_and_digits() {
        let random =
            |bytes: &mut [u8]| aws_lc_rs::rand::fill(bytes).map_err(|_| RandomnessUnavailable);
        let (one, two) = (new_password(&random).unwrap(), new_password(&random).unwrap());
        assert_eq!(one.reveal().len(), 32);
        assert!(one.reveal().chars().all(|c| c.is_ascii_alphanumeric()));
        assert!(!one.same_as(&two));
    }

    #[test]
    fn every_character_is_equally_likely() {
        let mut counts = BTreeMap::new();
        for byte in 0..=u8::MAX {
            let only_this = |bytes: &mut [u8]| {
                bytes.fill(byte);
                Ok(())
            };
            let Ok(password) = new_password(&only_this) else { continue };
            *counts.entry(password.reveal().chars().next()).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 62);
        assert!(counts.values().all(|count| *count == 4), "{counts:?}");
    }

    #[test]
    fn a_source_that_fails_or_is_stuck_gives_no_password() {
        let failing = |_: &mut [u8]| Err(RandomnessUnavailable);
        assert!(new_password(&failing).is_err());
        let stuck = |bytes: &mut [u8]| {
            bytes.fill(255);
            Ok(())
        };
        assert!(new_password(&stuck).is_err());
    }
}
