//! What is exposed does not wait without limit for what should follow it.

use chrono::{DateTime, Utc};

use super::Here;
use crate::decide::{Check, Decision, first};
use crate::rotation::RevokeOrder;

impl Here<'_> {
    /// Whether what is exposed dies now, although nothing follows it, or not everywhere: at once where that
    /// is the order, else from its case's deadline on; and where only a replica does not follow, once that
    /// was given its time. Nothing that is not exposed ever does.
    pub(super) fn dies_without_successor(&self) -> bool {
        self.dies_alone_from().is_some_and(|from| self.now >= from)
    }

    fn dies_alone_from(&self) -> Option<DateTime<Utc>> {
        let exposed_at = self.terms().exposed_at?;
        let due = match self.terms().order {
            RevokeOrder::RevokeFirst => Some(exposed_at),
            RevokeOrder::ReplaceThenRevoke => self.terms().replace_by,
        };
        let given = self.handed_out().and(self.rotation().promoted_at);
        let given = given.map(|at| at + self.terms().replica_patience);
        due.into_iter().chain(given).min()
    }

    /// Where nothing can follow and it is time, what is exposed dies all the same. The block stays: the
    /// secret hands out nothing that works.
    pub(super) fn unless_overdue(&self, said: Decision) -> Decision {
        if !matches!(said, Decision::Blocked(_)) || !self.dies_without_successor() {
            return said;
        }
        let checks: [&dyn Fn() -> Check; 5] = [
            &|| Some(said.clone()),
            &|| self.old_credential_dies(),
            &|| self.other_burnt_keys_die(),
            &|| self.other_burnt_values_die(),
            &|| self.labels_are_off_unreplaced(),
        ];
        first(self.record(), self.now, &checks).unwrap_or(said)
    }

    /// Where what is current cannot be read, the label before it is all by which a person finds what was.
    fn labels_are_off_unreplaced(&self) -> Check {
        if self.current_is_unknown().is_some() { None } else { self.burnt_labels_are_off() }
    }
}
