//! What a failed call means for what comes next.

use severance_lifecycle::action::Action;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::journal::Happening;
use severance_lifecycle::record::Place;
use severance_lifecycle::task::{BlockReason, TaskState};

use super::{Turn, Worker};
use crate::backoff::Growth;
use crate::ports::Release;

/// So often in one claim a task looks again at once; then it backs off, since somebody else keeps
/// changing the same thing.
const MOST_REPLANS: u32 = 5;

impl Worker {
    /// Takes in a failure of a look (`None`) or of an action.
    pub(super) fn failed(&mut self, action: Option<&Action>, failure: &Failure) -> Turn {
        let failed = Happening::Failed { action: action.cloned(), failure: failure.clone() };
        self.telling.task(&self.task, self.shared.now(), failed);
        if let Some(action) = action {
            self.task.record.failed(action, failure);
        }
        let retries = self.shared.config.retries;
        match failure.class {
            FailureClass::Throttled | FailureClass::RetrySoon => self.again_after(retries.soon),
            FailureClass::RetryLater => match action {
                Some(action) => {
                    let reason = refusal(failure);
                    self.later.insert(action.site(), reason.clone());
                    self.refuse(action, &reason)
                }
                None => self.again_after(retries.later),
            },
            FailureClass::Gone | FailureClass::Replan => self.look_again(retries.soon),
            FailureClass::Full => match action.and_then(place) {
                Some(place) => {
                    self.task.record.full.insert(place);
                    self.look_again(retries.soon)
                }
                None => self.refused(action, failure),
            },
            FailureClass::Cannot => self.refused(action, failure),
        }
    }

    /// A lookup beside the task's own calls failed.
    pub(super) fn failed_lookup(&mut self, failure: &Failure) -> Release {
        match self.failed(None, failure) {
            Turn::Release(release) => release,
            Turn::Again => Release { next_at: Some(self.shared.now()), attempts: self.attempts },
        }
    }

    pub(super) fn again_after(&mut self, growth: Growth) -> Turn {
        let attempts = self.attempts.saturating_add(1);
        let next_at = Some(self.shared.now() + self.shared.delay(growth, attempts));
        Turn::Release(Release { next_at, attempts })
    }

    fn look_again(&mut self, growth: Growth) -> Turn {
        self.replans += 1;
        if self.replans > MOST_REPLANS { self.again_after(growth) } else { Turn::Again }
    }

    /// An action that cannot be carried out is no reason to leave the others: they are decided on next.
    pub(super) fn refuse(&mut self, action: &Action, reason: &BlockReason) -> Turn {
        let again = self.task.record.refused.insert(action.site(), reason.clone()).is_some();
        if again { Turn::Release(self.nothing_left(reason)) } else { Turn::Again }
    }

    fn refused(&mut self, action: Option<&Action>, failure: &Failure) -> Turn {
        if let Some(action) = action {
            return self.refuse(action, &refusal(failure));
        }
        if matches!(self.task.state, TaskState::Done { .. }) {
            // A later look that is refused says nothing about what was proven before.
            return self.again_after(self.shared.config.retries.blocked);
        }
        Turn::Release(self.blocked(&refusal(failure)))
    }
}

fn refusal(failure: &Failure) -> BlockReason {
    let Failure { operation, code, message, .. } = failure.clone();
    BlockReason::Refused { operation, code, message }
}

/// The place that a deny was to be written to.
fn place(action: &Action) -> Option<Place> {
    let (Action::DenyUser { deny, .. } | Action::DenyRole { deny, .. }) = action else {
        return None;
    };
    let identity = action.touches().into_iter().next()?;
    Some(Place { identity, place: deny.handle.place })
}
