//! When what a plan leaves is due.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::ids::TaskId;
use severance_lifecycle::task::{BlockReason, Task, TaskState};

use super::ahead::Memory;
use super::draft::is_unresolved;
use crate::backoff::Growth;
use crate::ports::{ClaimedCase, NewTask};
use crate::shared::Shared;

/// How often a case that waits for a listing asks again.
pub(super) const LISTING: Growth = Growth::millis(1_000, 5_000);

/// How often a case asks again that waits only for its secrets to be listed. Slowly: after a burst there are
/// many, and what they name is dying meanwhile.
const LOOK: Growth = Growth::millis(2_000, 15_000);

/// When what a plan leaves is due.
pub(super) struct Times {
    /// When it was drawn up.
    pub(super) now: DateTime<Utc>,
    /// Lookups that failed in passing.
    soon: DateTime<Utc>,
    /// Lookups that failed because somebody else is changing the same thing.
    later: DateTime<Utc>,
    /// What waits for a listing.
    listed: DateTime<Utc>,
    /// What waits for its secrets to be listed.
    looked: DateTime<Utc>,
    /// What is not found may be listed the next time.
    slowly: DateTime<Utc>,
}

impl Times {
    pub(super) fn of(
        shared: &Shared,
        claimed: &ClaimedCase,
        failures: &BTreeMap<TaskId, Failure>,
        unlisted: bool,
        memory: &mut Memory,
    ) -> Self {
        let now = shared.now();
        let retries = shared.config.retries;
        let attempts = claimed.attempts.saturating_add(1);
        let slow = failures.is_empty() && !unlisted;
        if claimed.attempts == 0 {
            memory.slow = 0;
        }
        memory.slow += u32::from(slow);
        let slowly = shared.delay(retries.blocked, memory.slow.max(1));
        Self {
            now,
            soon: now + shared.delay(retries.soon, attempts),
            later: now + shared.delay(retries.later, attempts),
            listed: now + shared.delay(LISTING, attempts),
            looked: now + shared.delay(LOOK, attempts),
            slowly: now + slowly.min(shared.config.inventory_every),
        }
    }

    pub(super) fn of_task(
        &self,
        task: &Task,
        failures: &BTreeMap<TaskId, Failure>,
    ) -> DateTime<Utc> {
        match (&task.state, failures.get(&task.id).map(|failure| failure.class)) {
            (TaskState::Blocked { .. }, Some(FailureClass::RetryLater)) => self.later,
            (TaskState::Blocked { .. }, Some(_)) => self.soon,
            (TaskState::Blocked { reason: BlockReason::NotListed }, None) => self.listed,
            (TaskState::Blocked { reason: BlockReason::SecretsNotListed }, None) => self.looked,
            (TaskState::Blocked { .. }, None) => self.slowly,
            _ => self.now,
        }
    }

    pub(super) fn again_at(
        &self,
        tasks: &[NewTask],
        failures: &BTreeMap<TaskId, Failure>,
    ) -> Option<DateTime<Utc>> {
        let unresolved = tasks.iter().map(|new| &new.task).filter(|task| is_unresolved(task));
        unresolved.map(|task| self.of_task(task, failures)).min()
    }
}
