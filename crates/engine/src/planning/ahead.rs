//! What is remembered of cases that are planned again, so that the same thing is not told twice. It is
//! lost with the process; then it may be told once more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::{CaseId, TaskId};

use crate::inventory::{Listings, Ticket};

/// Cases that are planned again.
#[derive(Default)]
pub(crate) struct Ahead(Mutex<BTreeMap<CaseId, Memory>>);

/// What earlier plans of a case told.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    /// Drawn when the case was first claimed: its listings are to begin after this.
    pub(super) ticket: Ticket,
    /// Whether an earlier plan is remembered at all.
    pub(super) planned: bool,
    /// Findings that were told.
    pub(super) findings: BTreeSet<Finding>,
    /// Blocked tasks that were told.
    pub(super) blocked: BTreeSet<TaskId>,
    /// That it waits for a listing was written down.
    pub(super) waiting: bool,
    /// Plans in a row that left only what is asked for slowly.
    pub(super) slow: u32,
}

impl Ahead {
    /// What is remembered of a case.
    pub(super) fn of(&self, case: &CaseId, listings: &Listings) -> Memory {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Memory {
            ticket: listings.ticket(),
            planned: false,
            findings: BTreeSet::new(),
            blocked: BTreeSet::new(),
            waiting: false,
            slow: 0,
        };
        all.entry(case.clone()).or_insert_with(fresh).clone()
    }

    /// A plan was stored that leaves something to be planned again.
    pub(super) fn keep(&self, case: &CaseId, memory: Memory) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(case.clone(), memory);
    }

    /// Nothing is left to be planned.
    pub(super) fn forget(&self, case: &CaseId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(case);
    }
}
