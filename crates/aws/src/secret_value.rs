//! The secret half of an access key: the reading of one out of a secret's JSON without keeping anything else
//! of it.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::config::FieldPair;

pub(crate) use severance_engine::ports::SecretValue as Secret;

/// An access key as a secret holds it.
#[derive(Debug)]
pub(crate) struct HeldKey {
    /// `AKIA…`
    pub(crate) id: String,
    /// Its secret half.
    pub(crate) secret: Secret,
}

/// Reads the access key out of a secret's JSON object; `None` where none of the pairs is there.
/// Other fields are skipped without being kept.
pub(crate) fn held_key(json: &Secret, pairs: &[FieldPair]) -> Option<HeldKey> {
    let mut from = serde_json::Deserializer::from_str(json.reveal());
    let mut found = Wanted { pairs }.deserialize(&mut from).ok()?;
    from.end().ok()?;
    let place = found.iter().position(|(id, secret)| id.is_some() && secret.is_some())?;
    let (id, secret) = found.swap_remove(place);
    Some(HeldKey { id: id?, secret: secret? })
}

/// The name of the login in a secret's JSON, as in `app@db.example:5432`: no secret, and the same for two
/// secrets that share the login. Of two users in turns it is the first one's. `None` where there is none.
pub(crate) fn login_name(json: &Secret, alternating: bool) -> Option<String> {
    let Login { username, host, port } = serde_json::from_str(json.reveal()).ok()?;
    let user = if alternating { username.trim_end_matches("_clone") } else { &username };
    let port = match port {
        Some(Port::Number(port)) => format!(":{port}"),
        Some(Port::Text(port)) => format!(":{port}"),
        None => String::new(),
    };
    Some(format!("{user}@{}{port}", host.unwrap_or_default().to_ascii_lowercase()))
}

/// Nothing else of the value is kept.
#[derive(Deserialize)]
struct Login {
    username: String,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    port: Option<Port>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Port {
    Number(u16),
    Text(String),
}

/// Fields found, one entry a pair.
type Found = Vec<(Option<String>, Option<Secret>)>;

struct Wanted<'a> {
    pairs: &'a [FieldPair],
}

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Found, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Found, M::Error> {
        let mut found: Found = self.pairs.iter().map(|_| (None, None)).collect();
        while let Some(field) = map.next_key::<String>()? {
            let id_of = self.pairs.iter().position(|pair| pair.id == field);
            let secret_of = self.pairs.iter().position(|pair| pair.secret == field);
            match (id_of, secret_of) {
                (Some(place), _) => found[place].0 = map.next_value()?,
                (_, Some(place)) => {
                    found[place].1 = map.next_value::<Option<String>>()?.map(Secret::new);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretFinding;

    fn read(json: &str) -> Option<HeldKey> {
        held_key(&Secret::new(json.to_owned()), &SecretFinding::default().fields)
    }

    #[test]
    fn each_declared_spelling_is_found_among_other_fields() {
        for pair in SecretFinding::default().fields {
            let json = format!(
                r#"{{"host":"h","{}":"AKIAEXAMPLE","n":{{"a":[1]}},"{}":"s3cr3t"}}"#,
                pair.id, pair.secret
            );
            let held = read(&json).unwrap();
            assert_eq!((held.id.as_str(), held.secret.reveal()), ("AKIAEXAMPLE", "s3cr3t"));
        }
    }

    #[test]
    fn halves_of_different_pairs_are_not_put_together() {
        assert!(read(r#"{"access_key_id":"AKIA","AWS_SECRET_ACCESS_KEY":"x"}"#).is_none());
    }

    #[test]
    fn what_is_no_json_object_holds_no_key() {
        for text in ["", "AKIA:secret", "[1]", r#"{"access_key_id":1}"#, r#"{"a":1} x"#] {
            assert!(read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_login_is_named_by_its_user_and_place_whatever_its_password() {
        let name = |json: &str, turns| login_name(&Secret::new(json.to_owned()), turns);
        let json = r#"{"engine":"postgres","host":"DB.example","port":5432,"username":"app_clone","password":"p"}"#;
        assert_eq!(name(json, true).as_deref(), Some("app@db.example:5432"));
        assert_eq!(name(json, false).as_deref(), Some("app_clone@db.example:5432"));
        let text = r#"{"host":"h","port":"5432","username":"app","password":"other"}"#;
        assert_eq!(name(text, false).as_deref(), Some("app@h:5432"));
        for none in ["", "[]", r#"{"password":"p"}"#, r#"{"username":1}"#] {
            assert_eq!(name(none, false), None, "{none}");
        }
    }

    #[test]
    fn a_secret_shows_nothing_of_itself() {
        let held = read(r#"{"access_key_id":"AKIAEXAMPLE","secret_access_key":"s3cr3t"}"#).unwrap();
        assert!(!format!("{held:?}").contains("s3cr3t"));
    }
}
