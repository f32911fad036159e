//! A secret: a new credential is handed out and the old one dies, or, where it was the leaver's alone,
//! only the latter.
//!
//! Nothing here is a list of steps: each part looks at what the provider shows and says what is
//! missing, so that a crash, a person or another tool can leave any state behind.

mod between;
mod gives_way;
mod look;
mod make;
mod old;
mod old_value;
mod overdue;
mod possession;
mod replace;
mod room;
mod telling;
mod unreadable;

use chrono::{DateTime, Utc};

use super::{Check, Decision, Situation, act, first, proof};
use crate::action::Action;
use crate::observe::Presence;
use crate::policy::Desired;
use crate::rotation::{OldVersion, RotationRecord, RotationTerms};
use crate::secret::{Issuer, SecretRef};
use crate::secret_action::SecretAction;
use crate::secret_view::{Held, SecretView, VersionState};
use crate::task::{BlockReason, Verification};

pub(super) use look::look;

/// Hands out a new credential, and has the old one die after its grace; at once where it is exposed.
pub(super) fn rotate(here: Here<'_>) -> Decision {
    let said = here
        .gives_way()
        .or_else(|| here.cannot_be_rotated())
        .or_else(|| here.readers_are_denied().filter(|said| here.is_possible(said)))
        .or_else(|| here.nothing_may_follow())
        .or_else(|| here.is_tried_before_it_dies().filter(|said| here.is_possible(said)))
        .or_else(|| here.old_dies_first())
        .or_else(|| here.new_is_handed_out())
        .or_else(|| here.old_dies())
        // Refused, it stops nothing: what they know dies all the same. It stays open.
        .or_else(|| here.readers_are_denied());
    here.unless_overdue(here.unless_refused(said.unwrap_or_else(|| here.done())))
}

/// Has what the secret holds die at its issuer, and only then hides the secret: hiding alone is never
/// called revocation.
pub(super) fn revoke(here: Here<'_>) -> Decision {
    if here.ended_before() {
        return Decision::Done(Verification::ControlPlane);
    }
    let checks: [&dyn Fn() -> Check; 9] = [
        &|| here.readers_are_denied(),
        &|| here.old_credential_dies(),
        &|| here.other_burnt_keys_die(),
        &|| here.other_burnt_values_die(),
        &|| here.is_not_proven(),
        &|| here.unread_key_may_work(),
        &|| here.issuer_is_unknown(),
        &|| here.value_is_unknown(),
        &|| here.is_hidden(),
    ];
    first(here.record(), here.now, &checks).unwrap_or_else(|| here.done())
}

/// A secret at one look.
#[derive(Clone, Copy)]
pub(super) struct Here<'a> {
    pub(super) desired: Desired,
    pub(super) situation: &'a Situation<'a>,
    pub(super) secret: &'a SecretRef,
    pub(super) issuer: &'a Issuer,
    pub(super) view: &'a SecretView,
    pub(super) now: DateTime<Utc>,
}

impl<'a> Here<'a> {
    fn record(&self) -> &'a crate::record::Record {
        self.situation.record
    }

    fn rotation(&self) -> &'a RotationRecord {
        &self.situation.record.rotation
    }

    fn terms(&self) -> &'a RotationTerms {
        &self.situation.policy.rotation
    }

    fn old(&self) -> Option<&'a OldVersion> {
        self.rotation().old.as_ref()
    }

    fn act(&self, what: SecretAction, reason: &str) -> Decision {
        act(Action::Secret { secret: self.secret.clone(), what }, reason)
    }

    /// A refused step ends the sequence: what comes after it builds on it.
    fn unless_refused(&self, said: Decision) -> Decision {
        match &said {
            Decision::Act(action, _) => match self.record().refused.get(&action.site()) {
                Some(reason) => {
                    let half = self.left_half_done(action).filter(|said| self.is_possible(said));
                    half.unwrap_or_else(|| Decision::Blocked(reason.clone()))
                }
                None => said,
            },
            _ => said,
        }
    }

    fn is_exposed(&self) -> bool {
        self.terms().exposed_at.is_some()
    }

    /// Whether whoever had the secret before knows what this version holds.
    fn is_burnt(&self, version: &VersionState) -> bool {
        self.terms().ends || self.terms().exposed_at.is_some_and(|at| version.created < at)
    }

    /// Whether sessions and what they reach must go with the old credential.
    fn is_thorough(&self) -> bool {
        self.terms().is_thorough() || self.is_revoked()
    }

    /// Whether nothing is to follow what the secret holds.
    fn is_revoked(&self) -> bool {
        self.desired == Desired::Revoked
    }

    fn cannot_be_rotated(&self) -> Check {
        let blocked = |reason| Some(Decision::Blocked(reason));
        if self.view.secret != Presence::Same {
            return proof::look_twice(self.record(), self.situation.policy, self.now)
                .or_else(|| blocked(BlockReason::NotFound));
        }
        if let Some(since) = self.view.deleted_at {
            return Some(self.ends_hidden(since));
        }
        if let Some(service) = self.view.owning_service.clone() {
            return blocked(BlockReason::ManagedByService { service });
        }
        if *self.issuer == Issuer::Unknown {
            return blocked(BlockReason::UnknownIssuer);
        }
        self.user_is_gone().or_else(|| self.value_is_unfit())
    }

    /// There is nobody whose key could follow. What its sessions reach is closed all the same.
    fn user_is_gone(&self) -> Check {
        if self.view.keys.as_ref()?.user == Presence::Same {
            return None;
        }
        let checks: [&dyn Fn() -> Check; 3] = [
            &|| if self.is_thorough() { self.old_credential_dies() } else { None },
            &|| proof::look_twice(self.record(), self.situation.policy, self.now),
            &|| Some(Decision::Blocked(BlockReason::NotFound)),
        ];
        first(self.record(), self.now, &checks)
    }

    /// Said before anything is changed; once something was, the look that found it fit counts.
    fn value_is_unfit(&self) -> Check {
        if let Some(unknown) = self.current_is_unknown() {
            return Some(unknown);
        }
        if self.old().is_some() {
            return None;
        }
        match self.view.current().map(|version| &version.held) {
            Some(Held::Unfit { field, why }) => {
                let (field, why) = (field.clone(), why.clone());
                Some(Decision::Blocked(BlockReason::UnfitValue { field, why }))
            }
            Some(_) => None,
            None => {
                let (field, why) = ("value".to_owned(), "no version is current".to_owned());
                Some(Decision::Blocked(BlockReason::UnfitValue { field, why }))
            }
        }
    }

    /// Those who leave must not read the new value.
    fn readers_are_denied(&self) -> Check {
        let readers = self.terms().leaving.clone();
        (self.is_readable() && !readers.is_empty() && !self.view.denied).then(|| {
            let case = self.situation.policy.case.clone();
            self.act(SecretAction::Deny { case, readers }, "those who leave may not read it")
        })
    }

    /// Where it waits for nothing, or no longer: the old credential's switch goes first, its proof meanwhile.
    /// Whatever keeps failing without an end would keep it alive else.
    fn old_dies_first(&self) -> Check {
        if !self.dies_without_successor() {
            return None;
        }
        // Where that is refused (one login without an administrator), what replaces it ends it.
        let old = self.old_credential_dies().filter(|said| self.is_possible(said));
        old.or_else(|| self.other_burnt_values_die().filter(|said| self.is_possible(said)))
    }

    /// Whether it is an action that was not refused.
    fn is_possible(&self, said: &Decision) -> bool {
        match said {
            Decision::Act(action, _) => !self.record().refused.contains_key(&action.site()),
            _ => false,
        }
    }

    /// Whether the secret's values can be read.
    fn is_readable(&self) -> bool {
        self.view.secret == Presence::Same && self.view.deleted_at.is_none()
    }

    /// Whether an earlier case of ours ended and hid it, and nothing of its user works again.
    fn ended_before(&self) -> bool {
        let active = |key: &crate::secret_view::UserKey| key.state.status.is_active();
        !self.is_readable()
            && self.situation.policy.holds.ended
            && self.old().is_none_or(|old| matches!(old.held, Held::Opaque))
            && !self.view.user_keys().iter().any(active)
    }

    fn issuer_is_unknown(&self) -> Check {
        (*self.issuer == Issuer::Unknown).then_some(Decision::Blocked(BlockReason::UnknownIssuer))
    }

    /// A secret that is scheduled for deletion cannot be read, nor can a value that is unfit: what it held,
    /// and so what must die, is not known by looking at it.
    fn value_is_unknown(&self) -> Check {
        let (known, why) = match self.issuer {
            Issuer::AccessKey { .. } => (
                matches!(self.old().map(|old| &old.held), Some(Held::AccessKey { .. })),
                "which key it holds cannot be read",
            ),
            issuer => (!issuer.is_told() || self.old().is_some(), "what it holds cannot be read"),
        };
        (!known && self.view.secret == Presence::Same).then(|| {
            let unreadable = self.view.current().and_then(VersionState::unreadable);
            let (field, why) = ("value".to_owned(), unreadable.unwrap_or(why).to_owned());
            Decision::Blocked(BlockReason::UnfitValue { field, why })
        })
    }

    /// Replicas and deletion are hygiene, and last: to remove a replica cannot be undone, and AWS deletes
    /// no secret that has one (AWS: Secrets Manager User Guide, "Delete a secret").
    fn is_hidden(&self) -> Check {
        if self.view.secret != Presence::Same || self.view.deleted_at.is_some() {
            return None;
        }
        // What must die is read in it, once that is put right.
        if self.value_is_unknown().is_some() {
            return None;
        }
        if self.is_not_held().is_some() {
            return None;
        }
        // What cannot be read any more can be ended at its issuer no more.
        let value_lives = self.issuer.is_told() && self.old_credential_dies().is_some();
        let others = || {
            self.other_burnt_keys_die()
                .or_else(|| self.other_burnt_values_die())
                .or_else(|| self.unread_key_may_work())
        };
        if value_lives || others().is_some() {
            return None;
        }
        if !self.view.replicas.is_empty() {
            let regions = self.view.replicas.iter().map(|it| it.region.clone()).collect();
            return Some(self.act(SecretAction::RemoveReplicas { regions }, "nobody needs it"));
        }
        let recovery_days = self.terms().recovery_days;
        Some(self.act(SecretAction::ScheduleDeletion { recovery_days }, "nobody needs it"))
    }
}
