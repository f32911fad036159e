//! Filling an account with secrets.

use super::error::AwsError;
use super::rotation::RotationFunction;
use super::secretsmanager::arn_for;
use super::seed::{SeedError, Seeder, tags_of};
use super::state::agenda::Place;
use super::state::secret::SecretValue;
use super::state::{Secret, Tags};

/// A secret to make.
#[derive(Clone, Default)]
pub struct SecretSeed {
    /// Its region.
    pub region: String,
    /// Its name.
    pub name: String,
    /// The text that it holds; without one it has no version.
    pub value: Option<String>,
    /// Its tags.
    pub tags: std::collections::BTreeMap<String, String>,
    /// Its description.
    pub description: Option<String>,
    /// Its KMS key.
    pub kms_key: Option<String>,
    /// The service that manages it: nobody else may then write or delete it.
    pub owning_service: Option<String>,
    /// What its rotation function does.
    pub function: Option<RotationFunction>,
}

/// Shows all but the value.
impl std::fmt::Debug for SecretSeed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("SecretSeed")
            .field("region", &self.region)
            .field("name", &self.name)
            .field("tags", &self.tags)
            .field("owning_service", &self.owning_service)
            .field("function", &self.function)
            .finish_non_exhaustive()
    }
}

impl Seeder<'_> {
    /// A secret with a text value; returns its ARN.
    ///
    /// # Errors
    /// When the name is taken in that region.
    pub fn secret(
        &self,
        region: &str,
        name: &str,
        value: &str,
        tags: &[(&str, &str)],
    ) -> Result<String, SeedError> {
        self.secret_with(SecretSeed {
            region: region.to_owned(),
            name: name.to_owned(),
            value: Some(value.to_owned()),
            tags: tags_of(tags),
            ..SecretSeed::default()
        })
    }

    /// A secret with all that one can have from the start; returns its ARN.
    ///
    /// # Errors
    /// When the name is taken in that region.
    pub fn secret_with(&self, seed: SecretSeed) -> Result<String, SeedError> {
        self.change(|world, at| {
            let place = Place {
                account: self.account.clone(),
                region: seed.region.clone(),
                name: seed.name.clone(),
            };
            if world.secret(&place).is_some() {
                return Err(AwsError::exists("Secret", &seed.name));
            }
            let arn = arn_for(&mut world.rng, &place);
            let mut secret = Secret::new(arn.clone(), (&seed.region, &seed.name), at.now);
            secret.owning_service = seed.owning_service;
            secret.function = seed.function;
            secret.content.tags = Tags::from_iter(seed.tags);
            secret.content.description = seed.description;
            secret.content.kms_key = seed.kms_key;
            if let Some(value) = seed.value {
                let id = super::ids::uuid(&mut world.rng);
                let value = SecretValue::Text(value.into());
                secret.content.store(&id, Some(value), &["AWSCURRENT".to_owned()], at);
            }
            world.account_mut(&self.account)?.secrets.insert(secret);
            Ok(arn)
        })
    }

    /// Says what a secret's rotation function does from now on; `None` leaves it to the ARN of the
    /// function.
    ///
    /// # Errors
    /// When there is no such secret.
    pub fn rotation_function(
        &self,
        region: &str,
        name: &str,
        function: Option<RotationFunction>,
    ) -> Result<(), SeedError> {
        self.change(|world, _| {
            let (account, region) = (self.account.clone(), region.to_owned());
            let place = Place { account, region, name: name.to_owned() };
            let secret = world.secret_mut(&place);
            let missing = || AwsError::no_such_entity(format!("there is no secret {name}"));
            secret.ok_or_else(missing)?.function = function;
            Ok(())
        })
    }
}
