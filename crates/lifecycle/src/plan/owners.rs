//! Whose the keys are that secrets hand out, and whether a secret's zone has a say over them.

use super::draft::Draft;
use super::inventory::{Flattened, Identity, SecretDetail, TagKeys};
use super::planner::Planner;
use super::ties::Ties;
use crate::finding::Finding;
use crate::ids::{UNASSIGNED_ZONE, ZoneName};
use crate::task::{Binding, BlockReason};

impl Planner<'_> {
    /// As [`another_zone`], and told.
    pub(super) fn is_of_another_zone(
        &self,
        draft: &mut Draft<'_>,
        owner: &Identity,
        binding: &Binding,
    ) -> Option<BlockReason> {
        let reason = another_zone(self.tag_keys, owner, &binding.zone)?;
        let tag = match &reason {
            BlockReason::FlattenedBoundary { tag } => tag.clone(),
            other => other.to_string(),
        };
        draft.find(Finding::FlattenedBoundary { identity: owner.arn.clone(), tag });
        Some(reason)
    }
}

/// A secret gives its zone no say over a user whose own tags name another one: its approvers, and whether
/// anything is changed there at all, are that zone's.
pub fn another_zone(
    keys: &TagKeys,
    user: &Identity,
    secret_zone: &ZoneName,
) -> Option<BlockReason> {
    match keys.bind(&user.tags) {
        Err(Flattened { tag }) => Some(BlockReason::FlattenedBoundary { tag }),
        Ok(own) if own.zone == *secret_zone || own.zone.as_str() == UNASSIGNED_ZONE => None,
        Ok(own) => Some(BlockReason::UserOfAnotherZone {
            user: user.name.clone(),
            zone: own.zone,
            secret_zone: secret_zone.clone(),
        }),
    }
}

/// Whether the user's own tags name the secret's zone. That neither has one says nothing.
pub fn vouches(keys: &TagKeys, user: &Identity, secret_zone: &ZoneName) -> bool {
    secret_zone.as_str() != UNASSIGNED_ZONE
        && keys.bind(&user.tags).is_ok_and(|own| own.zone == *secret_zone)
}

/// The user of the first key that has one.
pub(super) fn key_owner<'a>(ties: &'a Ties, detail: &SecretDetail) -> Option<&'a Identity> {
    detail.key_ids().find_map(|key_id| ties.owner(key_id).filter(|it| it.user().is_some()))
}
