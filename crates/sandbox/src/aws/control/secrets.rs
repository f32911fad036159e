//! Secrets and their rotation functions, over HTTP.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Controls, Refusal, refusal};
use crate::aws::rotation::RotationFunction;
use crate::aws::seed::{SeedError, Seeder};
use crate::aws::seed_secrets::SecretSeed;

/// A secret to make. (AWS's own `CreateSecret` does for those without an owning service.)
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRequest {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// The name.
    pub name: String,
    /// The text that it holds; without one it has no version.
    #[serde(default)]
    pub value: Option<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Its description.
    #[serde(default)]
    pub description: Option<String>,
    /// Its KMS key.
    #[serde(default)]
    pub kms_key: Option<String>,
    /// The service that manages it: nobody else may then write or delete it.
    #[serde(default)]
    pub owning_service: Option<String>,
    /// What its rotation function does.
    #[serde(default)]
    pub function: Option<RotationFunction>,
}

/// What a secret's rotation function does from now on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotationRequest {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// The secret's name.
    pub name: String,
    /// What it does; absent, the ARN of the function says.
    #[serde(default)]
    pub function: Option<RotationFunction>,
}

pub(super) async fn make(
    State(shared): Controls,
    Json(request): Json<SecretRequest>,
) -> Result<Json<Value>, Refusal> {
    let SecretRequest { account, region, name, value, tags, description, kms_key, .. } = request;
    let (owning_service, function) = (request.owning_service, request.function);
    let seed =
        SecretSeed { region, name, value, tags, description, kms_key, owning_service, function };
    let seeder = Seeder::new(&shared, &account).map_err(|error| refuse(&error))?;
    let arn = seeder.secret_with(seed).map_err(|error| refuse(&error))?;
    Ok(Json(json!({ "arn": arn })))
}

pub(super) async fn set_rotation(
    State(shared): Controls,
    Json(request): Json<RotationRequest>,
) -> Result<StatusCode, Refusal> {
    let seeder = Seeder::new(&shared, &request.account).map_err(|error| refuse(&error))?;
    seeder
        .rotation_function(&request.region, &request.name, request.function)
        .map_err(|error| refuse(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

fn refuse(error: &SeedError) -> Refusal {
    refusal(StatusCode::BAD_REQUEST, error.to_string())
}
