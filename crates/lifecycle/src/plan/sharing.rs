//! Secrets that hand out the same credential: replacing it in one would break the others.

use std::collections::BTreeSet;

use super::draft::Draft;
use super::inventory::Identity;
use super::planner::Planner;
use crate::credential::Target;
use crate::event::Trigger;
use crate::finding::Finding;
use crate::ids::TaskId;
use crate::policy::Desired;
use crate::task::{BlockReason, Mode, TaskState};

impl Planner<'_> {
    /// Has secrets that share a credential wait for a person. In a compromise the credential must die all
    /// the same: one of them, the first by its ARN of those that enforce, replaces it, and the others wait.
    /// One whose task an earlier plan let go goes on, or two would replace the same: what is found later waits.
    pub(super) fn shared_wait(draft: &mut Draft<'_>) {
        let compromise = draft.case.trigger == Trigger::CompromiseNotice;
        let is_hidden = |identity: &Identity| {
            identity.secret().is_some_and(|(_, detail)| detail.deleted_at.is_some())
        };
        let mut rotated: Vec<_> = draft
            .secrets
            .iter()
            // What is hidden replaces nothing, and hands nothing out.
            .filter(|(_, (_, identity))| !is_hidden(identity))
            .filter(|(_, (id, _))| {
                draft.tasks.get(id).is_some_and(|task| {
                    task.desired == Desired::Rotated
                        && task.state == TaskState::Open
                        && matches!(task.target, Target::Secret { .. })
                })
            })
            .map(|(arn, (id, identity))| (arn.clone(), id.clone(), *identity))
            .collect();
        // One that only observes would replace nothing.
        let enforces = |id: &TaskId| draft.tasks.get(id).is_some_and(|it| it.mode == Mode::Enforce);
        rotated.sort_by_key(|(arn, id, _)| (!enforces(id), arn.clone()));
        let mut writers = draft.portions.writers.clone();
        for (arn, id, identity) in rotated {
            let mut secrets = sharers(draft, identity);
            if secrets.is_empty() {
                continue;
            }
            let goes_on = draft.portions.writers.contains(&arn);
            let replaces = goes_on || compromise && secrets.is_disjoint(&writers);
            secrets.insert(arn.clone());
            let secrets: Vec<_> = secrets.into_iter().collect();
            draft.find(Finding::SharedCredential { secrets: secrets.clone() });
            if replaces {
                writers.insert(arn);
            } else if let Some(task) = draft.tasks.get_mut(&id) {
                let reason = BlockReason::SharedCredential { secrets };
                task.state = TaskState::Blocked { reason };
            }
        }
    }
}

impl Planner<'_> {
    /// A secret that ends leaves alone a key that another one hands out. Where all of those end with this case
    /// nobody needs it: it dies by a task of its own, or each would wait for the other.
    pub(super) fn plan_keys_of_all_that_end(&self, draft: &mut Draft<'_>) {
        let ends = |arn: &String| {
            let task = draft.secrets.get(arn).and_then(|(id, _)| draft.tasks.get(id));
            task.is_some_and(|task| task.desired == Desired::Revoked)
        };
        let ending = draft.secrets.iter().filter(|(arn, _)| ends(arn));
        let shared = ending.filter_map(|(_, (_, identity))| {
            let others = sharers(draft, identity);
            let alone = !others.is_empty() && others.iter().all(ends);
            identity.secret().filter(|_| alone).map(|(_, detail)| detail)
        });
        let keys: BTreeSet<String> =
            shared.flat_map(|detail| detail.key_ids().map(str::to_owned)).collect();
        for key_id in keys {
            self.plan_key(draft, &key_id);
        }
    }
}

/// ARNs of other secrets, matched or not, that hand out what this one does.
fn sharers(draft: &Draft<'_>, identity: &Identity) -> BTreeSet<String> {
    let Some((_, detail)) = identity.secret() else { return BTreeSet::new() };
    let matched = draft.secrets.values().map(|(_, other)| *other);
    let all = matched.chain(&draft.ties.secrets).filter(|other| other.arn != identity.arn);
    all.filter(|other| {
        other.secret().is_some_and(|(_, others)| {
            others.deleted_at.is_none() && !others.holds.is_disjoint(&detail.holds)
        })
    })
    .map(|other| other.arn.clone())
    .collect()
}
