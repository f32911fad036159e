//! What a task has looked at of a secret.

use severance_lifecycle::policy::Desired;
use severance_lifecycle::rotation::RotationTerms;
use severance_lifecycle::task::Task;

use crate::ports::{DenyLook, SecretLook};

/// A routine rotation leaves alone what no label hands out; where the secret is exposed or ends, whatever any
/// of its versions holds must die.
pub(crate) fn at_secret(task: &Task, terms: &RotationTerms) -> SecretLook {
    let deny = if task.desired == Desired::Reinstated {
        DenyLook::Rest
    } else if terms.leaving.is_empty() {
        DenyLook::Nothing
    } else {
        DenyLook::For(terms.leaving.clone())
    };
    SecretLook {
        old_version: task.record.rotation.old.as_ref().map(|old| old.version.clone()),
        every_version: terms.exposed_at.is_some() || terms.ends,
        deny,
    }
}
