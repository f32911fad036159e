//! Room for a new key: AWS gives a user two, the inactive counted (AWS: IAM User Guide, "IAM and AWS
//! STS quotas").

use chrono::{DateTime, Utc};

use super::Here;
use crate::action::Action;
use crate::credential::UserRef;
use crate::decide::{Check, Decision, act, wait};
use crate::secret::is_of;
use crate::secret_view::UserKey;
use crate::task::BlockReason;

const MOST_KEYS: usize = 2;

impl Here<'_> {
    /// Where the user's places are taken, what must go first. A key that is neither this secret's own
    /// leaving nor one that a case of ours proved dead is never touched.
    pub(super) fn is_full(&self, user: &UserRef) -> Check {
        let keys = self.view.user_keys();
        if keys.len() < MOST_KEYS {
            return None;
        }
        // What can go now before what is waited for, and what is off already before what works.
        let rank = |key: &UserKey, said: &Decision| match said {
            Decision::Act(..) => (false, key.state.status.is_active(), self.now),
            Decision::Wait(until, _) => (false, key.state.status.is_active(), *until),
            Decision::Done(_) | Decision::Blocked(_) => (true, false, self.now),
        };
        let may_go = keys.iter().filter_map(|key| Some((key, self.may_go(user, key)?)));
        let said = may_go.min_by_key(|(key, said)| rank(key, said)).map(|(_, said)| said);
        Some(said.unwrap_or_else(|| {
            let keys = keys.iter().map(|key| key.state.id.clone()).collect();
            Decision::Blocked(BlockReason::NoRoomForKey { keys })
        }))
    }

    fn may_go(&self, user: &UserRef, key: &UserKey) -> Check {
        let key_id = key.state.id.clone();
        if self.is_old_key(&key_id) {
            return self.old_key_may_go(user, key);
        }
        let is_spare = self.is_left_behind(&key_id) || self.is_made_and_off(key);
        let ours = is_spare && !key.elsewhere;
        let was_proven = self.terms().dead_keys.contains(&key_id);
        if key.state.status.is_active() {
            return if ours { Some(self.leftover_goes(user, key_id)) } else { None };
        }
        if !ours && !was_proven {
            return None;
        }
        let off = self.rotation().off_since.get(&key_id).copied().unwrap_or(self.now);
        let until = off + self.situation.policy.proof.window;
        Some(if self.now < until && !was_proven {
            wait(until, "a leftover key is watched until it is surely dead")
        } else {
            act(Action::DeleteKey { user: user.clone(), key_id }, "a new key needs its place")
        })
    }

    /// Whether this task made the key and somebody switched it off: it is handed out, or was about to be, and
    /// another must be made.
    fn is_made_and_off(&self, key: &UserKey) -> bool {
        let mut holders = self.view.holders(&key.state.id).peekable();
        let is_held = holders.peek().is_some();
        let task = &self.situation.policy.task;
        !key.state.status.is_active() && is_held && holders.all(|it| is_of(&it.id, task))
    }

    /// What the version before held: after the grace that it had from the handing out of the one that is
    /// current now.
    fn leftover_goes(&self, user: &UserRef, key_id: String) -> Decision {
        let since = self.current_since();
        let until = if self.is_exposed() { self.now } else { since + self.terms().grace };
        if self.now < until {
            return wait(until, "the key before it still has its grace");
        }
        let user = user.clone();
        act(Action::DeactivateKey { user, key_id }, "left behind by an earlier rotation")
    }

    /// Since when what is current is handed out, by the record.
    pub(super) fn current_since(&self) -> DateTime<Utc> {
        let current = self.view.current().map(|current| &current.id);
        let known = self.rotation().current.as_ref().filter(|it| Some(&it.version) == current);
        known.map_or(self.now, |known| known.since)
    }

    /// The old key, where it had to die first: it goes as soon as it is proven dead.
    fn old_key_may_go(&self, user: &UserRef, key: &UserKey) -> Check {
        let user = user.clone();
        let key_id = key.state.id.clone();
        if key.state.status.is_active() {
            // Others made an earlier version current: it is handed out no more, and was to end anyway.
            let is_free = self.is_left_behind(&key_id) && !key.elsewhere;
            return is_free.then(|| self.leftover_goes(&user, key_id));
        }
        if self.old_key_is_dead() {
            return Some(act(Action::DeleteKey { user, key_id }, "a new key needs its place"));
        }
        self.old_credential_dies()
    }
}
