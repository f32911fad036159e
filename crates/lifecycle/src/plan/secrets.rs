//! Secrets in a plan: which are replaced, which end, and what else goes with them.

use std::collections::BTreeSet;

use super::draft::Draft;
use super::inventory::{Identity, IdentityDetail, SecretDetail};
use super::owners::{key_owner, vouches};
use super::planner::{Planner, SelectorMatch, Wanted};
use super::ties::Ties;
use crate::credential::Target;
use crate::event::{Selector, SelectorTarget, Trigger};
use crate::finding::Finding;
use crate::policy::Desired;
use crate::rotation::RevokeOrder;
use crate::secret::{Holding, Issuer, Strategy};
use crate::task::{BlockReason, Mode, Task, TaskState};

impl Planner<'_> {
    /// A zone's grace is followed, however short. What an event asks for is told when it comes, and what is
    /// exposed has none.
    pub(super) fn tell_short_graces(&self, draft: &mut Draft<'_>) {
        if draft.case.trigger == Trigger::CompromiseNotice {
            return;
        }
        let rotated = draft.tasks.values().filter(|task| {
            task.desired == Desired::Rotated
                && task.grace.is_none()
                && matches!(task.target, Target::Secret { .. })
        });
        let graces: BTreeSet<_> =
            rotated.filter_map(|task| self.zones.get(&task.binding.zone).short_grace()).collect();
        for grace in graces {
            draft.find(Finding::ShortGrace { seconds: grace.num_seconds() });
        }
    }

    /// The task of a secret. One whose issuer is not known stands as an unresolved selector, so that it is
    /// looked up again: a tag that is put right is found.
    pub(super) fn plan_secret<'a>(&self, draft: &mut Draft<'a>, identity: &'a Identity) {
        let Some((secret, detail)) = identity.secret() else { return };
        if draft.secrets.contains_key(&identity.arn) {
            return;
        }
        if let Some(mismatch) = self.belongs_elsewhere(draft.case, identity) {
            draft.find(mismatch);
            return;
        }
        let desired = self.wanted_of(draft, identity, detail);
        let bound = self.bound_by(draft.ties, identity, detail);
        let (binding, flattened) = self.bind(draft, identity, bound);
        let mut task = match issuer(draft.ties, detail, desired) {
            Ok(issuer) => {
                let protected = matches!(&issuer,
                    Issuer::AccessKey { user } if self.protected.has_user(user));
                let owner = key_owner(draft.ties, detail)
                    .filter(|_| matches!(issuer, Issuer::AccessKey { .. }));
                let apart = owner.and_then(|owner| self.is_of_another_zone(draft, owner, &binding));
                let refused = protected.then_some(BlockReason::Protected).or(flattened).or(apart);
                let vouched =
                    owner.is_some_and(|owner| vouches(self.tag_keys, owner, &binding.zone));
                let (target, binding) = (Target::Secret { secret, issuer }, binding.clone());
                let mut task = self.task(draft, Wanted { target, desired, binding, refused });
                task.record.rotation.vouched = vouched;
                task
            }
            Err(reason) => {
                let mut task = self.unresolved(draft, by_arn(identity), reason);
                let zone = self.zones.get(&binding.zone);
                task.mode = zone.mode;
                task.deadline = zone.deadline(draft.case);
                task.binding = binding.clone();
                task
            }
        };
        if draft.case.trigger == Trigger::CompromiseNotice {
            task.record.rotation.held.clone_from(&detail.holds);
        }
        task.credentials = detail.holds.len().max(1);
        // What it hands out by now may be what that task made.
        if !draft.portions.secrets.contains(&identity.arn) {
            self.plan_keys_of_secret(draft, &task, desired, detail);
        }
        let id = draft.add(task);
        draft.secrets.insert(identity.arn.clone(), (id, identity));
    }

    /// What a secret is to become. A contract's end takes a deletion that is scheduled at its word: nobody needs
    /// a successor. A compromise does not: who scheduled it may be whoever had it, or restore it a minute later.
    /// Its task ends what is exposed at each look that finds the secret hidden, and replaces it once it is
    /// back; but where nobody said how.
    fn wanted_of(&self, draft: &Draft<'_>, identity: &Identity, detail: &SecretDetail) -> Desired {
        let ends = match draft.case.trigger {
            Trigger::Rotation => false,
            Trigger::CompromiseNotice => {
                detail.deleted_at.is_some() && detail.strategy == Strategy::Untold
            }
            Trigger::ContractEnd => detail.deleted_at.is_some() || self.is_theirs(draft, identity),
        };
        if ends { Desired::Revoked } else { Desired::Rotated }
    }

    /// Whether a secret is the ending contract's alone: bound to it by its tag, and shared with no other.
    fn is_theirs(&self, draft: &Draft<'_>, identity: &Identity) -> bool {
        let (_, bound) = identity.tagged(self.tag_keys);
        let others = identity.shared_with(self.tag_keys);
        let ended = draft.case.contract.as_ref();
        bound.iter().any(|name| Some(name) == ended)
            && others.iter().all(|name| Some(name) == ended)
    }

    /// Whose tags bind a secret: its own, and where it has no zone, those of the user whose key it holds.
    fn bound_by<'a>(
        &self,
        ties: &'a Ties,
        identity: &'a Identity,
        detail: &'a SecretDetail,
    ) -> &'a Identity {
        let (zones, contracts) = identity.tagged(self.tag_keys);
        let owner = detail.key_ids().find_map(|key_id| ties.owner(key_id));
        if zones.is_empty() && contracts.is_empty() { owner.unwrap_or(identity) } else { identity }
    }

    /// The keys that a secret hands out and that are to die. Where the secret's own task has them die, once
    /// there is another, that is enough. Where the old credential is to die first, each dies by a task of its
    /// own too, whatever holds the secret up; so it does where the secret's task cannot see to it.
    fn plan_keys_of_secret(
        &self,
        draft: &mut Draft<'_>,
        task: &Task,
        desired: Desired,
        detail: &SecretDetail,
    ) {
        let compromise = draft.case.trigger == Trigger::CompromiseNotice;
        if !compromise && desired != Desired::Revoked {
            return;
        }
        let sees_to_it =
            matches!(task.target, Target::Secret { issuer: Issuer::AccessKey { .. }, .. })
                && task.state == TaskState::Open
                && detail.owning_service.is_none();
        let order = self.zones.get(&task.binding.zone).order(task);
        let once_replaced = desired == Desired::Rotated
            && order == RevokeOrder::ReplaceThenRevoke
            // What is hidden cannot be read: which key it holds is known from the inventory alone.
            && detail.deleted_at.is_none();
        if sees_to_it && (!compromise || once_replaced) {
            return;
        }
        for key_id in detail.key_ids() {
            self.plan_key(draft, key_id);
        }
    }

    /// A key's own task; none for one whose user is not known.
    pub(super) fn plan_key(&self, draft: &mut Draft<'_>, key_id: &str) {
        let ties = draft.ties;
        let Some(owner) = ties.owner(key_id) else { return };
        let Some(user) = owner.user() else { return };
        let target = Target::AccessKey { key_id: key_id.to_owned(), user };
        let task = self.identity_task(draft, target, owner);
        draft.add(task);
    }

    /// Where something is compromised, so is whatever hands out the same credential. What nobody said how to
    /// replace is only told, unless it was named.
    pub(super) fn plan_what_shares(&self, draft: &mut Draft<'_>, matches: &[SelectorMatch]) {
        if draft.case.trigger != Trigger::CompromiseNotice {
            return;
        }
        let earlier = &draft.portions.selectors;
        let named = matches
            .iter()
            .filter(|found| !found.identities.is_empty() || earlier.contains(&found.selector));
        let keys = named.filter_map(|found| match &found.selector.target {
            SelectorTarget::AccessKeyId(id) => Some(Holding::AccessKey { key_id: id.clone() }),
            _ => None,
        });
        let planned = draft.secrets.values().map(|(_, identity)| identity);
        let planned = planned.filter(|it| !draft.portions.secrets.contains(&it.arn));
        let planned = planned.filter_map(|identity| identity.secret());
        let held = planned.flat_map(|(_, detail)| detail.holds.iter().cloned());
        let before = draft.portions.exposed.iter().cloned();
        let exposed: BTreeSet<Holding> = keys.chain(held).chain(before).collect();
        let ties = draft.ties;
        for identity in ties.sharing(&exposed) {
            if draft.secrets.contains_key(&identity.arn) {
                continue;
            }
            let Some((_, detail)) = identity.secret() else { continue };
            if detail.strategy != Strategy::Untold {
                self.plan_secret(draft, identity);
                continue;
            }
            for holding in detail.holds.intersection(&exposed) {
                let (secret, credential) = (identity.arn.clone(), in_words(holding));
                draft.find(Finding::HandsOutRevoked { secret, credential });
            }
        }
    }

    /// It belongs to whom it is about, and is no exposure: what is exposed has a task of its own.
    pub(super) fn stands_for_a_look(&self, task: &mut Task, found: &SelectorMatch) {
        task.mode = Mode::Observe;
        let bound = found.identities.iter().find_map(|(it, _)| self.tag_keys.bind(&it.tags).ok());
        if let Some(binding) = bound {
            task.binding = binding;
        }
    }

    /// A rotation that names a user, or one of its keys: the secrets that hold them. A key that no secret
    /// holds cannot be replaced, since nobody would learn of the new one. Answers whether there was a key.
    pub(super) fn plan_rotation_of_keys<'a>(
        &self,
        draft: &mut Draft<'a>,
        found: &'a SelectorMatch,
        user: &'a Identity,
    ) -> bool {
        let IdentityDetail::User { access_keys, .. } = &user.detail else { return false };
        let named = match &found.selector.target {
            SelectorTarget::AccessKeyId(id) => std::slice::from_ref(id),
            _ => access_keys,
        };
        let ties = draft.ties;
        for key_id in named {
            let mut held = false;
            for secret in ties.holders(key_id) {
                held = true;
                self.plan_secret(draft, secret);
            }
            if held {
                continue;
            }
            let selector = match found.selector.target {
                SelectorTarget::AccessKeyId(_) => found.selector.clone(),
                _ => Selector {
                    target: SelectorTarget::AccessKeyId(key_id.clone()),
                    account: Some(user.account.clone()),
                    region: None,
                },
            };
            let protected = self.protected.has(&user.arn);
            let reason =
                if protected { BlockReason::Protected } else { BlockReason::KeyInNoSecret };
            let (binding, _) = self.bind(draft, user, user);
            let task = self.unresolved(draft, selector, reason);
            draft.add(Task { binding, ..task });
        }
        !named.is_empty()
    }
}

/// Who issues what a secret holds, or why that is not known.
fn issuer(ties: &Ties, detail: &SecretDetail, desired: Desired) -> Result<Issuer, BlockReason> {
    match &detail.strategy {
        Strategy::IamAccessKey => key_issuer(ties, detail),
        // To end a key nobody needs to say how another would be made.
        Strategy::Untold if desired == Desired::Revoked && detail.key_ids().next().is_some() => {
            key_issuer(ties, detail)
        }
        Strategy::Managed => Ok(Issuer::Managed),
        Strategy::Database { alternating } => Ok(Issuer::Database { alternating: *alternating }),
        Strategy::Webhook { name } => Ok(Issuer::Webhook { name: name.clone() }),
        Strategy::Unknown { tag, value } => {
            Err(BlockReason::UnknownStrategy { tag: tag.clone(), value: value.clone() })
        }
        Strategy::Untold => Err(BlockReason::UnknownIssuer),
    }
}

/// The user of the first key that has one.
fn key_issuer(ties: &Ties, detail: &SecretDetail) -> Result<Issuer, BlockReason> {
    if let Some(user) = key_owner(ties, detail).and_then(Identity::user) {
        return Ok(Issuer::AccessKey { user });
    }
    let Some(key_id) = detail.key_ids().next() else {
        let why = "no access key is known to be in it".to_owned();
        return Err(BlockReason::UnfitValue { field: "value".to_owned(), why });
    };
    Err(match ties.owners.get(key_id) {
        Some(Err(refused @ BlockReason::Refused { .. })) => refused.clone(),
        Some(Err(reason)) => {
            BlockReason::UnknownKeyOfSecret { key_id: key_id.to_owned(), why: reason.to_string() }
        }
        _ => BlockReason::UnknownKeyOfSecret {
            key_id: key_id.to_owned(),
            why: BlockReason::UnknownKey.to_string(),
        },
    })
}

fn by_arn(identity: &Identity) -> Selector {
    let target = SelectorTarget::Secret(identity.arn.clone());
    Selector { target, account: Some(identity.account.clone()), region: None }
}

fn in_words(holding: &Holding) -> String {
    match holding {
        Holding::AccessKey { key_id } => format!("access key {key_id}"),
        Holding::Login { login } => format!("login {login}"),
    }
}
