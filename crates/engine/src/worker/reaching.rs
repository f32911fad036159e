//! Roles within reach of a task's user: what is closed is all there is only where they are all known.

use std::sync::Arc;

use chrono::TimeDelta;
use severance_lifecycle::journal::Happening;
use severance_lifecycle::task::{Lane, TaskState};

use super::{Turn, Worker};
use crate::call::{Stop, giving_way};
use crate::guard;
use crate::ports::Release;
use crate::reach;
use crate::resolve::Unanswered;
use crate::roles::Answer;

impl Worker {
    /// Looks up roles within reach that were not known when the case was planned. Answers how the claim
    /// ends where that fails.
    pub(super) async fn look_up_reach(&mut self) -> Result<Option<Release>, Stop> {
        if self.task.user_within_reach().is_none() {
            return Ok(None);
        }
        self.known = guard::known(&self.shared, &self.task.target).await?;
        let shared = Arc::clone(&self.shared);
        let lane = self.task.lane;
        let looked_up = reach::look_up_again(&shared, &mut self.task, self.known.as_ref());
        match giving_way(&shared, &mut self.lease, lane, looked_up).await? {
            Ok(()) | Err(Unanswered::NotListed) => Ok(None),
            Err(Unanswered::Ledger(error)) => Err(error.into()),
            Err(Unanswered::Provider(failure)) => Ok(Some(self.failed_lookup(&failure))),
        }
    }

    /// Whether what is closed can be all there is: roles within reach are known of accounts that were
    /// listed, and have been looked up since.
    pub(super) fn reach_is_known(&self) -> bool {
        if self.task.user_within_reach().is_none() {
            return true;
        }
        let newest = self.shared.listings.newest();
        let looked_up = self.task.record.reach_looked_up;
        let looked_up = looked_up.is_some_and(|at| newest.is_none_or(|listed| listed < at));
        looked_up && self.is_listed()
    }

    pub(super) fn is_listed(&self) -> bool {
        self.shared.listings.cover(&self.shared.provider.accounts())
    }

    /// Its place is given to others: a listing may take long, and fail.
    pub(super) fn waiting_for_roles(&self, again_in: TimeDelta) -> Release {
        Release { next_at: Some(self.shared.now() + again_in), attempts: self.attempts }
    }

    /// Where all that is known of what is exposed is closed for the first time, roles are listed once more: one that
    /// was made since the last listing is within reach too. Answers what comes next where that is not the end.
    pub(super) async fn newest_roles_are_closed(&mut self) -> Result<Option<Turn>, Stop> {
        let is_first = !matches!(self.task.state, TaskState::Done { .. });
        let is_exposed = self.task.lane == Lane::Compromise;
        if !(is_first && is_exposed && self.task.user_within_reach().is_some()) {
            return Ok(None);
        }
        let shared = Arc::clone(&self.shared);
        match shared.roles.ask(&shared, &self.task) {
            Answer::Listed => {}
            Answer::Failed(failure) => {
                return Ok(Some(Turn::Release(self.failed_lookup(&failure))));
            }
            Answer::Waits { again_in, is_new } => {
                let release = self.waiting_for_roles(again_in);
                if let Some(until) = release.next_at.filter(|_| is_new) {
                    let reason = "waiting for the roles to be listed as they are now".to_owned();
                    let what = Happening::Waiting { until, reason };
                    self.telling.task(&self.task, self.shared.now(), what);
                }
                return Ok(Some(Turn::Release(release)));
            }
        }
        let known = self.task.assumable.len();
        self.task.record.reach_looked_up = None;
        if let Some(release) = self.look_up_reach().await? {
            return Ok(Some(Turn::Release(release)));
        }
        let all = self.task.assumable.len() == known && self.reach_is_known();
        Ok((!all).then_some(Turn::Again))
    }
}
