//! What the sandbox does by itself once its time has come.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::secret::Content;

/// Work that waits for its time, in the order in which it falls due.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    jobs: BTreeMap<(DateTime<Utc>, u64), Job>,
    number: u64,
}

/// Something to do to one secret.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) place: Place,
    /// Tells the secret from a later one of the same name.
    pub(crate) arn: String,
    pub(crate) task: Task,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) name: String,
}

#[derive(Debug, Clone)]
pub(crate) enum Task {
    /// The primary's content, as it was, arrives in another region.
    Replicate { to: String, number: u64, content: Box<Content> },
    /// The recovery window has passed.
    Erase,
    /// The schedule says that it is time.
    Rotate,
    /// A rotation function makes the new value.
    MakePending { run: u64 },
    /// A rotation function promotes the new value, which was not to be before `earliest`.
    Promote { run: u64, earliest: DateTime<Utc> },
}

impl Agenda {
    pub(crate) fn add(&mut self, due: DateTime<Utc>, job: Job) {
        self.number += 1;
        self.jobs.insert((due, self.number), job);
    }

    /// A number above all that were given before.
    pub(crate) fn number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Takes the first job that is due by `now`, with its time.
    pub(crate) fn next_due(&mut self, now: DateTime<Utc>) -> Option<(DateTime<Utc>, Job)> {
        let entry = self.jobs.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((due, _), job) = entry.remove_entry();
        Some((due, job))
    }

    /// Makes what only waits for changes to spread due at `now`.
    pub(crate) fn settle(&mut self, now: DateTime<Utc>) {
        for ((due, number), job) in std::mem::take(&mut self.jobs) {
            let due = match job.task {
                Task::Replicate { .. } => due.min(now),
                Task::Promote { earliest, .. } => due.min(earliest.max(now)),
                Task::Erase | Task::Rotate | Task::MakePending { .. } => due,
            };
            self.jobs.insert((due, number), job);
        }
    }
}
