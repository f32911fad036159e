//! After quarantine: what was switched off is deleted, and denies that have nothing left to deny are
//! taken off.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Check, Decision, Situation, act, first, proof, wait};
use crate::action::{Action, Change, DenyPurpose};
use crate::credential::{RoleRef, Target, UserRef};
use crate::observe::{
    DenyState, KeyStatus, KeyView, Presence, RoleStanding, SideState, UserView, View,
};
use crate::secret::Issuer;
use crate::secret_view::{SecretView, UserKey};
use crate::task::{BlockReason, Verification};

/// The longest that a session of a user's key can live (AWS: STS API, `GetFederationToken` and
/// `GetSessionToken`: 36 hours).
const LONGEST_USER_SESSION: TimeDelta = TimeDelta::hours(36);

/// Deletes, never before [`Policy::delete_after`](crate::policy::Policy::delete_after).
pub(super) fn delete(
    situation: &Situation<'_>,
    target: &Target,
    view: &View,
    now: DateTime<Utc>,
) -> Decision {
    let Some(after) = situation.policy.delete_after else {
        // The revocation is not done: there is no quarantine to be over.
        return wait(now + TimeDelta::hours(1), "not revoked yet");
    };
    if now < after {
        return wait(after, "in quarantine");
    }
    if let Some(second_look) = proof::look_twice(situation.record, situation.policy, now) {
        return second_look;
    }
    let here = Here { situation, now };
    let said = match (target, view) {
        (Target::AccessKey { user, .. }, View::AccessKey(view)) => here.key(user, view),
        (Target::User { user }, View::User(view)) => here.user(user, view),
        (Target::Role { role }, View::Role(view)) if view.role == Presence::Same => {
            let longest = TimeDelta::seconds(i64::from(view.max_session_seconds));
            here.role(role, &view.denies, longest)
        }
        (Target::Secret { issuer: Issuer::AccessKey { user }, .. }, View::Secret(view)) => {
            here.secret(user, view)
        }
        _ => None,
    };
    said.unwrap_or(Decision::Done(Verification::ControlPlane))
}

struct Here<'a> {
    situation: &'a Situation<'a>,
    now: DateTime<Utc>,
}

impl Here<'_> {
    fn key(&self, user: &UserRef, view: &KeyView) -> Check {
        let present = view.user == Presence::Same;
        let key = view.key.as_ref().filter(|_| present);
        let checks: [&dyn Fn() -> Check; 4] = [
            &|| key.map(|key| delete_key(user, &key.id, key.status)),
            &|| if present { self.taken_along(user, view) } else { None },
            &|| {
                if present { self.user_sessions(user, &view.denies) } else { None }
            },
            &|| self.roles(&view.roles),
        ];
        first(self.situation.record, self.now, &checks)
    }

    /// Keys that appeared after the first exposure and that the case switched off with its own. What it
    /// did not switch off is not its to delete.
    fn taken_along(&self, user: &UserRef, view: &KeyView) -> Check {
        let ours = |key_id: &String| {
            let off = |change: &Change| matches!(change, Change::KeyDeactivated { user: of, key_id: id } if of.id == user.id && id == key_id);
            self.situation.record.changes.iter().any(off)
        };
        let ours = || view.others.iter().filter(|(key_id, _)| ours(key_id));
        self.each(|| ours().map(|(key_id, status)| delete_key(user, key_id, *status)))
    }

    /// The first that can be done. What is switched on again is said last: it is no reason to keep the
    /// others.
    fn each<I: Iterator<Item = Decision>>(&self, said: impl Fn() -> I) -> Check {
        let refused = &self.situation.record.refused;
        let can = |said: &Decision| matches!(said, Decision::Act(action, _) if !refused.contains_key(&action.site()));
        said().find(can).or_else(|| said().next())
    }

    /// The old keys that the case switched off; never one that is handed out.
    fn secret(&self, user: &UserRef, view: &SecretView) -> Check {
        let ours = |key: &&UserKey| {
            let off = Change::KeyDeactivated { user: user.clone(), key_id: key.state.id.clone() };
            let current = view.current().and_then(|version| version.key_id());
            self.situation.record.changes.contains(&off) && current != Some(&key.state.id)
        };
        let old = view.keys.as_ref().and_then(|keys| keys.old.as_ref());
        let old = old.filter(|old| old.user == Presence::Same);
        let checks: [&dyn Fn() -> Check; 3] = [
            &|| {
                let old = view.user_keys().iter().find(ours)?;
                Some(delete_key(user, &old.state.id, old.state.status))
            },
            &|| self.user_sessions(user, &old?.denies),
            &|| self.roles(&old?.roles),
        ];
        first(self.situation.record, self.now, &checks)
    }

    /// The user itself stays, with everything denied: deleting identities is their owner's business.
    fn user(&self, user: &UserRef, view: &UserView) -> Check {
        let present = view.user == Presence::Same;
        let keys = || view.keys.iter().map(|key| delete_key(user, &key.id, key.status));
        let sides = || view.side.iter().map(|side| delete_side(user, side));
        let checks: [&dyn Fn() -> Check; 2] =
            [&|| self.each(|| keys().chain(sides()).filter(|_| present)), &|| {
                self.roles(&view.roles)
            }];
        first(self.situation.record, self.now, &checks)
    }

    fn user_sessions(&self, user: &UserRef, denies: &[DenyState]) -> Check {
        let deny = sessions(denies)?;
        self.after(LONGEST_USER_SESSION).or_else(|| {
            let (user, deny) = (user.clone(), deny.handle.clone());
            Some(act(Action::AllowUser { user, deny }, "every session that it denied has ended"))
        })
    }

    fn roles(&self, roles: &[RoleStanding]) -> Check {
        roles
            .iter()
            .filter(|standing| standing.presence == Presence::Same)
            .find_map(|s| self.role(&s.role.role, &s.denies, s.role.max_session()))
    }

    fn role(&self, role: &RoleRef, denies: &[DenyState], longest: TimeDelta) -> Check {
        let deny = sessions(denies)?;
        self.after(longest).or_else(|| {
            let (role, deny) = (role.clone(), deny.handle.clone());
            Some(act(Action::AllowRole { role, deny }, "every session that it denied has ended"))
        })
    }

    /// Waits until sessions minted before the death can live no longer.
    fn after(&self, longest: TimeDelta) -> Check {
        let dead_at = self.situation.record.dead_at.unwrap_or(self.now);
        let until = dead_at + self.situation.policy.cutoff_margin + longest;
        (self.now < until).then(|| wait(until, "denied sessions have not all ended"))
    }
}

fn sessions(denies: &[DenyState]) -> Option<&DenyState> {
    denies.iter().find(|deny| deny.handle.purpose == DenyPurpose::Sessions)
}

fn delete_key(user: &UserRef, key_id: &str, status: KeyStatus) -> Decision {
    let (user, key_id) = (user.clone(), key_id.to_owned());
    if status.is_active() {
        switched_on(key_id)
    } else {
        act(Action::DeleteKey { user, key_id }, "its quarantine is over")
    }
}

fn delete_side(user: &UserRef, side: &SideState) -> Decision {
    let (user, kind, id) = (user.clone(), side.kind, side.id.clone());
    if side.active {
        switched_on(format!("{} {id}", kind.as_str()))
    } else {
        act(Action::Delete { user, kind, id }, "its quarantine is over")
    }
}

/// Somebody switched it on again. To delete it might lock production out, to ignore it might leave
/// an attacker in: a person decides.
fn switched_on(what: String) -> Decision {
    Decision::Blocked(BlockReason::SwitchedOnAgain { what })
}
