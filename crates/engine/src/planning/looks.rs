//! Secrets that hand out what a notice names. A listing may be hours old, so they are known in full only from one
//! that began after the notice. What it names dies at once; its case stays open until that listing was looked at.

use std::sync::Arc;

use severance_lifecycle::event::{Selector, SelectorTarget, Trigger};
use severance_lifecycle::plan::{Identity, IdentityDetail, Portions, Protected, SelectorMatch};
use severance_lifecycle::task::{BlockReason, Task, TaskState};

use super::unresolved_id;
use crate::inventory::{Pressing, Ticket};
use crate::ports::ClaimedCase;
use crate::resolve::Resolved;
use crate::shared::Shared;

/// What is looked for in one plan.
pub(super) struct Looks<'a> {
    claimed: &'a ClaimedCase,
    protected: Arc<Protected>,
    listed: bool,
    /// What was planned before.
    pub(super) portions: Portions,
}

impl<'a> Looks<'a> {
    /// Asks for a listing where it is needed, but not at first, and not while more urgent work is due than there
    /// is room for: a burst of notices has its blows before its listing, and all of it the same one.
    pub(super) fn new(shared: &Shared, claimed: &'a ClaimedCase, ticket: Ticket) -> Self {
        let asks = !claimed.looked_on.is_empty() && !shared.urgency.is_crowded();
        let accounts = shared.provider.accounts();
        let listed = if asks {
            shared.listings.began_after(&accounts, ticket, Pressing::Proof)
        } else {
            shared.listings.have_begun_after(&accounts, ticket)
        };
        Self { claimed, protected: shared.protected(), listed, portions: earlier(claimed) }
    }

    /// Selectors whose own tasks are planned, and whose secrets no listing has shown yet; and the others.
    pub(super) fn still_waiting(&self, selectors: Vec<Selector>) -> (Vec<Resolved>, Vec<Selector>) {
        if self.listed {
            return (Vec::new(), selectors);
        }
        let (waiting, others): (Vec<_>, Vec<_>) =
            selectors.into_iter().partition(|selector| self.was_planned(selector));
        let refused = Some(BlockReason::SecretsNotListed);
        let waiting = waiting.into_iter().map(|selector| {
            let refused = refused.clone();
            let matched = SelectorMatch { selector, identities: Vec::new(), refused };
            Resolved { matched, in_pages: false, failure: None }
        });
        (waiting.collect(), others)
    }

    /// What was looked up now waits for its secrets to be listed; what did before, and is gone by now, is no
    /// selector without an answer.
    pub(super) fn look_on(&mut self, resolved: &mut [Resolved]) {
        if self.claimed.case.trigger != Trigger::CompromiseNotice {
            return;
        }
        for Resolved { matched, failure, .. } in resolved {
            if self.was_planned(&matched.selector) {
                if failure.is_none() && matched.identities.is_empty() {
                    matched.refused = None;
                    self.portions.planned(matched.selector.clone());
                }
            } else if !self.listed && matched.refused.is_none() && self.may_be_handed_out(matched) {
                matched.refused = Some(BlockReason::SecretsNotListed);
            }
        }
    }

    /// Whether a secret may hand out what was matched. What is never touched is revoked in no secret either.
    fn may_be_handed_out(&self, matched: &SelectorMatch) -> bool {
        let holds = |identity: &Identity| match &identity.detail {
            IdentityDetail::User { access_keys, .. } => !access_keys.is_empty(),
            IdentityDetail::Secret(detail) => !detail.holds.is_empty(),
            IdentityDetail::Role { .. } => false,
        };
        let named = match matched.selector.target {
            SelectorTarget::AccessKeyId(_)
            | SelectorTarget::User(_)
            | SelectorTarget::Secret(_) => true,
            // These are known from such a listing alone.
            SelectorTarget::Role(_)
            | SelectorTarget::Contract(_)
            | SelectorTarget::Zone(_)
            | SelectorTarget::Tags(_) => false,
        };
        let mut touched =
            matched.identities.iter().filter(|(identity, _)| !self.protected.has(&identity.arn));
        named && touched.any(|(identity, _)| holds(identity))
    }

    fn was_planned(&self, selector: &Selector) -> bool {
        self.claimed.looked_on.contains(&unresolved_id(self.claimed, selector))
    }
}

/// What earlier plans of the case leave to know. What they exposed is looked for as long as a listing is waited
/// for, and not later: nothing new is to slip into an old case.
fn earlier(claimed: &ClaimedCase) -> Portions {
    let mut portions = Portions::default();
    claimed.secrets.iter().for_each(|task| portions.stands(task));
    let is_notice = claimed.case.trigger == Trigger::CompromiseNotice;
    if is_notice && !claimed.looked_on.is_empty() {
        claimed.secrets.iter().for_each(|task| portions.left_behind(task));
        claimed.keys.iter().for_each(|key_id| portions.dies(key_id));
    }
    portions
}

/// That no secret holds a key that is to be replaced is said only by a listing that began after the event.
pub(super) fn awaits_listing(shared: &Shared, ticket: Ticket, task: &mut Task) {
    let TaskState::Blocked { reason } = &mut task.state else { return };
    let in_none = *reason == BlockReason::KeyInNoSecret;
    let accounts = shared.provider.accounts();
    if in_none && !shared.listings.began_after(&accounts, ticket, Pressing::Not) {
        *reason = BlockReason::NotListed;
    }
}
