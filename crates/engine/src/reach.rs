//! Which roles an identity could assume, directly and through chains of roles.

use std::collections::BTreeSet;

use severance_lifecycle::ids::AccountId;
use severance_lifecycle::observe::AssumableRole;
use severance_lifecycle::plan::Identity;
use severance_lifecycle::task::Lane;

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
