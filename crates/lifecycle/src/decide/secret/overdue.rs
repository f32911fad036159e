//! A replacement that a person must see to: what is exposed does not wait for it without limit.

use super::Here;
use crate::decide::{Check, Decision, first};
use crate::observe::Presence;

impl Here<'_> {
    /// Where nothing can follow and it is time, what is exposed dies all the same. The block stays: the
    /// secret hands out nothing that works.
    pub(super) fn unless_overdue(&self, said: Decision) -> Decision {
        if !matches!(said, Decision::Blocked(_)) || !self.is_overdue() {
            return said;
        }
        let checks: [&dyn Fn() -> Check; 5] = [
            &|| Some(said.clone()),
            &|| self.old_credential_dies(),
            &|| self.other_burnt_keys_die(),
            &|| self.other_burnt_values_die(),
            &|| self.burnt_labels_are_off(),
        ];
        first(self.record(), self.now, &checks).unwrap_or(said)
    }

    fn is_overdue(&self) -> bool {
        let due = self.terms().replace_by.is_some_and(|by| self.now >= by);
        self.is_exposed() && due && self.view.secret == Presence::Same
    }
}
