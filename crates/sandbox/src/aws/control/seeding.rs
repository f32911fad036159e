//! Making many users with keys at once, over HTTP.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{Controls, Refusal, refusal};
use crate::aws::seed::{SeedError, Seeder};

/// Users to make in one account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedRequest {
    /// The account.
    pub account: String,
    /// The users.
    pub users: Vec<UserSeed>,
}

/// A user to make.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSeed {
    /// Its name.
    pub name: String,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// How many access keys it gets.
    #[serde(default)]
    pub access_keys: usize,
    /// ARNs of managed policies to attach.
    #[serde(default)]
    pub policies: Vec<String>,
    /// A secret (in `secret_region`) of this name holds the first key, as JSON with the fields
    /// `access_key_id` and `secret_access_key`; it carries the user's tags.
    #[serde(default)]
    pub secret: Option<String>,
    /// The secret's region.
    #[serde(default = "UserSeed::default_region")]
    pub secret_region: String,
}

impl UserSeed {
    fn default_region() -> String {
        "us-east-1".to_owned()
    }
}

/// What was made, in the order of the request.
#[derive(Clone, Serialize, Deserialize)]
pub struct SeedResponse {
    /// The users.
    pub users: Vec<SeededUser>,
}

/// A user that was made.
#[derive(Clone, Serialize, Deserialize)]
pub struct SeededUser {
    /// Its name.
    pub name: String,
    /// Its unique id.
    pub id: String,
    /// Its access keys: id and secret half.
    pub access_keys: Vec<(String, String)>,
    /// The ARN of its secret.
    pub secret_arn: Option<String>,
}

pub(super) async fn seed(
    State(shared): Controls,
    Json(request): Json<SeedRequest>,
) -> Result<Json<SeedResponse>, Refusal> {
    let refuse = |error: SeedError| refusal(StatusCode::BAD_REQUEST, error.to_string());
    let seeder = Seeder::new(&shared, &request.account).map_err(refuse)?;
    let users = request.users.iter().map(|user| seed_user(&seeder, user));
    let users = users.collect::<Result<Vec<_>, _>>().map_err(refuse)?;
    Ok(Json(SeedResponse { users }))
}

fn seed_user(seeder: &Seeder<'_>, user: &UserSeed) -> Result<SeededUser, SeedError> {
    let tags: Vec<(&str, &str)> =
        user.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let id = seeder.user(&user.name, &tags)?;
    for arn in &user.policies {
        seeder.attach_user_policy(&user.name, arn)?;
    }
    let mut access_keys = Vec::with_capacity(user.access_keys);
    for _ in 0..user.access_keys {
        let key = seeder.access_key(&user.name)?;
        access_keys.push((key.access_key_id, key.secret_access_key));
    }
    let secret_arn = match (&user.secret, access_keys.first()) {
        (Some(name), Some((key_id, secret))) => {
            let value = serde_json::json!({
                "access_key_id": key_id,
                "secret_access_key": secret,
            });
            Some(seeder.secret(&user.secret_region, name, &value.to_string(), &tags)?)
        }
        _ => None,
    };
    Ok(SeededUser { name: user.name.clone(), id, access_keys, secret_arn })
}
