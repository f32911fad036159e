//! What was called, by whom, and what came of it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::request::Service;

/// One call. No secret is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// Ascends by one with each finished call.
    pub sequence: u64,
    /// When the request had arrived.
    pub started: DateTime<Utc>,
    /// When the call was decided (a fault's and the latency's time included).
    pub finished: DateTime<Utc>,
    /// The account of the signing key; empty when unknown.
    pub account: String,
    /// The caller's ARN; empty when it was not authenticated.
    pub caller: String,
    /// The id of the key that the request was, or claimed to be, signed with.
    pub access_key_id: String,
    /// Which service.
    pub service: Service,
    /// The region of the credential scope.
    pub region: String,
    /// The operation, as AWS names it.
    pub operation: String,
    /// The ARN (or `*`) that the call was authorised for.
    pub resource: String,
    /// The id of the key, SSH key, certificate, policy or session that the call is about.
    pub subject: Option<String>,
    /// `Success`, or the error's code.
    pub outcome: String,
    /// The HTTP status that was, or would have been, answered.
    pub status: u16,
    /// The call was carried out and is one that changes something.
    pub changed: bool,
    /// The answer was sent.
    pub answered: bool,
    /// The fault that struck the call.
    pub fault: Option<super::faults::Fault>,
    /// The answer's `x-amzn-RequestId`.
    pub request_id: String,
}

/// The logs: of all calls, and (kept apart, so that reads cannot push them out) of those that
/// changed something. Each is bounded; the oldest records go first.
#[derive(Debug)]
pub struct CallLog(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    capacity: usize,
    next: u64,
    calls: VecDeque<CallRecord>,
    changes: VecDeque<CallRecord>,
}

impl CallLog {
    pub(crate) fn new(capacity: usize) -> Self {
        let inner = Inner { capacity, next: 1, calls: VecDeque::new(), changes: VecDeque::new() };
        Self(Mutex::new(inner))
    }

    /// All calls with a sequence number above `after`, refused ones too, oldest first.
    pub fn calls_after(&self, after: u64) -> Vec<CallRecord> {
        newer(&self.lock().calls, after, usize::MAX)
    }

    /// All calls, refused ones too, oldest first.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.calls_after(0)
    }

    /// The calls with a sequence number above `after` that changed something, oldest first.
    pub fn changes_after(&self, after: u64) -> Vec<CallRecord> {
        newer(&self.lock().changes, after, usize::MAX)
    }

    /// The calls that changed something, oldest first.
    pub fn changes(&self) -> Vec<CallRecord> {
        self.changes_after(0)
    }

    /// The sequence number of the last finished call; 0 before the first.
    pub fn last_sequence(&self) -> u64 {
        self.lock().next - 1
    }

    /// Forgets all records; sequence numbers go on.
    pub fn clear(&self) {
        let mut inner = self.lock();
        inner.calls.clear();
        inner.changes.clear();
    }

    pub(crate) fn page(&self, changes_only: bool, after: u64, limit: usize) -> Vec<CallRecord> {
        let inner = self.lock();
        newer(if changes_only { &inner.changes } else { &inner.calls }, after, limit)
    }

    pub(crate) fn push(&self, mut record: CallRecord) {
        let mut inner = self.lock();
        record.sequence = inner.next;
        inner.next += 1;
        let capacity = inner.capacity;
        if record.changed {
            keep(&mut inner.changes, record.clone(), capacity);
        }
        keep(&mut inner.calls, record, capacity);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn newer(records: &VecDeque<CallRecord>, after: u64, limit: usize) -> Vec<CallRecord> {
    let from = records.partition_point(|record| record.sequence <= after);
    records.iter().skip(from).take(limit).cloned().collect()
}

fn keep(records: &mut VecDeque<CallRecord>, record: CallRecord, capacity: usize) {
    if records.len() >= capacity {
        records.pop_front();
    }
    if capacity > 0 {
        records.push_back(record);
    }
}
