//! What a task has looked at of a secret.

use severance_lifecycle::policy::Desired;
use severance_lifecycle::rotation::{RotationRecord, RotationTerms};

use crate::ports::{DenyLook, SecretLook};

/// A routine rotation leaves alone what no label hands out; where the secret is exposed or ends, whatever any
/// of its versions holds must die.
pub(crate) fn at_secret(
    desired: Desired,
    terms: &RotationTerms,
    record: &RotationRecord,
) -> SecretLook {
    let deny = if desired == Desired::Reinstated {
        DenyLook::Rest
    } else if terms.leaving.is_empty() {
        DenyLook::Nothing
    } else {
        DenyLook::For(terms.leaving.clone())
    };
    SecretLook {
        old_version: record.old.as_ref().map(|old| old.version.clone()),
        every_version: terms.exposed_at.is_some() || terms.ends,
        deny,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use severance_lifecycle::rotation::OldVersion;
    use severance_lifecycle::secret_view::Held;

    use super::*;

    #[test]
    fn a_routine_rotation_asks_for_no_more_than_it_needs_and_an_exposed_secret_for_all() {
        let routine = RotationTerms::default();
        let at =
            |desired, terms: &RotationTerms| at_secret(desired, terms, &RotationRecord::default());
        assert_eq!(at(Desired::Rotated, &routine), SecretLook::default());
        let exposed =
            RotationTerms { exposed_at: Some(DateTime::UNIX_EPOCH), ..RotationTerms::default() };
        assert!(at(Desired::Rotated, &exposed).every_version);
        let ends = RotationTerms {
            ends: true,
            leaving: ["ann".to_owned()].into(),
            ..RotationTerms::default()
        };
        let ending = at(Desired::Revoked, &ends);
        assert!(ending.every_version);
        assert_eq!(ending.deny, DenyLook::For(["ann".to_owned()].into()));
        assert_eq!(at(Desired::Reinstated, &routine).deny, DenyLook::Rest);
    }

    #[test]
    fn the_version_that_leaves_is_looked_at_whatever_became_of_its_labels() {
        let old = OldVersion { version: "v".into(), held: Held::Opaque };
        let record = RotationRecord { old: Some(old), ..RotationRecord::default() };
        let look = at_secret(Desired::Rotated, &RotationTerms::default(), &record);
        assert_eq!(look.old_version.as_deref(), Some("v"));
    }
}
