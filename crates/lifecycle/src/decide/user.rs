//! A whole user: every kind of credential, sessions and routes.

use chrono::{DateTime, Utc};

use super::{Check, Decision, Situation, act, deny, first, pick, proof, wait};
use crate::action::Action;
use crate::credential::UserRef;
use crate::observe::{Presence, UserView};

/// Revokes a user: keys off, everything denied, password, side credentials, MFA devices last
/// (deactivated before the password, an MFA device opens a window without MFA), roles' sessions cut,
/// keys proven dead.
pub(super) fn revoke(
    situation: &Situation<'_>,
    user: &UserRef,
    view: &UserView,
    now: DateTime<Utc>,
) -> Decision {
    let here = Here { situation, user, view, now };
    let checks: [&dyn Fn() -> Check; 11] = [
        &|| here.is_missing_for_sure(),
        &|| here.keys_are_off(),
        &|| here.everything_is_denied(),
        &|| here.password_is_gone(),
        &|| here.side_credentials_are_off(),
        &|| here.mfa_devices_are_off(),
        &|| here.role_sessions(DateTime::<Utc>::MIN_UTC),
        &|| here.is_proven_dead(),
        &|| here.roles_are_cut_beyond_its_death(),
        &|| here.denies_have_spread(),
        &|| here.other_sessions_have_ended(),
    ];
    first(situation.record, now, &checks).unwrap_or_else(|| here.done())
}

struct Here<'a> {
    situation: &'a Situation<'a>,
    user: &'a UserRef,
    view: &'a UserView,
    now: DateTime<Utc>,
}

impl Here<'_> {
    fn present(&self) -> Option<()> {
        (self.view.user == Presence::Same).then_some(())
    }

    fn is_missing_for_sure(&self) -> Check {
        if self.present().is_some() {
            return None;
        }
        // Role sessions outlive a deleted user: they are cut while the second look is waited for.
        self.role_sessions(DateTime::<Utc>::MIN_UTC)
            .or_else(|| proof::look_twice(self.situation.record, self.situation.policy, self.now))
    }

    fn keys_are_off(&self) -> Check {
        self.present()?;
        let active = self.view.keys.iter().filter(|key| key.status.is_active());
        let actions = active
            .map(|key| Action::DeactivateKey { user: self.user.clone(), key_id: key.id.clone() });
        pick(self.situation.record, actions).map(|it| act(it, "the user has an active key"))
    }

    fn everything_is_denied(&self) -> Check {
        self.present()?;
        let Situation { record, policy, .. } = self.situation;
        deny::user_everything(self.user, &self.view.denies, record, policy)
    }

    fn password_is_gone(&self) -> Check {
        self.present()?;
        let user = self.user.clone();
        self.view
            .login_profile
            .then(|| act(Action::DeleteLoginProfile { user }, "the user has a console password"))
    }

    fn side_credentials_are_off(&self) -> Check {
        self.present()?;
        let active = self.view.side.iter().filter(|side| side.active);
        let actions = active.map(|side| Action::Deactivate {
            user: self.user.clone(),
            kind: side.kind,
            id: side.id.clone(),
        });
        pick(self.situation.record, actions).map(|it| act(it, "it is switched on"))
    }

    /// Not while a password stays that could not be deleted: they are all that stands before it.
    fn mfa_devices_are_off(&self) -> Check {
        self.present().filter(|()| !self.view.login_profile)?;
        let actions = self.view.mfa_devices.iter().map(|serial| Action::DeactivateMfa {
            user: self.user.clone(),
            serial: serial.clone(),
        });
        pick(self.situation.record, actions).map(|it| act(it, "it lets the user enrol again"))
    }

    fn role_sessions(&self, from: DateTime<Utc>) -> Check {
        let Situation { record, policy, .. } = self.situation;
        deny::assumable_roles(&self.view.roles, from, record, policy, self.now)
    }

    fn is_proven_dead(&self) -> Check {
        let Situation { record, policy, .. } = self.situation;
        if record.dead_at.is_some() {
            return None;
        }
        let keys = self.view.keys.iter();
        let unproven = keys
            .filter(|_| self.present().is_some())
            .find_map(|key| proof::prove(key, self.user, record, policy, self.now));
        unproven.or_else(|| {
            let until = record.denied_since? + policy.spread;
            let reason = "everything is denied; waiting for it to hold everywhere";
            (self.now < until).then(|| wait(until, reason))
        })
    }

    fn roles_are_cut_beyond_its_death(&self) -> Check {
        let Situation { record, policy, .. } = self.situation;
        self.role_sessions(deny::roles_from(record.dead_at?, policy))
    }

    /// Only cut roles need to spread once more: the user's own deny had to before it counted as dead.
    fn denies_have_spread(&self) -> Check {
        let Situation { record, policy, .. } = self.situation;
        if self.view.roles.is_empty() || !deny::cuts(policy) {
            return None;
        }
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
        // Its keys that were deleted since are as dead as they were.
        let present = self.view.keys.iter().filter(|_| self.present().is_some());
        let keys = present.map(|key| &key.id).chain(record.proven.keys()).map(String::as_str);
        Decision::Done(proof::verification(keys, record))
    }
}
