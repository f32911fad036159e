//! A provider call under a lease: the lease is renewed while the call runs, so that a call always
//! has less time than its lease, however long it waits to be admitted.

use chrono::TimeDelta;
use futures::future::{Either, select};
use severance_lifecycle::task::Lane;

use crate::flight::unless_in_the_way;
use crate::ports::{CaseLease, LedgerError, TaskLease};
use crate::shared::Shared;

/// Why a task's work stopped without an end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Another worker may have it: nothing more may be done.
    Lost,
    /// Urgent work waits for the identity: the lease is given back.
    InTheWay,
    /// The ledger cannot store what is known: the lease runs out, and then it is looked at again.
    Ledger(LedgerError),
}

impl From<LedgerError> for Stop {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::LeaseLost { .. } => Self::Lost,
            other => Self::Ledger(other),
        }
    }
}

/// Runs a call while keeping the lease alive. Dropping the call is safe: its effect is looked for.
async fn under_lease<T, E>(
    shared: &Shared,
    lease: &mut TaskLease,
    call: impl Future<Output = Result<T, E>>,
) -> Result<Result<T, E>, Stop> {
    let third = shared.config.lease / 3;
    if lease.until - shared.now() < third * 2 {
        renew(shared, lease).await?;
    }
    let mut call = std::pin::pin!(call);
    loop {
        let beat = shared.clock.sleep(third);
        match select(call.as_mut(), beat).await {
            Either::Left((answer, _)) => return Ok(answer),
            Either::Right(_) => renew(shared, lease).await?,
        }
    }
}

/// Runs calls under a lease; less urgent ones give way between two of them.
///
/// # Errors
/// [`Stop::InTheWay`], and what [`under_lease`] stops for.
pub(crate) async fn giving_way<T, E>(
    shared: &Shared,
    lease: &mut TaskLease,
    lane: Lane,
    calls: impl Future<Output = Result<T, E>>,
) -> Result<Result<T, E>, Stop> {
    if lane == Lane::Compromise {
        return under_lease(shared, lease, calls).await;
    }
    let task = lease.task.clone();
    let calls = under_lease(shared, lease, calls);
    unless_in_the_way(&shared.urgency, &task, calls).await.unwrap_or(Err(Stop::InTheWay))
}

/// Renews a lease. A ledger that fails is no reason to stop while the old lease still has room.
async fn renew(shared: &Shared, lease: &mut TaskLease) -> Result<(), Stop> {
    let now = shared.now();
    let until = now + shared.config.lease;
    match shared.ledger.renew(lease, until).await {
        Ok(()) => {
            lease.until = until;
            Ok(())
        }
        Err(error @ LedgerError::LeaseLost { .. }) => Err(error.into()),
        Err(error) => {
            let room = lease.until - shared.now();
            if room > shared.config.lease / 2 {
                shared.ledger_failed("renew a lease", &error);
                Ok(())
            } else {
                Err(error.into())
            }
        }
    }
}

/// Plans while keeping the case's lease alive: a plan may look up thousands of names at an account's
/// rate. A ledger that fails is told of when the plan is stored.
pub(crate) async fn under_case_lease<T>(
    shared: &Shared,
    lease: &mut CaseLease,
    plan: impl Future<Output = T>,
) -> Result<T, LedgerError> {
    let mut plan = std::pin::pin!(plan);
    loop {
        let beat = shared.clock.sleep(shared.config.lease / 3);
        match select(plan.as_mut(), beat).await {
            Either::Left((planned, _)) => return Ok(planned),
            Either::Right(_) => {
                let until = shared.now() + shared.config.lease;
                match shared.ledger.renew_case(lease, until).await {
                    Ok(()) => lease.until = until,
                    Err(lost @ LedgerError::LeaseLost { .. }) => return Err(lost),
                    Err(error) => shared.ledger_failed("renew a lease", &error),
                }
            }
        }
    }
}

/// Whether a lease still has room to store something.
pub(crate) fn has_room(shared: &Shared, lease: &TaskLease) -> bool {
    lease.until - shared.now() > TimeDelta::zero()
}
