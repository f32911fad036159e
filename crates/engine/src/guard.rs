//! What is checked before a task is touched at all: identities that are never touched, and tasks that
//! planning refused.

mod binding;

use severance_lifecycle::credential::{Target, UserRef};
use severance_lifecycle::event::{Selector, SelectorTarget};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::plan::{Identity, Protected};
use severance_lifecycle::secret::Issuer;
use severance_lifecycle::task::{Binding, BlockReason, Mode, Task, TaskState};

use crate::ports::LedgerError;
use crate::shared::Shared;

/// What the guard says of a task.
pub(crate) enum Guarded {
    /// It may be driven.
    Clear,
    /// It must not be touched.
    Refused(BlockReason),
    /// It has no target yet: planning looks for one.
    Unresolved,
}

/// Whether a task may be driven. Planning's refusals are judged again, since a tag may have been put
/// right or a configuration changed; never by looking at the provider alone, which knows of neither.
pub(crate) async fn check(shared: &Shared, task: &mut Task) -> Result<Guarded, LedgerError> {
    if matches!(task.target, Target::Unresolved { .. }) {
        return Ok(Guarded::Unresolved);
    }
    if is_protected(&shared.protected(), &task.target) {
        return Ok(Guarded::Refused(BlockReason::Protected));
    }
    // The brake: what was planned to be done is not done in a zone that only observes now. The other way
    // round a task stays as it was planned.
    if shared.zones().get(&task.binding.zone).mode == Mode::Observe {
        task.mode = Mode::Observe;
    }
    if let Some(reason) = binding::judge(shared, task).await? {
        return Ok(Guarded::Refused(reason));
    }
    if matches!(&task.state, TaskState::Blocked { reason: BlockReason::SharedCredential { .. } }) {
        let sharing = sharing(shared, &task.target).await?;
        if !sharing.is_empty() {
            return Ok(Guarded::Refused(BlockReason::SharedCredential { secrets: sharing }));
        }
    }
    Ok(Guarded::Clear)
}

/// ARNs of the secrets that hand out the same credential as this one, itself among them, by the last
/// listing; none where it does not share it.
async fn sharing(shared: &Shared, target: &Target) -> Result<Vec<String>, LedgerError> {
    let Some(identity) = known(shared, target).await? else { return Ok(Vec::new()) };
    let Some((_, detail)) = identity.secret() else { return Ok(Vec::new()) };
    let holds: Vec<_> = detail.holds.iter().cloned().collect();
    let found = shared.ledger.secrets_holding(&holds).await?;
    let alive = found.into_iter().filter(|other| {
        other.arn == identity.arn
            || other.secret().is_some_and(|(_, detail)| detail.deleted_at.is_none())
    });
    let arns: Vec<_> = alive.map(|other| other.arn).collect();
    Ok(if arns.len() > 1 { arns } else { Vec::new() })
}

/// Whether a task's identity was tagged anew after planning. It goes on as planned, or a leaver would
/// escape by another tag; a person is told.
pub(crate) fn retagged(shared: &Shared, task: &Task, known: Option<&Identity>) -> Option<Finding> {
    let same = |identity: &&Identity| match &task.target {
        Target::AccessKey { user, .. } | Target::User { user } => identity.unique_id == user.id,
        Target::Role { role } => identity.unique_id == role.id,
        Target::Secret { secret, .. } => identity.arn == secret.arn,
        Target::Unresolved { .. } => false,
    };
    let identity = known.filter(same)?;
    // An older listing tells what was, not what changed.
    if !shared.listings.is_newer(&identity.account, task.planned_at) {
        return None;
    }
    let is = match shared.config.tag_keys.bind(&identity.tags) {
        Ok(bound) if bound.zone == task.binding.zone && bound.contract == task.binding.contract => {
            return None;
        }
        Ok(bound) => in_words(&bound),
        Err(flattened) => flattened.tag,
    };
    let was = in_words(&task.binding);
    Some(Finding::TagsChanged { identity: identity.arn.clone(), was, is })
}

fn in_words(binding: &Binding) -> String {
    match &binding.contract {
        Some(contract) => format!("zone {}, contract {contract}", binding.zone),
        None => format!("zone {}, no contract", binding.zone),
    }
}

/// What the inventory knows of the identity that a target is on.
pub(crate) async fn known(
    shared: &Shared,
    target: &Target,
) -> Result<Option<Identity>, LedgerError> {
    let named = match target {
        Target::AccessKey { user: UserRef { account, name, .. }, .. }
        | Target::User { user: UserRef { account, name, .. } } => {
            (account, SelectorTarget::User(name.clone()))
        }
        Target::Role { role } => (&role.account, SelectorTarget::Role(role.name.clone())),
        Target::Secret { secret, .. } => {
            (&secret.account, SelectorTarget::Secret(secret.arn.clone()))
        }
        Target::Unresolved { .. } => return Ok(None),
    };
    let selector = Selector { target: named.1, account: Some(named.0.clone()), region: None };
    let found = shared.ledger.find_identities(&selector).await?;
    Ok(found.into_iter().next())
}

/// By account, kind and name, whatever the path: names are unique in an account (AWS: IAM User Guide,
/// "IAM identifiers").
fn is_protected(protected: &Protected, target: &Target) -> bool {
    match target {
        Target::AccessKey { user, .. }
        | Target::User { user }
        | Target::Secret { issuer: Issuer::AccessKey { user }, .. } => protected.has_user(user),
        Target::Role { role } => protected.has_role(role),
        Target::Secret { .. } | Target::Unresolved { .. } => false,
    }
}
