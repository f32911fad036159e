//! Secrets in Secrets Manager: looked at, and acted on. No value leaves these modules but to the store
//! and to a try.

mod act;
mod observe;
mod policy;
mod replicas;
mod store;
mod unlisted;
mod user_keys;
mod value;

use severance_lifecycle::failure::Failure;
use severance_lifecycle::secret::SecretRef;

use crate::calls::Calls;
use crate::failure::cannot;

pub(crate) use act::act;
pub(crate) use observe::look;

/// Secrets Manager in the secret's region, and the number of that region.
fn client<'a>(
    calls: &Calls<'a>,
    secret: &SecretRef,
) -> Result<(&'a aws_sdk_secretsmanager::Client, usize), Failure> {
    let regions = &calls.account.regions;
    let Some(region) = regions.iter().position(|region| *region == secret.region) else {
        let message = format!("region {} of account {} is not", secret.region, secret.account);
        return Err(cannot("secretsmanager", "RegionNotConfigured", &message));
    };
    Ok((calls.account.secretsmanager(region), region))
}
