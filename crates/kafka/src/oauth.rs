//! Tokens for SASL OAUTHBEARER: from a file, or unsecured ones for tests.

use std::error::Error;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use rdkafka::client::OAuthToken;
use serde_json::{Value, json};

use crate::config::KafkaConfig;

/// Where tokens come from.
#[derive(Clone, Debug)]
pub(crate) enum TokenSource {
    /// A file that holds a JWT, read each time.
    File(PathBuf),
    /// Made here, signed by nobody (`enable.sasl.oauthbearer.unsecure.jwt`): for tests.
    Unsecured,
    /// Nowhere: asking for one is an error that says what to set.
    None,
}

impl TokenSource {
    pub(crate) fn of(config: &KafkaConfig) -> Self {
        let unsecured = config.properties.0.get("enable.sasl.oauthbearer.unsecure.jwt");
        match &config.security.token_file {
            Some(file) => Self::File(file.clone()),
            None if unsecured.is_some_and(|flag| flag == "true") => Self::Unsecured,
            None => Self::None,
        }
    }
}

/// A token. `config` is `sasl.oauthbearer.config`.
pub(crate) fn token(
    source: &TokenSource,
    config: Option<&str>,
    now: DateTime<Utc>,
) -> Result<OAuthToken, Box<dyn Error>> {
    match source {
        TokenSource::File(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|e| format!("cannot read the token file {}: {e}", file.display()))?;
            from_jwt(text.trim())
        }
        TokenSource::Unsecured => Ok(unsecured(config.unwrap_or_default(), now)),
        TokenSource::None => Err("OAUTHBEARER needs kafka.security.token_file".into()),
    }
}

/// Principal and expiry are read from the token's own claims; the broker is who checks it.
fn from_jwt(token: &str) -> Result<OAuthToken, Box<dyn Error>> {
    let middle = token.split('.').nth(1).ok_or("the token is not a JWT")?;
    let bytes = URL_SAFE_NO_PAD
        .decode(middle.trim_end_matches('='))
        .map_err(|_| "the token's claims are not base64url")?;
    let claims: Value =
        serde_json::from_slice(&bytes).map_err(|_| "the token's claims are not JSON")?;
    let principal_name = claims["sub"].as_str().ok_or("the token has no sub claim")?.to_owned();
    let expires = claims["exp"].as_i64().ok_or("the token has no exp claim")?;
    let lifetime_ms = expires.checked_mul(1000).ok_or("the token's exp claim is too large")?;
    Ok(OAuthToken { token: token.to_owned(), principal_name, lifetime_ms })
}

/// `principal=NAME` and `lifeSeconds=N`, as librdkafka's own unsecured tokens have them.
fn unsecured(config: &str, now: DateTime<Utc>) -> OAuthToken {
    let setting = |name: &str| {
        config.split_whitespace().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    };
    let principal = setting("principal").unwrap_or("severance");
    let life: i64 = setting("lifeSeconds").and_then(|text| text.parse().ok()).unwrap_or(3600);
    let issued = now.timestamp();
    let expires = issued.saturating_add(life);
    let claims = json!({"sub": principal, "iat": issued, "exp": expires}).to_string();
    let token = format!(
        "{}.{}.",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let lifetime_ms = expires.saturating_mul(1000);
    OAuthToken { token, principal_name: principal.to_owned(), lifetime_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsecured_token_is_read_back_as_a_jwt() {
        let now = DateTime::from_timestamp(1_000, 0).unwrap();
        let made = unsecured("principal=admin lifeSeconds=60", now);
        let read = from_jwt(&made.token).unwrap();
        assert_eq!(read.principal_name, "admin");
        assert_eq!(read.lifetime_ms, 1_060_000);
    }

    #[test]
    fn what_is_not_a_jwt_is_refused_without_repeating_it() {
        for text in ["", "hunter2", "hunter2.!!!.x", "a.e30.b"] {
            let refused = from_jwt(text).err().unwrap().to_string();
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }
}
