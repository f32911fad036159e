//! Urgency: whether compromise work is runnable, which is what every call of a lower lane waits for.
//!
//! Compromise work is runnable from the moment *before* its event is committed until its call is in
//! flight, it waits for a moment to come, or its account's rate holds it back. What is runnable is
//! the sum of
//! - notices that are being committed ([`AnnouncingInbox`](crate::announcing::AnnouncingInbox)),
//! - work that may be due in the ledger and was not claimed yet (until a claim comes back short),
//! - claimed work between its calls ([`Presence`]).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use chrono::{DateTime, Utc};
use severance_lifecycle::ids::TaskId;
use tokio::sync::Notify;

tokio::task_local! {
    /// The presence of the work that the current task drives, so that admission can tell whose call
    /// it admits.
    static CURRENT: Arc<Presence>;
}

/// The counter behind the gate, and the scheduler's bell.
#[derive(Debug)]
pub struct Urgency {
    me: Weak<Urgency>,
    /// Notices being committed, and claimed work between its calls.
    runnable: AtomicUsize,
    /// Raised whenever urgent work may have become due in the ledger.
    raised: AtomicU64,
    /// The value of `raised` up to which everything due was claimed.
    settled: AtomicU64,
    /// The next moment (milliseconds) at which urgent work may become due.
    horizon: AtomicI64,
    /// Less urgent work in hand that holds an identity which urgent work waits for.
    in_the_way: Mutex<BTreeSet<TaskId>>,
    /// More urgent work is due than there is room for.
    crowded: AtomicBool,
    /// Urgent work is due, and other work in hand holds its identity.
    waits: AtomicBool,
    /// Identities that are being given back.
    releases: AtomicUsize,
    changed: Notify,
    bell: Notify,
    written: Notify,
}

impl Urgency {
    /// Starts closed: until the scheduler has asked the ledger, urgent work may be due.
    pub fn new() -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            runnable: AtomicUsize::new(0),
            raised: AtomicU64::new(1),
            settled: AtomicU64::new(0),
            horizon: AtomicI64::new(i64::MAX),
            in_the_way: Mutex::default(),
            crowded: AtomicBool::new(false),
            waits: AtomicBool::new(false),
            releases: AtomicUsize::new(0),
            changed: Notify::new(),
            bell: Notify::new(),
            written: Notify::new(),
        })
    }

    /// Whether compromise work is runnable at `now`.
    pub fn is_runnable(&self, now: DateTime<Utc>) -> bool {
        self.runnable.load(SeqCst) > 0
            || self.settled.load(SeqCst) < self.raised.load(SeqCst)
            || self.horizon.load(SeqCst) <= now.timestamp_millis()
    }

    /// Completes when what is runnable may have changed since the future was made.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// Urgent work may have become due in the ledger.
    pub fn raise(&self) {
        self.raised.fetch_add(1, SeqCst);
        self.ring();
    }

    /// Urgent work becomes due at this moment.
    pub fn due_at(&self, at: DateTime<Utc>) {
        self.horizon.fetch_min(at.timestamp_millis(), SeqCst);
    }

    /// A claim begins: what is raised from here on is not covered by it.
    pub fn claim_begins(&self) -> u64 {
        self.raised.load(SeqCst)
    }

    /// Everything urgent that was due when the claim began is claimed, and nothing becomes due before
    /// `next_at`.
    pub fn settle(&self, begun: u64, next_at: Option<DateTime<Utc>>) {
        let next = next_at.map_or(i64::MAX, |at| at.timestamp_millis());
        self.horizon.store(next, SeqCst);
        self.settled.fetch_max(begun, SeqCst);
        self.changed.notify_waiters();
    }

    /// These less urgent tasks in hand hold identities that urgent work waits for: they are to give them
    /// back after the call that is in flight.
    pub fn clear_the_way(&self, of: BTreeSet<TaskId>) {
        let some = !of.is_empty();
        *self.in_the_way.lock().unwrap_or_else(PoisonError::into_inner) = of;
        if some {
            self.changed.notify_waiters();
        }
    }

    /// See [`clear_the_way`](Self::clear_the_way).
    pub fn is_in_the_way(&self, task: &TaskId) -> bool {
        self.in_the_way.lock().unwrap_or_else(PoisonError::into_inner).contains(task)
    }

    /// More urgent work is due than there is room for: work whose first blow has landed is to make room
    /// for work whose first blow has not.
    pub fn crowd(&self, crowded: bool) {
        self.crowded.store(crowded, SeqCst);
    }

    /// See [`crowd`](Self::crowd).
    pub fn is_crowded(&self) -> bool {
        self.crowded.load(SeqCst)
    }

    /// Urgent work is due whose identity other work holds: what gives an identity back may make it runnable.
    pub fn wait_for_identity(&self, waits: bool) {
        self.waits.store(waits, SeqCst);
    }

    /// See [`wait_for_identity`](Self::wait_for_identity).
    pub fn waits_for_identity(&self) -> bool {
        self.waits.load(SeqCst)
    }

    /// An identity is given back until the answer is dropped: urgent work that waits for it is runnable from
    /// some moment meanwhile.
    pub(crate) fn release(&self) -> Releasing {
        self.releases.fetch_add(1, SeqCst);
        Releasing(self.me.clone())
    }

    /// See [`release`](Self::release).
    pub(crate) fn is_releasing(&self) -> bool {
        self.releases.load(SeqCst) > 0
    }

    /// Wakes the scheduler.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits for the bell.
    pub async fn bell(&self) {
        self.bell.notified().await;
    }

    /// A message may have been written into the outbox.
    pub fn written(&self) {
        self.written.notify_one();
    }

    /// Waits until a message may have been written into the outbox.
    pub async fn outbox(&self) {
        self.written.notified().await;
    }

    /// Counts as runnable until it is dropped.
    pub fn hold(&self) -> Hold {
        self.runnable.fetch_add(1, SeqCst);
        Hold(self.me.clone())
    }

    /// Enters claimed urgent work: runnable except while a call of it is in flight or held back.
    pub fn enter(&self) -> Arc<Presence> {
        Arc::new(Presence {
            urgency: self.me.clone(),
            busy: AtomicUsize::new(0),
            proving: AtomicBool::new(false),
            hold: Mutex::new(Some(self.hold())),
        })
    }
}

/// Runnable until dropped.
#[derive(Debug)]
pub struct Hold(Weak<Urgency>);

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(urgency) = self.0.upgrade()
            && urgency.runnable.fetch_sub(1, SeqCst) == 1
        {
            urgency.changed.notify_waiters();
        }
    }
}

/// See [`Urgency::release`].
#[derive(Debug)]
pub(crate) struct Releasing(Weak<Urgency>);

impl Drop for Releasing {
    fn drop(&mut self) {
        if let Some(urgency) = self.0.upgrade() {
            // The end of the work that gave it back begins the scheduler's next pass.
            urgency.releases.fetch_sub(1, SeqCst);
        }
    }
}

/// Claimed urgent work.
#[derive(Debug)]
pub struct Presence {
    urgency: Weak<Urgency>,
    busy: AtomicUsize,
    /// Its blows have landed: what it calls now proves them.
    proving: AtomicBool,
    hold: Mutex<Option<Hold>>,
}

impl Presence {
    /// Runs a future as this work's, so that calls inside it are known to be its own.
    pub async fn scope<F: Future>(self: Arc<Self>, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// The work that the current task drives, if it is urgent.
    pub fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Says of the urgent work that the current task drives whether its next calls prove blows that have
    /// landed, or are on the way to one: what other such work still has to strike goes before a proof.
    pub(crate) fn set_proving(proving: bool) {
        if let Some(current) = Self::current() {
            current.proving.store(proving, SeqCst);
        }
    }

    /// See [`set_proving`](Self::set_proving).
    pub(crate) fn proves(&self) -> bool {
        self.proving.load(SeqCst)
    }

    /// Not runnable until the answer is dropped: a call is in flight, or held back by its rate.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        if self.busy.fetch_add(1, SeqCst) == 0 {
            self.set(None);
        }
        Busy(Arc::clone(self))
    }

    fn set(&self, hold: Option<Hold>) {
        let mut place = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        *place = hold;
    }
}

/// See [`Presence::busy`].
#[derive(Debug)]
pub(crate) struct Busy(Arc<Presence>);

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.busy.fetch_sub(1, SeqCst) == 1 {
            let hold = self.0.urgency.upgrade().map(|urgency| urgency.hold());
            self.0.set(hold);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(ms).unwrap()
    }

    #[test]
    fn urgent_work_is_runnable_until_a_claim_covers_it() {
        let urgency = Urgency::new();
        assert!(urgency.is_runnable(at(0)), "unknown until the ledger was asked");
        let begun = urgency.claim_begins();
        urgency.raise();
        urgency.settle(begun, None);
        assert!(urgency.is_runnable(at(0)), "raised after the claim began");
        urgency.settle(urgency.claim_begins(), Some(at(50)));
        assert!(!urgency.is_runnable(at(49)));
        assert!(urgency.is_runnable(at(50)), "due again");
    }

    #[test]
    fn what_is_open_again_stays_runnable_though_a_pass_that_has_not_seen_it_settles() {
        let urgency = Urgency::new();
        let begun = urgency.claim_begins();
        let hold = urgency.hold();
        urgency.settle(begun, None);
        assert!(urgency.is_runnable(at(0)), "it is being stored");
        urgency.raise();
        drop(hold);
        urgency.settle(begun, None);
        assert!(urgency.is_runnable(at(0)), "it is stored, and not claimed");
        urgency.settle(urgency.claim_begins(), None);
        assert!(!urgency.is_runnable(at(0)));
    }

    #[test]
    fn claimed_work_is_runnable_between_its_calls_only() {
        let urgency = Urgency::new();
        urgency.settle(urgency.claim_begins(), None);
        let work = urgency.enter();
        assert!(urgency.is_runnable(at(0)));
        let (one, two) = (work.busy(), work.busy());
        assert!(!urgency.is_runnable(at(0)));
        drop(one);
        assert!(!urgency.is_runnable(at(0)), "another call of it is in flight");
        drop(two);
        assert!(urgency.is_runnable(at(0)));
        drop(work);
        assert!(!urgency.is_runnable(at(0)));
    }
}
