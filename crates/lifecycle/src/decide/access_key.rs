//! One access key, and the sessions minted from it.

use chrono::{DateTime, Utc};

use super::{Check, Decision, Situation, act, deny, first, pick, proof, wait};
use crate::action::Action;
use crate::credential::UserRef;
use crate::observe::{Intruder, KeyView, Presence};

/// Revokes a key: off, its sessions denied, proven dead, sessions denied again beyond its death,
/// and looked at once more.
pub(super) fn revoke(
    situation: &Situation<'_>,
    key_id: &str,
    user: &UserRef,
    view: &KeyView,
    now: DateTime<Utc>,
) -> Decision {
    let here = Here { situation, key_id, user, view, now };
    let checks: [&dyn Fn() -> Check; 8] = [
        &|| here.key_is_off(),
        &|| here.user_sessions_are_denied_at_once(),
        &|| here.role_sessions_are_denied_at_once(),
        &|| here.intruders_are_off(),
        &|| here.key_is_proven_dead(),
        &|| here.sessions_are_denied_beyond_its_death(),
        &|| here.denies_have_spread(),
        &|| here.other_sessions_have_ended(),
    ];
    first(situation.record, now, &checks).unwrap_or_else(|| here.done())
}

struct Here<'a> {
    situation: &'a Situation<'a>,
    key_id: &'a str,
    user: &'a UserRef,
    view: &'a KeyView,
    now: DateTime<Utc>,
}

impl Here<'_> {
    fn missing(&self) -> bool {
        self.view.user != Presence::Same || self.view.key.is_none()
    }

    fn key_is_off(&self) -> Check {
        let key = self.view.key.as_ref().filter(|_| !self.missing())?;
        key.status.is_active().then(|| {
            let (user, key_id) = (self.user.clone(), self.key_id.to_owned());
            act(Action::DeactivateKey { user, key_id }, "the key is active")
        })
    }

    /// At once, without waiting for proof. Sessions minted while the deactivation spreads escape this
    /// one; the second catches them.
    fn user_sessions_are_denied_at_once(&self) -> Check {
        self.user_sessions(DateTime::<Utc>::MIN_UTC)
    }

    fn role_sessions_are_denied_at_once(&self) -> Check {
        self.role_sessions(DateTime::<Utc>::MIN_UTC)
    }

    fn intruders_are_off(&self) -> Check {
        if !self.situation.policy.take_intruders || self.missing() {
            return None;
        }
        let user = || self.user.clone();
        let actions = self.view.intruders.iter().filter_map(|intruder| match intruder {
            Intruder::AccessKey { key_id } => {
                Some(Action::DeactivateKey { user: user(), key_id: key_id.clone() })
            }
            Intruder::LoginProfile => Some(Action::DeleteLoginProfile { user: user() }),
            // AWS has no off switch for a policy; it is shown, and the person decides.
            Intruder::Policy { .. } => None,
        });
        pick(self.situation.record, actions)
            .map(|action| act(action, "appeared after the first exposure"))
    }

    fn key_is_proven_dead(&self) -> Check {
        let Situation { record, policy, .. } = self.situation;
        if self.view.user != Presence::Same && record.dead_at.is_none() {
            return proof::look_twice(record, policy, self.now);
        }
        if self.missing() {
            return proof::prove_missing(self.key_id, self.user, record, policy, self.now);
        }
        let key = self.view.key.as_ref()?;
        let unproven = proof::prove(key, self.user, record, policy, self.now);
        unproven.or_else(|| {
            // A key that was taken along cannot be tried.
            let until = record.disabled_since? + policy.proof.window;
            let reason = "what was taken along is off; waiting for that to hold everywhere";
            (policy.take_intruders && self.now < until).then(|| wait(until, reason))
        })
    }

    fn sessions_are_denied_beyond_its_death(&self) -> Check {
        let Situation { record, policy, .. } = self.situation;
        let dead_at = record.dead_at?;
        let checks: [&dyn Fn() -> Check; 2] =
            [&|| self.user_sessions(dead_at + policy.cutoff_margin), &|| {
                self.role_sessions(deny::roles_from(dead_at, policy))
            }];
        first(record, self.now, &checks)
    }

    fn denies_have_spread(&self) -> Check {
        let Situation { record, policy, .. } = self.situation;
        let until = record.sealed_since? + policy.spread;
        (self.now < until).then(|| wait(until, "all is closed; waiting for it to hold everywhere"))
    }

    fn other_sessions_have_ended(&self) -> Check {
        let Situation { record, policy, .. } = self.situation;
        deny::residual_sessions(&self.view.roles, record.dead_at?, policy, self.now)
    }

    fn done(&self) -> Decision {
        let Situation { record, policy, .. } = self.situation;
        if record.sealed_since.is_none() {
            return wait(self.now + policy.proof.window, "not proven yet");
        }
        Decision::Done(proof::verification([self.key_id], record))
    }

    /// A deleted user's sessions are refused with it; a user made again under its name is another's.
    fn user_sessions(&self, from: DateTime<Utc>) -> Check {
        let Situation { record, policy, .. } = self.situation;
        if self.view.user != Presence::Same {
            return None;
        }
        deny::user_sessions(self.user, &self.view.denies, from, record, policy, self.now)
    }

    fn role_sessions(&self, from: DateTime<Utc>) -> Check {
        let Situation { record, policy, .. } = self.situation;
        deny::assumable_roles(&self.view.roles, from, record, policy, self.now)
    }
}
