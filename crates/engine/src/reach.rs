//! Which roles an identity could assume, directly and through chains of roles.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use severance_lifecycle::event::{Selector, SelectorTarget};
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::observe::AssumableRole;
use severance_lifecycle::plan::Identity;
use severance_lifecycle::task::{Lane, Task};

use crate::resolve::Unanswered;
use crate::shared::Shared;

/// Chained sessions live an hour at most (AWS: IAM User Guide, "Role chaining"), and a chain longer
/// than this has not been seen in the field.
const LONGEST_CHAIN: usize = 8;

/// Every role within reach of a user, nearest first.
pub(crate) async fn roles(
    shared: &Shared,
    user: &Identity,
    lane: Lane,
) -> Result<Vec<AssumableRole>, Unanswered> {
    let mut reached: Vec<AssumableRole> = Vec::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut from = vec![user.clone()];
    for _ in 0..LONGEST_CHAIN {
        let mut next = Vec::new();
        for identity in &from {
            let candidates: Vec<Identity> = shared
                .ledger
                .roles_trusting(&principals(identity))
                .await?
                .into_iter()
                .filter(|role| !seen.contains(&role.arn))
                .collect();
            if candidates.is_empty() {
                continue;
            }
            let assumable = shared.provider.assumable(identity, &candidates, lane).await;
            for role in assumable.map_err(Unanswered::Provider)? {
                let whole = candidates.iter().find(|c| c.role().as_ref() == Some(&role.role));
                if let Some(whole) = whole.filter(|whole| seen.insert(whole.arn.clone())) {
                    next.push(whole.clone());
                    reached.push(role);
                }
            }
        }
        if next.is_empty() {
            break;
        }
        from = next;
    }
    Ok(reached)
}

/// Looks the roles within reach of a task's user up: at first, since planning leaves that to be done
/// after the first blow, and again where an account was listed since, since a role may be made later.
pub(crate) async fn look_up_again(
    shared: &Shared,
    task: &mut Task,
    known: Option<&Identity>,
) -> Result<(), Unanswered> {
    let newest = shared.listings.newest();
    let is_known = |since| newest.is_none_or(|listed| listed < since);
    if task.record.reach_looked_up.is_some_and(is_known) {
        return Ok(());
    }
    // Never before the listing itself, or a clock that was set back would ask without end.
    let now = newest.map_or(shared.now(), |at| shared.now().max(at + TimeDelta::milliseconds(1)));
    let found = match whose(shared, task, known).await? {
        Some(user) => roles(shared, &user, task.lane).await?,
        None => Vec::new(),
    };
    for role in found {
        if !task.assumable.iter().any(|known| known.role == role.role) {
            task.assumable.push(role);
            // It was not looked at when all that was known was closed.
            task.record.sealed_since = None;
        }
    }
    shared.protected().spare(&mut task.assumable);
    task.record.reach_looked_up = Some(now);
    Ok(())
}

/// The user that a task is about, as the inventory knows it, else (it is newer than that) as it is now;
/// `None` where there is none any more.
async fn whose(
    shared: &Shared,
    task: &Task,
    known: Option<&Identity>,
) -> Result<Option<Identity>, Unanswered> {
    let Some(user) = task.user_within_reach() else { return Ok(None) };
    let same = |identity: &Identity| identity.user().as_ref() == Some(user);
    if let Some(listed) = known.filter(|identity| same(identity)) {
        return Ok(Some(listed.clone()));
    }
    let target = SelectorTarget::User(user.name.clone());
    let selector = Selector { target, account: Some(user.account.clone()), region: None };
    let found = shared.provider.find(&selector, task.lane).await.map_err(Unanswered::Provider)?;
    Ok(found.into_iter().find(same))
}

/// Every way in which a trust policy can name an identity.
fn principals(identity: &Identity) -> Vec<String> {
    let mut names = account_principals(&identity.account, &identity.arn);
    names.push(identity.arn.clone());
    names.push(identity.unique_id.clone());
    names.push("*".to_owned());
    names
}

/// A whole account, by its id and by its root's ARN in the partition of `arn`.
pub(crate) fn account_principals(account: &AccountId, arn: &str) -> Vec<String> {
    let partition = arn.split(':').nth(1).unwrap_or("aws");
    vec![account.0.clone(), format!("arn:{partition}:iam::{account}:root")]
}
