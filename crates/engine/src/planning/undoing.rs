//! Planning a reinstatement: what earlier cases of the contract changed is put back, task by task.

use std::collections::BTreeMap;

use severance_lifecycle::case::{CaseState, Closing};
use severance_lifecycle::ids::TaskId;
use severance_lifecycle::journal::Happening;
use severance_lifecycle::policy::Desired;
use severance_lifecycle::record::Record;
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
        .filter(|task| task.desired == Desired::Revoked && !task.record.changes.is_empty())
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
        record: Record { changes: undone.record.changes.clone(), ..Record::default() },
        accepted_at: None,
        verified_at: None,
        ..undone.clone()
    }
}
