//! Whose the keys are that secrets hand out, and whether a secret's zone has a say over them.

use super::draft::Draft;
use super::inventory::{Flattened, Identity, SecretDetail};
use super::planner::Planner;
use super::ties::Ties;
use crate::finding::Finding;
use crate::ids::{UNASSIGNED_ZONE, ZoneName};
use crate::task::{Binding, BlockReason};

impl Planner<'_> {
    /// A secret gives its zone no say over a user whose own tags name another one: its approvers, and whether
    /// anything is changed there at all, are that zone's.
    pub(super) fn is_of_another_zone(
        &self,
        draft: &mut Draft<'_>,
        owner: &Identity,
        binding: &Binding,
    ) -> Option<BlockReason> {
        if self.is_bound(owner, &binding.zone) || self.is_bound(owner, &UNASSIGNED_ZONE.into()) {
            return None;
        }
        let tag = match self.tag_keys.bind(&owner.tags) {
            Ok(theirs) => format!(
                "its user {} is of zone {}, and the secret of zone {}",
                owner.name, theirs.zone, binding.zone
            ),
            Err(Flattened { tag }) => tag,
        };
        let identity = owner.arn.clone();
        draft.find(Finding::FlattenedBoundary { identity, tag: tag.clone() });
        Some(BlockReason::FlattenedBoundary { tag })
    }

    pub(super) fn is_bound(&self, identity: &Identity, zone: &ZoneName) -> bool {
        self.tag_keys.bind(&identity.tags).is_ok_and(|binding| binding.zone == *zone)
    }
}

/// The user of the first key that has one.
pub(super) fn key_owner<'a>(ties: &'a Ties, detail: &SecretDetail) -> Option<&'a Identity> {
    detail.key_ids().find_map(|key_id| ties.owner(key_id).filter(|it| it.user().is_some()))
}
