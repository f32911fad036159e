//! The machine's randomness: the other place where the command takes something from outside.

use rand::rngs::OsRng;
use rand::{RngCore, TryRngCore};
use severance_engine::ports::Entropy;
use uuid::Builder;

/// Randomness from the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OsEntropy;

impl Entropy for OsEntropy {
    fn next_u64(&self) -> u64 {
        OsRng.unwrap_err().next_u64()
    }
}

/// A token that nobody can guess: 256 bits, as hexadecimal digits.
pub(crate) fn token() -> String {
    let mut bytes = [0_u8; 32];
    OsRng.unwrap_err().fill_bytes(&mut bytes);
    let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_be_bytes(*word));
    words.fold(String::new(), |text, word| format!("{text}{word:016x}"))
}

/// A fresh id for an event.
pub(crate) fn event_id() -> String {
    let mut bytes = [0_u8; 16];
    OsRng.unwrap_err().fill_bytes(&mut bytes);
    Builder::from_random_bytes(bytes).into_uuid().to_string()
}
