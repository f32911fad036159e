//! Which calls of a less urgent task are in flight: one that waits to be admitted can be given up at any
//! moment, one that is in flight is waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use futures::future::{Either, select};
use severance_lifecycle::ids::TaskId;
use tokio::sync::Notify;

use crate::urgency::Urgency;

tokio::task_local! {
    /// The flights of the task that the current future drives.
    static CURRENT: Arc<Flights>;
}

/// Calls of one task that are in flight.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    calls: AtomicUsize,
    landed: Notify,
}

/// A call in flight, until dropped.
#[derive(Debug)]
pub(crate) struct Flight(Arc<Flights>);

impl Flight {
    /// A call of the task that the current future drives starts. `None` where it drives none.
    pub(crate) fn start() -> Option<Self> {
        let flights = CURRENT.try_with(Arc::clone).ok()?;
        flights.calls.fetch_add(1, SeqCst);
        Some(Self(flights))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.0.calls.fetch_sub(1, SeqCst) == 1 {
            self.0.landed.notify_one();
        }
    }
}

/// Runs the calls of a less urgent task. `None`: it holds what urgent work waits for, and no call of it is
/// in flight; what it was about to call is dropped.
pub(crate) async fn unless_in_the_way<T>(
    urgency: &Urgency,
    task: &TaskId,
    calls: impl Future<Output = T>,
) -> Option<T> {
    let flights = Arc::new(Flights::default());
    let calls = std::pin::pin!(CURRENT.scope(Arc::clone(&flights), calls));
    let in_the_way = std::pin::pin!(async {
        loop {
            let changed = urgency.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if urgency.is_in_the_way(task) && flights.calls.load(SeqCst) == 0 {
                return;
            }
            tokio::select! {
                () = changed => {}
                () = flights.landed.notified() => {}
            }
        }
    });
    match select(calls, in_the_way).await {
        Either::Left((answer, _)) => Some(answer),
        Either::Right(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::future::pending;

    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_call_that_waits_is_given_up_and_one_in_flight_is_waited_for() {
        let urgency = Urgency::new();
        let task = TaskId("t".to_owned());
        let flying = async {
            let flight = Flight::start();
            tokio::task::yield_now().await;
            drop(flight);
            pending::<()>().await;
        };
        let mut calls = Box::pin(unless_in_the_way(&urgency, &task, flying));
        assert!(calls.as_mut().now_or_never().is_none(), "nobody wants its identity");
        let held = CURRENT.sync_scope(Arc::default(), Flight::start);
        assert!(held.is_some());
        urgency.clear_the_way(BTreeSet::from([TaskId("other".to_owned())]));
        assert!(calls.as_mut().now_or_never().is_none(), "somebody else is in the way");
        urgency.clear_the_way(BTreeSet::from([task.clone()]));
        assert_eq!(calls.as_mut().now_or_never(), Some(None), "its call has landed");

        let in_flight = async {
            let _flight = Flight::start();
            pending::<()>().await;
        };
        let mut calls = Box::pin(unless_in_the_way(&urgency, &task, in_flight));
        assert!(calls.as_mut().now_or_never().is_none(), "its call is in flight");
    }
}
