//! What belongs to what selectors matched: secrets that hand out a matched user's keys or what a matched
//! secret does, and the users of the keys that secrets hand out.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use severance_lifecycle::case::Case;
use severance_lifecycle::event::{Selector, SelectorTarget};
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::plan::{Identity, IdentityDetail, Planner, SelectorMatch, Ties};
use severance_lifecycle::secret::Holding;
use severance_lifecycle::task::{BlockReason, Lane};

use crate::planning::pages::Pages;
use crate::ports::{KeyLocation, LedgerError};
use crate::shared::Shared;

/// Lookups at a time.
const AT_ONCE: usize = 16;

/// What was looked up.
pub(crate) struct Tied {
    pub(crate) ties: Ties,
    /// Secrets whose key's user could not be looked up, in a way that may pass.
    pub(crate) failures: Vec<(Selector, Failure)>,
}

/// Looks up what belongs to what was matched, and to what earlier plans exposed. The ledger is asked; the provider only of keys in secrets that
/// no listed user has.
pub(crate) async fn of(
    shared: &Shared,
    found: &[SelectorMatch],
    exposed: &BTreeSet<Holding>,
    lane: Lane,
) -> Result<Tied, LedgerError> {
    let matched = || found.iter().flat_map(|one| &one.identities).map(|(it, _)| it);
    let mut wanted: BTreeSet<Holding> = matched().flat_map(holdings).collect();
    wanted.extend(exposed.iter().cloned());
    for one in found {
        if let SelectorTarget::AccessKeyId(key_id) = &one.selector.target {
            wanted.insert(Holding::AccessKey { key_id: key_id.clone() });
        }
    }
    let wanted: Vec<_> = wanted.into_iter().collect();
    let secrets = match wanted[..] {
        [] => Vec::new(),
        _ => shared.ledger.secrets_holding(&wanted).await?,
    };
    let held: BTreeSet<String> = matched()
        .chain(&secrets)
        .filter_map(|identity| identity.secret())
        .flat_map(|(_, detail)| detail.key_ids().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let users: BTreeMap<&str, &Identity> = matched().flat_map(keys_of).collect();
    let owners = owners(shared, held, &users, lane).await?;
    let failed: BTreeMap<&str, &Failure> = owners
        .iter()
        .filter_map(|(id, owner)| Some((id.as_str(), owner.failure.as_ref()?)))
        .collect();
    let failures = matched().chain(&secrets).filter_map(|identity| {
        let (_, detail) = identity.secret()?;
        let failure = detail.key_ids().find_map(|id| failed.get(id))?;
        let target = SelectorTarget::Secret(identity.arn.clone());
        let account = Some(identity.account.clone());
        Some((Selector { target, account, region: None }, (*failure).clone()))
    });
    let failures = failures.collect();
    let owners = owners.into_iter().map(|(id, owner)| (id, owner.answer)).collect();
    Ok(Tied { ties: Ties { owners, secrets, leaving: BTreeSet::new() }, failures })
}

/// Whose the keys are: of a matched user, or looked up.
async fn owners(
    shared: &Shared,
    held: BTreeSet<String>,
    users: &BTreeMap<&str, &Identity>,
    lane: Lane,
) -> Result<Vec<(String, Owner)>, LedgerError> {
    stream::iter(held)
        .map(|key_id| async {
            let owner = match users.get(key_id.as_str()) {
                Some(user) => Ok(Owner::known((*user).clone())),
                None => owner(shared, &key_id, lane).await,
            };
            owner.map(|owner| (key_id, owner))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

/// Who leaves with a contract, by ARN and by unique id, as the inventory knows them.
pub(crate) async fn leavers(
    shared: &Shared,
    planner: &Planner<'_>,
    case: &Case,
    contract: &Selector,
) -> Result<BTreeSet<String>, LedgerError> {
    let mut leavers = BTreeSet::new();
    let mut pages = Pages::of(shared, contract, true);
    while let Some(bound) = pages.next().await? {
        let users = bound.into_iter().filter(|identity| identity.user().is_some());
        let theirs = users.filter(|user| planner.belongs_elsewhere(case, user).is_none());
        leavers.extend(theirs.flat_map(|user| [user.arn, user.unique_id]));
    }
    Ok(leavers)
}

fn holdings(identity: &Identity) -> Vec<Holding> {
    match &identity.detail {
        IdentityDetail::User { access_keys, .. } => {
            let holding = |key_id: &String| Holding::AccessKey { key_id: key_id.clone() };
            access_keys.iter().map(holding).collect()
        }
        IdentityDetail::Secret(detail) => detail.holds.iter().cloned().collect(),
        IdentityDetail::Role { .. } => Vec::new(),
    }
}

fn keys_of(identity: &Identity) -> Vec<(&str, &Identity)> {
    match &identity.detail {
        IdentityDetail::User { access_keys, .. } => {
            access_keys.iter().map(|key_id| (key_id.as_str(), identity)).collect()
        }
        IdentityDetail::Role { .. } | IdentityDetail::Secret(_) => Vec::new(),
    }
}

struct Owner {
    answer: Result<Identity, BlockReason>,
    failure: Option<Failure>,
}

impl Owner {
    fn known(user: Identity) -> Self {
        Self { answer: Ok(user), failure: None }
    }
}

/// Whose a key is: by the inventory, and by the provider where it is newer than that.
async fn owner(shared: &Shared, key_id: &str, lane: Lane) -> Result<Owner, LedgerError> {
    let target = SelectorTarget::AccessKeyId(key_id.to_owned());
    let selector = Selector { target, account: None, region: None };
    if let Some(user) = shared.ledger.find_identities(&selector).await?.into_iter().next() {
        return Ok(Owner::known(user));
    }
    let reason = match shared.provider.locate_key(key_id, lane).await {
        Ok(KeyLocation::User(user)) => return Ok(Owner::known(*user)),
        Ok(KeyLocation::Root { .. }) => BlockReason::RootKey,
        Ok(KeyLocation::OtherAccount { account }) => {
            BlockReason::AccountNotConfigured { account: account.0 }
        }
        Ok(KeyLocation::Session { .. }) => BlockReason::SessionKey,
        Ok(KeyLocation::Unknown | KeyLocation::NotInAccount { .. }) => BlockReason::UnknownKey,
        Err(failure) => {
            let Failure { operation, code, message, .. } = failure.clone();
            let answer = Err(BlockReason::Refused { operation, code, message });
            let passes = failure.class != FailureClass::Cannot;
            return Ok(Owner { answer, failure: passes.then_some(failure) });
        }
    };
    Ok(Owner { answer: Err(reason), failure: None })
}
