//! What belongs together: whose the keys are that secrets hand out, and which secrets hand out the same.

use std::collections::{BTreeMap, BTreeSet};

use super::inventory::Identity;
use crate::secret::Holding;
use crate::task::BlockReason;

/// What was looked up beside what the selectors matched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ties {
    /// The users of access keys that secrets hand out, by key id; or why one is not known.
    pub owners: BTreeMap<String, Result<Identity, BlockReason>>,
    /// Secrets that hand out what was matched: a key of a matched user, or what a matched secret does.
    pub secrets: Vec<Identity>,
    /// Who leaves with a contract beside those that the selectors matched, by ARN and by unique id.
    pub leaving: BTreeSet<String>,
}

impl Ties {
    /// Secrets that hand out an access key.
    pub(super) fn holders<'a, 'b>(
        &'a self,
        key_id: &'b str,
    ) -> impl Iterator<Item = &'a Identity> + use<'a, 'b> {
        self.secrets.iter().filter(move |secret| {
            secret.secret().is_some_and(|(_, detail)| detail.key_ids().any(|id| id == key_id))
        })
    }

    /// Secrets that hand out one of these credentials.
    pub(super) fn sharing<'a, 'b>(
        &'a self,
        holds: &'b BTreeSet<Holding>,
    ) -> impl Iterator<Item = &'a Identity> + use<'a, 'b> {
        self.secrets.iter().filter(move |secret| {
            secret.secret().is_some_and(|(_, detail)| !detail.holds.is_disjoint(holds))
        })
    }

    /// Takes in what was looked up for another part of the same plan.
    pub fn extend(&mut self, more: Self) {
        self.owners.extend(more.owners);
        self.leaving.extend(more.leaving);
        for secret in more.secrets {
            if !self.secrets.iter().any(|known| known.arn == secret.arn) {
                self.secrets.push(secret);
            }
        }
    }

    /// The user of a key.
    pub(super) fn owner(&self, key_id: &str) -> Option<&Identity> {
        self.owners.get(key_id)?.as_ref().ok()
    }
}
