//! IAM, Query API of 2010-05-08.

mod access_keys;
mod attached_policies;
mod boundaries;
mod certificates;
mod details;
mod groups;
mod inline_policies;
mod instance_profiles;
mod login_profiles;
mod managed_policies;
mod mfa;
mod overview;
mod policy_versions;
mod roles;
mod service_credentials;
mod simulate;
mod ssh_keys;
mod tags;
pub(crate) mod trust;
mod users;

use std::collections::HashMap;
use std::sync::LazyLock;

use super::call::Operation;
use super::error::AwsError;

static OPERATIONS: LazyLock<HashMap<&'static str, &'static Operation>> = LazyLock::new(|| {
    [
        access_keys::OPERATIONS,
        attached_policies::OPERATIONS,
        boundaries::OPERATIONS,
        certificates::OPERATIONS,
        details::OPERATIONS,
        groups::OPERATIONS,
        inline_policies::OPERATIONS,
        instance_profiles::OPERATIONS,
        login_profiles::OPERATIONS,
        managed_policies::OPERATIONS,
        mfa::OPERATIONS,
        overview::OPERATIONS,
        policy_versions::OPERATIONS,
        roles::OPERATIONS,
        service_credentials::OPERATIONS,
        simulate::OPERATIONS,
        ssh_keys::OPERATIONS,
        tags::OPERATIONS,
        users::OPERATIONS,
    ]
    .into_iter()
    .flatten()
    .map(|operation| (operation.name, operation))
    .collect()
});

pub(crate) fn operation(name: &str) -> Option<&'static Operation> {
    OPERATIONS.get(name).copied()
}

/// Refuses names that IAM would.
pub(crate) fn check_name(parameter: &str, name: &str, longest: usize) -> Result<(), AwsError> {
    let allowed = |it: char| it.is_ascii_alphanumeric() || "+=,.@_-".contains(it);
    if name.is_empty() || name.len() > longest || !name.chars().all(allowed) {
        return Err(AwsError::validation(format!(
            "The specified value for {parameter} is invalid. It must contain only alphanumeric \
             characters and/or the following: +=,.@_- and be at most {longest} long"
        )));
    }
    Ok(())
}

/// The `Path` parameter, checked; `/` when absent.
pub(crate) fn check_path(path: Option<&str>) -> Result<String, AwsError> {
    let path = path.unwrap_or("/");
    let framed = path.starts_with('/') && path.ends_with('/');
    if !framed || path.len() > 512 || path.contains("//") {
        return Err(AwsError::validation(
            "The specified value for path is invalid. It must begin and end with / and contain \
             only alphanumeric characters and/or / characters.",
        ));
    }
    Ok(path.to_owned())
}

/// The document as IAM returns it: percent-encoded (RFC 3986).
pub(crate) fn encoded(document: &str) -> String {
    const UNRESERVED: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(document, &UNRESERVED).to_string()
}

/// An SSH public key's fingerprint: a digest of its body, in IAM's form.
pub(crate) fn ssh_fingerprint(body: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(body.as_bytes());
    let pairs: Vec<String> = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

/// The id of a signing certificate: 32 letters and digits.
pub(crate) fn certificate_id(rng: &mut rand::rngs::StdRng) -> String {
    super::ids::suffix(rng, 32).to_ascii_uppercase()
}
