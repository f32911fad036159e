//! What a selector names: asked of the inventory, and of the provider where the inventory is behind.

use futures::{StreamExt, TryStreamExt, stream};
use severance_lifecycle::event::{Selector, SelectorTarget};
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::plan::{Identity, SelectorMatch};
use severance_lifecycle::task::{BlockReason, Lane};
use thiserror::Error;

use crate::inventory::{Pressing, Ticket};
use crate::ports::{KeyLocation, LedgerError};
use crate::shared::Shared;

/// Lookups of one case at a time, and of one name in several accounts.
const AT_ONCE: usize = 16;

/// Why a lookup failed.
#[derive(Debug, Error)]
pub(crate) enum Unanswered {
    #[error("the provider did not answer")]
    Provider(#[source] Failure),
    #[error("not every account was listed yet")]
    NotListed,
    #[error("the ledger did not answer")]
    Ledger(#[from] LedgerError),
}

/// How selectors are looked up.
#[derive(Clone, Copy)]
pub(crate) struct Asking {
    /// Whose budget the calls use.
    pub(crate) lane: Lane,
    /// A listing must have begun after this was drawn; `None`: any listing will do.
    pub(crate) ticket: Option<Ticket>,
    /// What was listed before was planned already: it is looked up again only once it is known in full.
    pub(crate) again: bool,
}

/// What a selector came to.
pub(crate) struct Resolved {
    pub(crate) matched: SelectorMatch,
    /// What matched is to be read from the inventory, page by page: it may be very much.
    pub(crate) in_pages: bool,
    /// The lookup failed, in part or in full, in a way that may pass.
    pub(crate) failure: Option<Failure>,
}

impl Resolved {
    /// Whether a listing is waited for.
    pub(crate) fn is_unlisted(&self) -> bool {
        self.matched.refused.as_ref().is_some_and(BlockReason::waits_for_listing)
    }
}

/// Resolves selectors, in their order. One that cannot be looked up does not hold up the others.
pub(crate) async fn all(
    shared: &Shared,
    selectors: Vec<Selector>,
    asking: Asking,
) -> Result<Vec<Resolved>, LedgerError> {
    stream::iter(selectors)
        .map(|selector| one(shared, selector, asking))
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

async fn one(shared: &Shared, selector: Selector, asking: Asking) -> Result<Resolved, LedgerError> {
    let answer = match &selector.target {
        SelectorTarget::Secret(_) => {
            let known = shared.ledger.find_identities(&selector).await?;
            // What had no answer may be tagged otherwise by now.
            if known.is_empty() || asking.again {
                by_name(shared, &selector, known, asking.lane).await
            } else {
                Answer::found(known)
            }
        }
        SelectorTarget::Contract(_) | SelectorTarget::Zone(_) | SelectorTarget::Tags(_) => {
            by_listing(shared, &selector, asking)
        }
        SelectorTarget::AccessKeyId(key_id) => {
            let known = shared.ledger.find_identities(&selector).await?;
            if known.is_empty() {
                locate(shared, key_id, &selector, asking.lane).await
            } else {
                Answer::found(known)
            }
        }
        SelectorTarget::User(_) | SelectorTarget::Role(_) => {
            let known = shared.ledger.find_identities(&selector).await?;
            by_name(shared, &selector, known, asking.lane).await
        }
    };
    let Answer { identities, in_pages, refused, failure } = answer;
    // Which roles they can reach is looked up after the first blow: see `reach`.
    let identities = identities.into_iter().map(|identity| (identity, Vec::new())).collect();
    Ok(Resolved { matched: SelectorMatch { selector, identities, refused }, in_pages, failure })
}

#[derive(Default)]
struct Answer {
    identities: Vec<Identity>,
    in_pages: bool,
    refused: Option<BlockReason>,
    failure: Option<Failure>,
}

impl Answer {
    fn found(identities: Vec<Identity>) -> Self {
        Self { identities, ..Self::default() }
    }

    fn refused(reason: BlockReason) -> Self {
        Self { refused: Some(reason), ..Self::default() }
    }

    fn failed(identities: Vec<Identity>, failure: Failure) -> Self {
        let Failure { operation, code, message, .. } = failure.clone();
        let refused = Some(BlockReason::Refused { operation, code, message });
        let passes = failure.class != FailureClass::Cannot;
        Self { identities, in_pages: false, refused, failure: passes.then_some(failure) }
    }
}

/// What only the inventory can answer. An identity that was made and tagged since the last listing would
/// be missed for ever: a newer one is asked for, and what is known meanwhile need not wait.
fn by_listing(shared: &Shared, selector: &Selector, asking: Asking) -> Answer {
    let accounts = accounts(shared, selector);
    let urgent = asking.lane == Lane::Compromise;
    let pressing = if urgent { Pressing::Blow } else { Pressing::Not };
    let listed = match asking.ticket {
        Some(ticket) => shared.listings.began_after(&accounts, ticket, pressing),
        None => shared.listings.cover(&accounts),
    };
    if !listed && asking.again {
        return Answer::refused(BlockReason::NotListed);
    }
    let refused = (!listed).then_some(BlockReason::NotListed);
    Answer { in_pages: true, refused, ..Answer::default() }
}

/// Who has a name now: since the last listing it may have been given to another, or to one in another
/// account too. What the inventory knows beside that is deleted or not found yet: it is looked at.
async fn by_name(shared: &Shared, selector: &Selector, known: Vec<Identity>, lane: Lane) -> Answer {
    let lookups = accounts(shared, selector).into_iter().map(|account| async move {
        let here = Selector { account: Some(account), ..selector.clone() };
        shared.provider.find(&here, lane).await
    });
    let answers: Vec<_> = stream::iter(lookups).buffered(AT_ONCE).collect().await;
    let mut identities = Vec::new();
    let mut failure: Option<Failure> = None;
    for answer in answers {
        match answer {
            Ok(found) => identities.extend(found),
            // What passes is asked again soon; what does not stands until nothing else is wrong.
            Err(failed) if failed.class == FailureClass::Cannot => {
                failure.get_or_insert(failed);
            }
            Err(failed) => failure = Some(failed),
        }
    }
    let live = identities.len();
    for identity in known {
        let is_same = |other: &Identity| match (other.secret(), identity.secret()) {
            (Some((other, _)), Some((secret, _))) => {
                other.account == secret.account
                    && other.region == secret.region
                    && other.name == secret.name
            }
            (None, None) => {
                other.account == identity.account
                    && other.name == identity.name
                    && other.user().is_some() == identity.user().is_some()
            }
            _ => false,
        };
        if !identities.iter().take(live).any(is_same) {
            identities.push(identity);
        }
    }
    match failure {
        Some(failure) => Answer::failed(identities, failure),
        None => Answer::found(identities),
    }
}

fn accounts(shared: &Shared, selector: &Selector) -> Vec<severance_lifecycle::ids::AccountId> {
    let all = shared.provider.accounts();
    all.into_iter().filter(|id| selector.account.as_ref().is_none_or(|only| only == id)).collect()
}

async fn locate(shared: &Shared, key_id: &str, selector: &Selector, lane: Lane) -> Answer {
    let found = match shared.provider.locate_key(key_id, lane).await {
        Ok(found) => found,
        Err(failure) => return Answer::failed(Vec::new(), failure),
    };
    Answer::refused(match found {
        KeyLocation::User(user) => {
            let elsewhere = selector.account.as_ref().is_some_and(|only| *only != user.account);
            if !elsewhere {
                return Answer::found(vec![*user]);
            }
            BlockReason::NotFound
        }
        KeyLocation::Root { .. } => BlockReason::RootKey,
        KeyLocation::OtherAccount { account } => {
            BlockReason::AccountNotConfigured { account: account.0 }
        }
        KeyLocation::Session { .. } => BlockReason::SessionKey,
        KeyLocation::Unknown => BlockReason::UnknownKey,
        KeyLocation::NotInAccount { .. } => BlockReason::NotFound,
    })
}
