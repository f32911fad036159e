//! What a selector names: asked of the inventory, and of the provider where the inventory is behind.

use futures::{StreamExt, TryStreamExt, stream};
use severance_lifecycle::event::{Selector, SelectorTarget};
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::plan::{Identity, SelectorMatch};
use severance_lifecycle::task::{BlockReason, Lane};
use thiserror::Error;

use crate::guard::is_user;
use crate::ports::{KeyLocation, LedgerError};
use crate::reach;
use crate::shared::Shared;

/// Lookups of one case at a time.
const AT_ONCE: usize = 16;

/// Why a lookup failed; the case is planned again later.
#[derive(Debug, Error)]
pub(crate) enum Unanswered {
    #[error("the provider did not answer")]
    Provider(#[source] Failure),
    #[error("not every account was listed yet")]
    NotListed,
    #[error("the ledger did not answer")]
    Ledger(#[from] LedgerError),
}

/// Resolves selectors, in their order.
pub(crate) async fn all(
    shared: &Shared,
    selectors: Vec<Selector>,
    lane: Lane,
) -> Result<Vec<SelectorMatch>, Unanswered> {
    stream::iter(selectors)
        .map(|selector| one(shared, selector, lane))
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

async fn one(shared: &Shared, selector: Selector, lane: Lane) -> Result<SelectorMatch, Unanswered> {
    let (identities, refused) = match identities(shared, &selector, lane).await {
        Ok(answer) => answer,
        // One selector that cannot be looked up is blocked; it does not hold up the others.
        Err(Unanswered::Provider(failure)) if failure.class == FailureClass::Cannot => {
            let Failure { operation, code, message, .. } = failure;
            (Vec::new(), Some(BlockReason::Refused { operation, code, message }))
        }
        Err(error) => return Err(error),
    };
    let mut matched = Vec::with_capacity(identities.len());
    for identity in identities {
        let roles = if is_user(&identity) {
            reach::roles(shared, &identity, lane).await?
        } else {
            Vec::new()
        };
        matched.push((identity, roles));
    }
    Ok(SelectorMatch { selector, identities: matched, refused })
}

type Answer = (Vec<Identity>, Option<BlockReason>);

async fn identities(
    shared: &Shared,
    selector: &Selector,
    lane: Lane,
) -> Result<Answer, Unanswered> {
    if is_found_by_listing(selector) && !shared.listings.cover(&shared.provider.accounts()) {
        // What is bound to a contract in an account that was never listed would be missed for ever.
        return Err(Unanswered::NotListed);
    }
    if matches!(selector.target, SelectorTarget::Secret(_)) {
        return Ok((Vec::new(), Some(BlockReason::SecretSelector)));
    }
    let known = shared.ledger.find_identities(selector).await?;
    if !known.is_empty() {
        return Ok((known, None));
    }
    match &selector.target {
        SelectorTarget::AccessKeyId(key_id) => locate(shared, key_id, selector, lane).await,
        SelectorTarget::User(_) | SelectorTarget::Role(_) => {
            let found = shared.provider.find(selector, lane).await;
            Ok((found.map_err(Unanswered::Provider)?, None))
        }
        SelectorTarget::Contract(_)
        | SelectorTarget::Zone(_)
        | SelectorTarget::Tags(_)
        | SelectorTarget::Secret(_) => Ok((Vec::new(), None)),
    }
}

/// Whether only the inventory can answer.
fn is_found_by_listing(selector: &Selector) -> bool {
    matches!(
        selector.target,
        SelectorTarget::Contract(_) | SelectorTarget::Zone(_) | SelectorTarget::Tags(_)
    )
}

async fn locate(
    shared: &Shared,
    key_id: &str,
    selector: &Selector,
    lane: Lane,
) -> Result<Answer, Unanswered> {
    let found = shared.provider.locate_key(key_id, lane).await.map_err(Unanswered::Provider)?;
    let refused = match found {
        KeyLocation::User(user) => {
            let elsewhere = selector.account.as_ref().is_some_and(|only| *only != user.account);
            if !elsewhere {
                return Ok((vec![*user], None));
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
    };
    Ok((Vec::new(), Some(refused)))
}
