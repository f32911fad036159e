//! Proving that a key is dead: refusals in a row where its secret half is known, a row of looks
//! where it is not; and that what is missing stays missing at a second look.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Check, Decision, act, wait};
use crate::action::Action;
use crate::credential::UserRef;
use crate::observe::KeyState;
use crate::policy::Policy;
use crate::record::{ProbeSeries, Record};
use crate::task::{BlockReason, Verification};

/// Probes in a row that prove nothing before a person is asked.
const INCONCLUSIVE_LIMIT: u32 = 40;

/// After that, how long until the next probe: a blocked task is retried slowly.
const INCONCLUSIVE_PAUSE: TimeDelta = TimeDelta::minutes(5);

/// Whether what is missing was missing at two looks a window apart. A deleted identity's key may be
/// accepted for seconds after, so the window is the one for dead keys.
pub(super) fn gone(record: &Record, policy: &Policy, now: DateTime<Utc>) -> bool {
    record.missing_since.is_some_and(|at| now - at >= second_look(policy))
}

fn second_look(policy: &Policy) -> TimeDelta {
    // Never zero: one look is not two.
    policy.proof.window.max(TimeDelta::seconds(1))
}

/// Asks for the second look.
pub(super) fn look_twice(record: &Record, policy: &Policy, now: DateTime<Utc>) -> Check {
    let since = record.missing_since?;
    (now - since < second_look(policy))
        .then(|| wait(since + second_look(policy), "it is not there: looking a second time"))
}

/// Whether a key that is switched off is proven dead.
pub(super) fn key_is_dead(
    key: &KeyState,
    record: &Record,
    policy: &Policy,
    now: DateTime<Utc>,
) -> bool {
    if key.status.is_active() {
        return false;
    }
    record.proven.contains_key(&key.id)
        || if can_probe(key, record) {
            was_refused(&key.id, record, policy)
        } else {
            record.disabled_since.is_some_and(|at| now - at >= policy.proof.window)
        }
}

/// Whether a key that its user has no more is proven dead.
pub(super) fn missing_key_is_dead(
    key_id: &str,
    record: &Record,
    policy: &Policy,
    now: DateTime<Utc>,
) -> bool {
    record.proven.contains_key(key_id)
        || was_refused(key_id, record, policy)
        || (gone(record, policy, now) && !is_being_tried(key_id, record))
}

/// Whether tries tell something of it: a deleted key is refused like one that is off, and one that is accepted
/// lives on somewhere.
fn is_being_tried(key_id: &str, record: &Record) -> bool {
    let series = record.probes.get(key_id);
    series.is_some_and(|it| {
        let told = it.refusals > 0 || it.acceptances > 0;
        told && !it.unavailable && it.inconclusive < INCONCLUSIVE_LIMIT
    })
}

fn was_refused(key_id: &str, record: &Record, policy: &Policy) -> bool {
    let proof = policy.proof;
    let series = record.probes.get(key_id);
    series.is_some_and(|s| s.proves_dead(proof.refusals, proof.window, proof.endpoints))
}

/// How a key that is dead was proven so.
pub(super) fn how(key_id: &str, record: &Record, policy: &Policy) -> Verification {
    if was_refused(key_id, record, policy) {
        Verification::Probed
    } else {
        Verification::ControlPlane
    }
}

/// What the proof of a key's death needs next; `None` once it is proven.
pub(super) fn prove(
    key: &KeyState,
    user: &UserRef,
    record: &Record,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Check {
    // What could not be switched off is not tried: it would be accepted, and that is known.
    if key.status.is_active() || key_is_dead(key, record, policy, now) {
        return None;
    }
    if !can_probe(key, record) {
        // While something else is on, there is nothing to watch yet.
        let since = record.disabled_since?;
        let reason = "switched off; its secret half is not known, so its state is watched";
        return Some(wait(since + policy.proof.window, reason));
    }
    let reason = "switched off; trying it until it is refused everywhere";
    Some(next_probe(&key.id, user, reason, record, policy, now))
}

/// What the proof of a missing key's death needs next; `None` once it is proven.
pub(super) fn prove_missing(
    key_id: &str,
    user: &UserRef,
    record: &Record,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Check {
    if missing_key_is_dead(key_id, record, policy, now) {
        return None;
    }
    if is_being_tried(key_id, record) {
        let reason = "deleted amid its tries; trying it until it is refused everywhere";
        return Some(next_probe(key_id, user, reason, record, policy, now));
    }
    look_twice(record, policy, now)
}

fn next_probe(
    key_id: &str,
    user: &UserRef,
    reason: &str,
    record: &Record,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Decision {
    let empty = ProbeSeries::default();
    let series = record.probes.get(key_id).unwrap_or(&empty);
    let stuck = series.inconclusive >= INCONCLUSIVE_LIMIT;
    let pause = if stuck { INCONCLUSIVE_PAUSE } else { policy.proof.interval };
    match series.last.map(|last| last + pause) {
        Some(next) if next > now && stuck => Decision::Blocked(BlockReason::ProbeInconclusive {
            key_id: key_id.to_owned(),
            why: series.why.clone(),
        }),
        Some(next) if next > now => wait(next, "next probe"),
        _ => {
            let (user, key_id) = (user.clone(), key_id.to_owned());
            act(Action::Probe { user, key_id, sample: series.samples }, reason)
        }
    }
}

/// How the death of these keys is verified. Only keys that were all tried count as probed.
pub(super) fn verification<'a>(
    key_ids: impl IntoIterator<Item = &'a str>,
    record: &Record,
) -> Verification {
    let mut keys = key_ids.into_iter().peekable();
    let was_probed = |key_id| record.proven.get(key_id) == Some(&Verification::Probed);
    if keys.peek().is_some() && keys.all(was_probed) {
        Verification::Probed
    } else {
        Verification::ControlPlane
    }
}

/// Whether a key can be tried.
fn can_probe(key: &KeyState, record: &Record) -> bool {
    key.probeable && !record.probes.get(&key.id).is_some_and(|series| series.unavailable)
}
