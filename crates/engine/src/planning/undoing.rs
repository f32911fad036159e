//! Planning a reinstatement: what earlier cases of the contract changed is put back, task by task.

use std::collections::{BTreeMap, BTreeSet};

use severance_lifecycle::action::Change;
use severance_lifecycle::case::{CaseState, Closing};
use severance_lifecycle::ids::TaskId;
use severance_lifecycle::journal::Happening;
use severance_lifecycle::policy::Desired;
use severance_lifecycle::record::Record;
use severance_lifecycle::rotation::RotationRecord;
use severance_lifecycle::task::{Lane, Task, TaskState};

use super::holding;
use crate::ports::{ClaimedCase, NewTask, PlanCommit};
use crate::shared::Shared;
use crate::telling::Telling;

/// One undoing task for every earlier task that changed something.
pub(super) fn plan(shared: &Shared, claimed: &ClaimedCase) -> PlanCommit {
    let now = shared.now();
    let case = &claimed.case;
    let tasks: Vec<Task> = claimed
        .undo
        .iter()
        .filter(|task| !to_undo(task).is_empty())
        .map(|task| undoing(shared, claimed, task))
        .collect();
    let mut telling = Telling::default();
    let sizes: BTreeMap<_, _> =
        tasks.iter().map(|task| (task.id.clone(), task.credentials)).collect();
    let credentials = sizes.values().sum();
    telling.case(&case.id, now, Happening::Planned { tasks: tasks.len(), credentials });
    // Giving access back on this scale is for a person to look at too.
    let held = holding::hold(shared, claimed, &[], &sizes, &mut telling);
    let state = held.unwrap_or(if tasks.is_empty() {
        CaseState::Closed { how: Closing::NothingToDo }
    } else {
        CaseState::Open
    });
    PlanCommit {
        state,
        tasks: tasks.into_iter().map(|task| NewTask { task, next_at: now }).collect(),
        in_portions: false,
        resolved: Vec::new(),
        journal: telling.journal,
        messages: telling.messages,
        again_at: None,
    }
}

/// What of a task's changes is put back. Of a secret that was rotated only the denies: what the leavers knew
/// was replaced, and stays dead.
fn to_undo(task: &Task) -> BTreeSet<Change> {
    let is_deny = |change: &&Change| {
        matches!(
            change,
            Change::SecretDenied { .. } | Change::UserDenied { .. } | Change::RoleDenied { .. }
        )
    };
    match task.desired {
        Desired::Revoked => task.record.changes.clone(),
        Desired::Rotated => task.record.changes.iter().filter(is_deny).cloned().collect(),
        Desired::Deleted | Desired::Reinstated => BTreeSet::new(),
    }
}

fn undoing(shared: &Shared, claimed: &ClaimedCase, undone: &Task) -> Task {
    let case = &claimed.case;
    let desired = Desired::Reinstated;
    let now = shared.now();
    // Two earlier cases may both have changed one target: each is undone by a task of its own.
    let purpose = format!("{}/{}", desired.as_str(), undone.case);
    Task {
        id: TaskId::of(&case.id, &undone.target.key(), &purpose),
        case: case.id.clone(),
        desired,
        trigger: case.trigger,
        severity: case.severity,
        ticket: case.ticket.clone(),
        lane: Lane::of(case.trigger, desired),
        noticed_at: case.noticed_at,
        received_at: case.received_at,
        planned_at: now,
        deadline: case.noticed_at
            + shared.zones().get(&undone.binding.zone).objective(case.trigger),
        counts: true,
        undoes: Some(undone.case.clone()),
        delete_after: None,
        state: TaskState::Open,
        record: Record {
            changes: to_undo(undone),
            // Which key a secret held: it cannot be read while its deletion is scheduled.
            rotation: RotationRecord {
                old: undone.record.rotation.old.clone(),
                ..RotationRecord::default()
            },
            ..Record::default()
        },
        accepted_at: None,
        verified_at: None,
        ..undone.clone()
    }
}

#[cfg(test)]
mod tests {
    use severance_lifecycle::credential::Target;
    use severance_lifecycle::event::{Selector, SelectorTarget, Trigger};
    use severance_lifecycle::secret::SecretRef;
    use severance_lifecycle::task::{Binding, Mode};

    use super::*;

    fn changed(desired: Desired) -> Task {
        let case: severance_lifecycle::ids::CaseId = "c-1".into();
        let at = chrono::DateTime::UNIX_EPOCH;
        let secret = SecretRef {
            account: "111122223333".into(),
            region: "eu-west-1".into(),
            arn: "arn".into(),
            name: "app".into(),
        };
        let denied = Change::SecretDenied { secret: secret.clone(), case: case.clone() };
        let retired = Change::VersionRetired { secret, version: "v".into() };
        let target = SelectorTarget::Secret("app".into());
        let selector = Selector { target, account: None, region: None };
        Task {
            id: "t-1".into(),
            case,
            target: Target::Unresolved { selector },
            desired,
            binding: Binding { zone: "acme".into(), contract: None, owner: None, tier: None },
            trigger: Trigger::ContractEnd,
            severity: None,
            cause: None,
            ticket: None,
            lane: Lane::ContractEnd,
            mode: Mode::Enforce,
            noticed_at: at,
            received_at: at,
            planned_at: at,
            deadline: at,
            assumable: Vec::new(),
            leaving: BTreeSet::new(),
            credentials: 1,
            counts: true,
            grace: None,
            undoes: None,
            delete_after: None,
            state: TaskState::Open,
            record: Record { changes: [denied, retired].into(), ..Record::default() },
            accepted_at: None,
            verified_at: None,
        }
    }

    #[test]
    fn of_a_rotated_secret_only_the_denies_are_taken_back() {
        assert_eq!(to_undo(&changed(Desired::Revoked)).len(), 2);
        let back = to_undo(&changed(Desired::Rotated));
        assert!(back.iter().all(|it| matches!(it, Change::SecretDenied { .. })) && back.len() == 1);
        assert!(to_undo(&changed(Desired::Reinstated)).is_empty(), "no undoing is undone");
    }
}
