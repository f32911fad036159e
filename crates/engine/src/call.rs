//! A provider call under a lease: the lease is renewed while the call runs, so that a call always
//! has less time than its lease, however long it waits to be admitted.

use chrono::TimeDelta;
use futures::future::{Either, select};

use crate::ports::{LedgerError, TaskLease};
use crate::shared::Shared;

/// Why a task's work stopped without an end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Another worker may have it: nothing more may be done.
    Lost,
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
pub(crate) async fn under_lease<T, E>(
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

/// Whether a lease still has room to store something.
pub(crate) fn has_room(shared: &Shared, lease: &TaskLease) -> bool {
    lease.until - shared.now() > TimeDelta::zero()
}
