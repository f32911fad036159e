//! Identifiers of AWS's shapes.

use rand::Rng;
use rand::rngs::StdRng;

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SECRET_ALPHABET: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A unique id: a four-letter prefix (`AIDA`, `AROA`, `ANPA`, …) and 17 characters.
pub(crate) fn unique_id(rng: &mut StdRng, prefix: &str) -> String {
    format!("{prefix}{}", draw(rng, BASE32, 17))
}

/// An access key id: `AKIA` or `ASIA` and 16 characters.
///
/// As in AWS's own ids, the account can be read from it (see [`account_of_key`]); nothing else can.
pub(crate) fn access_key_id(rng: &mut StdRng, prefix: &str, account: &str) -> String {
    let account: u64 = account.parse().unwrap_or_default();
    let head: u64 = (1 << 47) | (account << 7) | u64::from(rng.random_range(0..128u8));
    let tail: u64 = u64::from(rng.random::<u32>());
    let bits = (u128::from(head) << 32) | u128::from(tail);
    let mut id = String::with_capacity(20);
    id.push_str(prefix);
    for place in (0..16).rev() {
        let digit = (bits >> (place * 5)) & 31;
        id.push(char::from(BASE32[usize::try_from(digit).unwrap_or(0)]));
    }
    id
}

/// The account that an access key id was made in, or `None` when the id is not of that shape.
pub(crate) fn account_of_key(key_id: &str) -> Option<String> {
    let body = key_id.strip_prefix("AKIA").or_else(|| key_id.strip_prefix("ASIA"))?;
    if body.len() != 16 {
        return None;
    }
    let mut bits: u128 = 0;
    for byte in body.bytes() {
        let digit = BASE32.iter().position(|letter| *letter == byte)?;
        bits = (bits << 5) | u128::try_from(digit).ok()?;
    }
    let head = bits >> 32;
    let account = (head >> 7) & ((1 << 40) - 1);
    Some(format!("{account:012}"))
}

/// The secret half of an access key: 40 characters.
pub(crate) fn secret_access_key(rng: &mut StdRng) -> String {
    draw(rng, SECRET_ALPHABET, 40)
}

/// An opaque session token.
pub(crate) fn session_token(rng: &mut StdRng) -> String {
    format!("IQoJb3JpZ2luX2VjE{}", draw(rng, SECRET_ALPHABET, 190))
}

/// `length` letters and digits, as at the end of a secret's ARN.
pub(crate) fn suffix(rng: &mut StdRng, length: usize) -> String {
    draw(rng, &SECRET_ALPHABET[..62], length)
}

/// A UUID-shaped request or version id.
pub(crate) fn uuid(rng: &mut StdRng) -> String {
    let mut bytes = [0u8; 16];
    rng.fill(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = hex::encode(bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn draw(rng: &mut StdRng, alphabet: &[u8], length: usize) -> String {
    (0..length).map(|_| char::from(alphabet[rng.random_range(0..alphabet.len())])).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn the_account_is_read_back_from_a_key_id() {
        let mut rng = StdRng::seed_from_u64(1);
        for account in ["000000000001", "123456789012", "999999999999"] {
            let id = access_key_id(&mut rng, "AKIA", account);
            assert_eq!(id.len(), 20);
            assert_eq!(account_of_key(&id).as_deref(), Some(account));
        }
        assert_eq!(account_of_key("AKIASHORT"), None);
    }
}
