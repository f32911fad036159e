//! The blast radius: how many credentials a case comes to, over all its plans, and whether that holds it.

use std::collections::{BTreeMap, BTreeSet};

use crate::case::Case;
use crate::ids::TaskId;

/// What a plan meets: a case that may have been planned before.
#[derive(Clone, Copy, Debug)]
pub struct BlastRadius<'a> {
    /// More credentials than this hold a case until a person releases it.
    pub limit: usize,
    /// What the case's tasks come to, from earlier plans.
    pub known: &'a BTreeMap<TaskId, usize>,
    /// Those of them that a plan takes away: selectors that now have an answer.
    pub answered: &'a [TaskId],
}

impl BlastRadius<'_> {
    /// How many credentials a case comes to, where a plan brings it beyond the limit, and beyond what a
    /// person let go before. All its plans count together: a case that grows in steps is as large as one
    /// that was large at once. A plan that adds nothing holds nothing. `plan` says how many credentials
    /// each of its tasks comes to.
    pub fn exceeded(&self, case: &Case, plan: &BTreeMap<TaskId, usize>) -> Option<usize> {
        let adds = plan.iter().any(|(id, n)| *n > 0 && !self.known.contains_key(id));
        let credentials = self.credentials(plan);
        (adds && credentials > self.limit.max(case.released)).then_some(credentials)
    }

    /// Every target once, however often it was planned.
    fn credentials(&self, plan: &BTreeMap<TaskId, usize>) -> usize {
        let gone: BTreeSet<&TaskId> = self.answered.iter().collect();
        let stays = |id: &TaskId| !plan.contains_key(id) && !gone.contains(id);
        let before = self.known.iter().filter(|(id, _)| stays(id)).map(|(_, n)| n);
        before.sum::<usize>() + plan.values().sum::<usize>()
    }
}
