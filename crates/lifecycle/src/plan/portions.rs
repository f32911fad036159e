//! Plans that are too large to be held at once: users in portions, and then the rest.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::draft::Draft;
use super::planner::{Planned, Planner, SelectorMatch};
use super::ties::Ties;
use crate::case::Case;
use crate::credential::Target;
use crate::event::{Selector, Trigger};
use crate::policy::Desired;
use crate::secret::Holding;
use crate::task::{BlockReason, Mode, Task, TaskState};

/// What earlier portions of a plan, and earlier plans of its case, leave for the rest of it to know. Who leaves with a contract is not in it:
/// that is much, and of use only where there is a role or a secret; see [`Ties::leaving`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Portions {
    /// Selectors of which something was planned.
    pub(super) selectors: Vec<Selector>,
    /// Locks of users that are revoked as a whole.
    pub(super) whole: BTreeSet<String>,
    /// Secrets that have a task by an earlier plan, by ARN: what they held then was planned with it.
    pub(super) secrets: BTreeSet<String>,
    /// Those that such a task replaces.
    pub(super) writers: BTreeSet<String>,
    /// What is exposed by earlier plans, whoever hands it out by now.
    pub(super) exposed: BTreeSet<Holding>,
}

impl Portions {
    /// What this selector names was planned earlier, whatever it matches now.
    pub fn planned(&mut self, selector: Selector) {
        if !self.selectors.contains(&selector) {
            self.selectors.push(selector);
        }
    }

    /// A secret has a task by an earlier plan, and that task stays as it is. Whether it is through or not, it
    /// writes: what was never to be done, or waits for another secret's writer, does not.
    pub fn stands(&mut self, task: &Task) {
        let Target::Secret { secret, .. } = &task.target else { return };
        self.secrets.insert(secret.arn.clone());
        let waits = matches!(
            &task.state,
            TaskState::Blocked {
                reason: BlockReason::SharedCredential { .. }
                    | BlockReason::Protected
                    | BlockReason::FlattenedBoundary { .. }
                    | BlockReason::UserOfAnotherZone { .. }
            }
        );
        let observes = task.mode == Mode::Observe && task.record.rotation.new.is_none();
        if task.desired == Desired::Rotated && !waits && !observes {
            self.writers.insert(secret.arn.clone());
        }
    }

    /// What a secret's task found exposed stays so when the secret hands out something else.
    pub fn left_behind(&mut self, task: &Task) {
        let rotation = &task.record.rotation;
        let keys = rotation.beside_keys.iter().map(String::as_str).chain(rotation.old_key());
        keys.for_each(|key_id| self.dies(key_id));
        self.exposed.extend(rotation.held.iter().cloned());
    }

    /// A key has a task of its own by an earlier plan.
    pub fn dies(&mut self, key_id: &str) {
        self.exposed.insert(Holding::AccessKey { key_id: key_id.to_owned() });
    }

    /// What is exposed by earlier plans.
    pub fn exposed(&self) -> &BTreeSet<Holding> {
        &self.exposed
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
