//! What goes with something else: keys with their whole user, readers with their contract.

use std::collections::BTreeSet;

use super::draft::Draft;
use super::inventory::Identity;
use super::planner::{Planner, SelectorMatch};
use crate::credential::Target;
use crate::event::Trigger;
use crate::finding::Finding;
use crate::policy::Desired;
use crate::task::{Task, TaskState};

impl Planner<'_> {
    /// A whole user covers its single keys: one task would otherwise wait for the other. A secret that
    /// hands out one of them gets no new one either: it would be a key of a user who may do nothing.
    pub(super) fn whole_users_cover(draft: &mut Draft<'_>) {
        let (ties, earlier) = (draft.ties, &draft.portions.whole);
        let here: BTreeSet<_> = draft
            .tasks
            .values()
            .filter(|t| matches!(t.target, Target::User { .. }) && t.state == TaskState::Open)
            .map(|t| t.target.lock())
            .collect();
        let is_whole = |lock: &String| here.contains(lock) || earlier.contains(lock);
        let is_covered = |task: &Task| {
            let part = match task.target {
                Target::AccessKey { .. } => true,
                Target::Secret { .. } => task.desired == Desired::Rotated,
                _ => false,
            };
            part && is_whole(&task.target.lock())
        };
        draft.tasks.retain(|_, task| !is_covered(task));
        for secret in &ties.secrets {
            let Some((_, detail)) = secret.secret() else { continue };
            let has_task = draft.secrets.get(&secret.arn);
            if has_task.is_some_and(|(id, _)| draft.tasks.contains_key(id)) {
                continue;
            }
            for key_id in detail.key_ids() {
                let user = ties.owner(key_id).and_then(Identity::user);
                if user.is_some_and(|user| is_whole(&Target::User { user }.lock())) {
                    let credential = format!("access key {key_id}");
                    let secret = secret.arn.clone();
                    draft.find(Finding::HandsOutRevoked { secret, credential });
                }
            }
        }
    }

    /// A contract's users leave with it: wherever a role trusts them, that trust goes, and they read none
    /// of its secrets any more.
    pub(super) fn leave(&self, draft: &mut Draft<'_>, matches: &[SelectorMatch]) {
        let (case, ties) = (draft.case, draft.ties);
        let has_door =
            |task: &Task| matches!(task.target, Target::Role { .. } | Target::Secret { .. });
        if case.trigger != Trigger::ContractEnd || !draft.tasks.values().any(has_door) {
            return;
        }
        let identities = || {
            let all = matches.iter().flat_map(|found| &found.identities).map(|(it, _)| it);
            all.filter(|identity| self.belongs_elsewhere(case, identity).is_none())
        };
        let users = identities().filter(|identity| identity.user().is_some());
        let names = users.flat_map(|user| [user.arn.clone(), user.unique_id.clone()]);
        let leaving: BTreeSet<String> = names.chain(ties.leaving.iter().cloned()).collect();
        // Roles read secrets too. A resource policy takes ARNs alone, and nobody who is protected.
        let roles = identities().filter(|it| it.role().is_some()).map(|role| role.arn.clone());
        let readers: BTreeSet<String> = leaving
            .iter()
            .cloned()
            .chain(roles)
            .filter(|name| name.starts_with("arn:") && !self.protected.has(name))
            .collect();
        for task in draft.tasks.values_mut() {
            match task.target {
                Target::Role { .. } => task.leaving.clone_from(&leaving),
                Target::Secret { .. } => task.leaving.clone_from(&readers),
                _ => {}
            }
        }
    }
}
