//! Plans that are too large to be held at once: users in portions, and then the rest.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::draft::Draft;
use super::planner::{Planned, Planner, SelectorMatch};
use super::ties::Ties;
use crate::case::Case;
use crate::credential::Target;
use crate::event::{Selector, Trigger};
use crate::task::TaskState;

/// What earlier portions of a plan leave for the rest of it to know. Who leaves with a contract is not in it:
/// that is much, and of use only where there is a role or a secret; see [`Ties::leaving`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Portions {
    /// Selectors of which something was planned.
    pub(super) selectors: Vec<Selector>,
    /// Locks of users that are revoked as a whole.
    pub(super) whole: BTreeSet<String>,
}

impl Portions {
    /// What this selector names was planned earlier, whatever it matches now.
    pub fn planned(&mut self, selector: Selector) {
        if !self.selectors.contains(&selector) {
            self.selectors.push(selector);
        }
    }
}

impl Planner<'_> {
    /// Plans a portion of the users that a selector matched. The case's plan is what all its portions and
    /// [`plan_rest`](Self::plan_rest) come to: together they are what [`plan`](Self::plan) says of all at
    /// once. Not for rotations, and for users alone: what roles, secrets and single keys are to become is
    /// known only with everything else.
    pub fn plan_portion(
        &self,
        case: &Case,
        portion: SelectorMatch,
        portions: &mut Portions,
        now: DateTime<Utc>,
    ) -> Planned {
        debug_assert!(case.trigger != Trigger::Rotation, "users are not rotated");
        let ties = Ties::default();
        let nothing = Portions::default();
        let mut draft = Draft::new(case, &ties, &nothing, now);
        for (user, _) in &portion.identities {
            if let Some(mismatch) = self.belongs_elsewhere(case, user) {
                draft.find(mismatch);
                continue;
            }
            let planned = self.plan_matched(&mut draft, &portion.selector, user);
            if planned.state == TaskState::Open && matches!(planned.target, Target::User { .. }) {
                portions.whole.insert(planned.target.lock());
            }
            draft.add(planned);
        }
        portions.planned(portion.selector);
        Planned { tasks: draft.tasks.into_values().collect(), findings: draft.findings }
    }
}
