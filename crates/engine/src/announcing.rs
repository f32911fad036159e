//! An inbox that announces compromise notices before they are committed, so that lower lanes hold
//! their calls from the commit on.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use severance_lifecycle::event::Trigger;
use severance_lifecycle::finding::Finding;

use crate::ports::{Acceptance, Arrival, Inbox, LedgerError};
use crate::urgency::Urgency;

/// Decorates the ledger's way in.
pub struct AnnouncingInbox<L: ?Sized> {
    inner: Arc<L>,
    urgency: Arc<Urgency>,
}

impl<L: Inbox + ?Sized> AnnouncingInbox<L> {
    /// Announces to `urgency` what goes into `inner`.
    pub fn new(inner: Arc<L>, urgency: Arc<Urgency>) -> Self {
        Self { inner, urgency }
    }
}

#[async_trait]
impl<L: Inbox + ?Sized> Inbox for AnnouncingInbox<L> {
    async fn accept(&self, batch: Vec<Arrival>) -> Result<Vec<Acceptance>, LedgerError> {
        let urgent = batch.iter().any(|arrival| {
            arrival.parsed.as_ref().is_ok_and(|e| e.trigger() == Trigger::CompromiseNotice)
        });
        let hold = urgent.then(|| self.urgency.hold());
        let accepted = self.inner.accept(batch).await;
        if urgent {
            // Also after a failure: a commit that failed may have been stored all the same.
            self.urgency.raise();
        } else {
            self.urgency.ring();
        }
        drop(hold);
        self.urgency.written();
        accepted
    }

    async fn alarm(&self, finding: &Finding, at: DateTime<Utc>) -> Result<(), LedgerError> {
        self.inner.alarm(finding, at).await
    }
}
