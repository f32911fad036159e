//! Plans that could not be drawn up, and are tried again.

use severance_lifecycle::failure::FailureClass;
use severance_lifecycle::journal::Happening;
use severance_lifecycle::task::BlockReason;

use super::ahead::Memory;
use super::times::LISTING;
use crate::ports::{ClaimedCase, PlanCommit};
use crate::resolve::Unanswered;
use crate::shared::Shared;
use crate::telling::Telling;

/// Planning failed: the case stays as it is and is planned again.
pub(super) fn postponed(
    shared: &Shared,
    claimed: &ClaimedCase,
    error: &Unanswered,
    memory: &mut Memory,
) -> PlanCommit {
    let now = shared.now();
    let mut telling = Telling::default();
    let retries = shared.config.retries;
    let growth = match error {
        Unanswered::Provider(failure) => {
            let failed = Happening::Failed { action: None, failure: failure.clone() };
            telling.case(&claimed.case.id, now, failed);
            if failure.class == FailureClass::RetryLater { retries.later } else { retries.soon }
        }
        Unanswered::Ledger(error) => {
            shared.ledger_failed("look up what an event names", error);
            retries.soon
        }
        Unanswered::NotListed => LISTING,
    };
    let again_at = now + shared.delay(growth, claimed.attempts.saturating_add(1));
    if matches!(error, Unanswered::NotListed) && !memory.waiting {
        memory.waiting = true;
        let reason = BlockReason::NotListed.to_string();
        telling.case(&claimed.case.id, now, Happening::Waiting { until: again_at, reason });
    }
    PlanCommit {
        state: claimed.case.state.clone(),
        tasks: Vec::new(),
        in_portions: false,
        resolved: Vec::new(),
        journal: telling.journal,
        messages: Vec::new(),
        again_at: Some(again_at),
    }
}
