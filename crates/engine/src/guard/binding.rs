//! Where a task belongs, judged again: tags may have been put right since it was planned.

use severance_lifecycle::credential::Target;
use severance_lifecycle::event::{Selector, SelectorTarget, Trigger};
use severance_lifecycle::plan::{Flattened, Identity, another_zone, vouches};
use severance_lifecycle::policy::Desired;
use severance_lifecycle::secret::Issuer;
use severance_lifecycle::task::{BlockReason, Task, TaskState};

use super::known;
use crate::ports::LedgerError;
use crate::shared::Shared;

/// Binds a task anew that planning refused for its tags, or for those of the user whose key its secret holds.
/// Answers why it stays refused. Also says anew whether that user's own tags name the secret's zone.
pub(super) async fn judge(
    shared: &Shared,
    task: &mut Task,
) -> Result<Option<BlockReason>, LedgerError> {
    let refused = match &task.state {
        TaskState::Blocked {
            reason:
                reason @ (BlockReason::FlattenedBoundary { .. } | BlockReason::UserOfAnotherZone { .. }),
        } => Some(reason.clone()),
        TaskState::Blocked { .. } | TaskState::Open => None,
        _ => return Ok(None),
    };
    let is_rotated = task.desired == Desired::Rotated;
    // Nothing else goes by it, and this is looked up at every claim.
    let asks =
        is_rotated && task.trigger == Trigger::CompromiseNotice && !task.record.rotation.possessed;
    if refused.is_none() && !asks {
        return Ok(None);
    }
    let user = key_user(shared, &task.target).await?;
    let stays = match refused {
        Some(reason) => bind(shared, task, user.as_ref(), reason).await?,
        None => None,
    };
    if let Some(user) = user.filter(|_| is_rotated) {
        let vouched = vouches(&shared.config.tag_keys, &user, &task.binding.zone);
        task.record.rotation.vouched = vouched;
    }
    Ok(stays)
}

async fn bind(
    shared: &Shared,
    task: &mut Task,
    user: Option<&Identity>,
    reason: BlockReason,
) -> Result<Option<BlockReason>, LedgerError> {
    let holds_key = matches!(&task.target, Target::Secret { issuer: Issuer::AccessKey { .. }, .. });
    if holds_key && user.is_none() {
        return Ok(Some(reason));
    }
    let Some(identity) = known(shared, &task.target).await? else { return Ok(Some(reason)) };
    let keys = &shared.config.tag_keys;
    // As in planning: a secret that says nothing is bound by the user whose key it holds.
    let (zones, contracts) = identity.tagged(keys);
    let says_nothing = zones.is_empty() && contracts.is_empty();
    let bound_by = user.filter(|_| says_nothing).unwrap_or(&identity);
    let binding = match keys.bind(&bound_by.tags) {
        Ok(binding) => binding,
        Err(Flattened { tag }) => return Ok(Some(BlockReason::FlattenedBoundary { tag })),
    };
    if binding.zone != task.binding.zone {
        task.mode = shared.zones().get(&binding.zone).mode;
    }
    task.binding = binding;
    Ok(user.and_then(|user| another_zone(keys, user, &task.binding.zone)))
}

/// The user whose key a secret holds, as the inventory knows it; never another one of its name.
async fn key_user(shared: &Shared, target: &Target) -> Result<Option<Identity>, LedgerError> {
    let Target::Secret { issuer: Issuer::AccessKey { user }, .. } = target else {
        return Ok(None);
    };
    let target = SelectorTarget::User(user.name.clone());
    let selector = Selector { target, account: Some(user.account.clone()), region: None };
    let found = shared.ledger.find_identities(&selector).await?;
    Ok(found.into_iter().find(|identity| identity.user().as_ref() == Some(user)))
}
