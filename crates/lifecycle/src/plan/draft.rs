//! A plan while it is made.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::inventory::Identity;
use super::portions::Portions;
use super::ties::Ties;
use crate::case::Case;
use crate::finding::Finding;
use crate::ids::TaskId;
use crate::task::Task;

/// A plan while it is made.
pub(super) struct Draft<'a> {
    pub(super) case: &'a Case,
    pub(super) ties: &'a Ties,
    pub(super) portions: &'a Portions,
    pub(super) now: DateTime<Utc>,
    /// Each target once.
    pub(super) tasks: BTreeMap<TaskId, Task>,
    pub(super) findings: Vec<Finding>,
    /// The secrets that have a task, by ARN.
    pub(super) secrets: BTreeMap<String, (TaskId, &'a Identity)>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        case: &'a Case,
        ties: &'a Ties,
        portions: &'a Portions,
        now: DateTime<Utc>,
    ) -> Self {
        let (tasks, findings, secrets) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        Self { case, ties, portions, now, tasks, findings, secrets }
    }

    /// Adds a task; one whose target has one already stays as it was.
    pub(super) fn add(&mut self, task: Task) -> TaskId {
        let id = task.id.clone();
        self.tasks.entry(id.clone()).or_insert(task);
        id
    }

    pub(super) fn find(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}
