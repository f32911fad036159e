//! Whether a secret holds the credential that its value names. A key's id is no secret: whoever may write the
//! value could name anybody's, and would be handed a working key of that user.

use super::Here;
use crate::decide::{Check, Decision, wait};
use crate::record::ProbeSeries;
use crate::rotation::{OldVersion, RevokeOrder, RotationRecord};
use crate::secret_action::SecretAction;
use crate::secret_view::{Held, SecretView};
use crate::task::BlockReason;

/// Tries in a row that tell nothing before a person is asked.
const INCONCLUSIVE_LIMIT: u32 = 40;

/// A blocked try is made again so often.
const BLOCKED_PAUSE: chrono::TimeDelta = chrono::TimeDelta::minutes(5);

impl Here<'_> {
    /// What is missing before a key of the user may be made: AWS accepted what the secret holds as a key of
    /// that user. A key that is dead by now cannot be tried; where it is exposed, that the user's own tags
    /// name the secret's zone is enough, or nothing could follow what died first.
    pub(super) fn is_possessed(&self) -> Check {
        if self.rotation().possessed {
            return None;
        }
        let Some((old, key_id)) = self.old_and_its_key() else {
            let (field, why) = ("value".to_owned(), "it holds no access key".to_owned());
            return Some(Decision::Blocked(BlockReason::UnfitValue { field, why }));
        };
        if self.works(key_id) {
            return Some(self.is_tried(old, key_id));
        }
        let vouched = self.is_exposed() && self.rotation().vouched;
        (!vouched).then(|| not_proven(key_id, "the key does not work, so that it cannot be tried"))
    }

    /// One try before what is exposed dies: after that there is nothing to try.
    pub(super) fn is_tried_before_it_dies(&self) -> Check {
        let dies_first = self.is_exposed() && self.terms().order == RevokeOrder::RevokeFirst;
        let (old, key_id) = self.old_and_its_key()?;
        let untried = !self.rotation().possessed && self.tries(&old.version).is_none();
        (dies_first && untried && self.is_readable() && self.works(key_id))
            .then(|| self.try_it(old, 0))
    }

    /// What a secret that ends names and does not hold is not the leaver's: it is left alone. Whatever tells
    /// nothing spares nothing.
    pub(super) fn is_not_held(&self) -> Check {
        let (old, key_id) = self.old_and_its_key()?;
        let asks = !self.is_exposed() && self.is_readable() && self.works(key_id);
        if self.rotation().possessed || !asks {
            return None;
        }
        match self.tries(&old.version) {
            None => Some(self.try_it(old, 0)),
            Some(tries) if tries.unavailable => Some(self.is_tried(old, key_id)),
            Some(_) => None,
        }
    }

    fn is_tried(&self, old: &OldVersion, key_id: &str) -> Decision {
        let tries = self.tries(&old.version);
        let refused = tries.and_then(|tries| tries.refused_since);
        let is_stuck = refused.is_some_and(|since| self.now >= since + self.terms().patience)
            || tries.is_some_and(|it| it.unavailable || it.inconclusive >= INCONCLUSIVE_LIMIT);
        let pause = if is_stuck { BLOCKED_PAUSE } else { self.situation.policy.proof.interval };
        match tries.and_then(|tries| tries.last).map(|last| last + pause) {
            Some(next) if next > self.now && is_stuck => not_proven(key_id, &why(tries)),
            Some(next) if next > self.now => wait(next, "trying what the secret holds again"),
            _ => self.try_it(old, tries.map_or(0, |tries| tries.samples)),
        }
    }

    fn try_it(&self, old: &OldVersion, sample: u32) -> Decision {
        let version = old.version.clone();
        self.act(SecretAction::Try { version, sample }, "does the secret hold the key it names?")
    }

    fn old_and_its_key(&self) -> Option<(&OldVersion, &str)> {
        let old = self.old()?;
        match &old.held {
            Held::AccessKey { key_id } => Some((old, key_id)),
            _ => None,
        }
    }

    fn works(&self, key_id: &str) -> bool {
        is_active(self.view, key_id)
    }
}

/// Takes in that the old version's key was accepted, as one of this user's.
pub(super) fn keep(record: &mut RotationRecord, tries: Option<&ProbeSeries>, view: &SecretView) {
    let accepted = tries.is_some_and(|tries| tries.acceptances > 0);
    let is_theirs = record.old_key().is_some_and(|key_id| is_active(view, key_id));
    record.possessed |= accepted && is_theirs;
}

fn is_active(view: &SecretView, key_id: &str) -> bool {
    view.user_keys().iter().any(|key| key.state.id == key_id && key.state.status.is_active())
}

fn why(tries: Option<&ProbeSeries>) -> String {
    match tries {
        Some(it) if it.unavailable || it.inconclusive > 0 => it.why.clone(),
        _ => "refused".to_owned(),
    }
}

fn not_proven(key_id: &str, why: &str) -> Decision {
    let (key_id, why) = (key_id.to_owned(), why.to_owned());
    Decision::Blocked(BlockReason::KeyNotHeld { key_id, why })
}
