//! Putting the scenario's secrets into the embedded AWS, with what their values open.

use std::collections::BTreeMap;

use severance_sandbox::aws::{KeyPair, RotationFunction, RotationKind, SecretSeed, SeedError};

use super::attempts::Bench;
use super::credentials::Holder;
use super::receiver::FIELD;
use super::scenario::{Scenario, ZONES};
use super::secrets::{Fate, HeldSecret, Strategy};
use super::seeding::WORK;
use super::stage::{Stage, WEBHOOK};
use crate::entropy;
use crate::error::{Doing, Outcome};
use crate::sandbox::REGIONS;

/// How long a rotation function takes until it hands out the new value.
const FUNCTION_MS: u64 = 2_000;

/// Seeds the secrets, in the scenario's order.
pub(super) async fn seed(
    stage: &Stage,
    bench: &Bench<'_>,
    scenario: &Scenario,
) -> Outcome<Vec<Holder>> {
    let mut holders = Vec::new();
    for secret in &scenario.secrets {
        let doing = format!("the secret {} cannot be seeded", secret.name);
        let (mut holder, key) = one(stage, secret).doing(&doing)?;
        let exposed = matches!(secret.fate, Fate::Compromised | Fate::CompromisedAmid(_));
        if let Some(key) = key.filter(|_| exposed) {
            holder.session = Some(bench.session_token(&key).await?.doing(&doing)?);
        }
        holders.push(holder);
    }
    Ok(holders)
}

fn one(stage: &Stage, secret: &HeldSecret) -> Result<(Holder, Option<KeyPair>), SeedError> {
    let token = entropy::token();
    let (first, key) = match secret.strategy {
        Strategy::Webhook => {
            (serde_json::json!({ "url": "https://crm.example", FIELD: token }), None)
        }
        Strategy::IamAccessKey | Strategy::Managed | Strategy::Unheard => {
            let key = key(stage, secret)?;
            let value = serde_json::json!({
                "access_key_id": key.access_key_id,
                "secret_access_key": key.secret_access_key,
            });
            (value, Some(key))
        }
    };
    let first = first.to_string();
    let function = (secret.strategy == Strategy::Managed).then(|| RotationFunction {
        delay_ms: Some(FUNCTION_MS),
        retires_key: true,
        ..RotationFunction::new(RotationKind::Succeeding)
    });
    let arn = stage.sandbox.aws.seed(secret.account)?.secret_with(SecretSeed {
        region: REGIONS[0].to_owned(),
        name: secret.name.clone(),
        value: Some(first.clone()),
        tags: tags(secret),
        function,
        ..SecretSeed::default()
    })?;
    if secret.strategy == Strategy::Webhook {
        stage.receiver.accept(&arn, &token);
    }
    Ok((Holder { arn, strategy: secret.strategy, first, session: None }, key))
}

/// A user of the secret's own, with a key.
fn key(stage: &Stage, secret: &HeldSecret) -> Result<KeyPair, SeedError> {
    let seeder = stage.sandbox.aws.seed(secret.account)?;
    let user = secret.name.replace('/', "-");
    seeder.user(&user, &[("severance:zone", ZONES[secret.zone])])?;
    seeder.user_policy(&user, "work", WORK)?;
    seeder.access_key(&user)
}

fn tags(secret: &HeldSecret) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    let mut tag =
        |key: &str, value: &str| tags.insert(format!("severance:{key}"), value.to_owned());
    tag("zone", ZONES[secret.zone]);
    tag("owner", &secret.owner());
    tag("strategy", secret.strategy.tag());
    match secret.strategy {
        Strategy::IamAccessKey => tag("holds", "access-key"),
        Strategy::Webhook => tag("webhook", WEBHOOK),
        Strategy::Managed | Strategy::Unheard => None,
    };
    if let Some(contract) = &secret.contract {
        tag("contract", contract);
        tag("shared-with", &format!("{}-evergreen", ZONES[secret.zone]));
    }
    tags
}
