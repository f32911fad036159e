//! `decide`: what to do next about one target. Pure, total, and the same for the same inputs.
//!
//! Each kind of target is a readable list of small named checks, in order; the first that has
//! something to say decides. A crash anywhere is repaired by looking again, since nothing here
//! depends on what was done, only on what is seen and on rows of looks kept in the
//! [`Record`].
//!
//! The caller's loop is: look at the provider, [`look`] into the record, [`decide`], do that, look
//! again.

mod access_key;
mod deny;
mod look;
mod model;
mod proof;
mod reinstate;
mod report;
mod role;
mod secret;
mod secret_model;
mod tidy;
mod user;

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use crate::action::Action;
use crate::credential::Target;
use crate::observe::{Observed, View};
use crate::policy::{Desired, Policy};
use crate::record::Record;
use crate::task::{BlockReason, Verification};

pub use look::look;
pub use model::{apply, plan};
pub use report::{Standing, Way, findings, ways};

/// What is known when a decision is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// What it is about.
    pub target: &'a Target,
    /// What the latest look saw. [`look`] has taken it into the record already.
    pub observed: &'a Observed,
    /// What was done and seen before.
    pub record: &'a Record,
    /// What to decide by.
    pub policy: &'a Policy,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Carry this out, then look again.
    Act(Action, Reason),
    /// Look again at this moment (the provider's clock).
    Wait(DateTime<Utc>, Reason),
    /// The desired state holds.
    Done(Verification),
    /// It cannot be reached for now.
    Blocked(BlockReason),
}

/// Why, for the journal and the log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(pub String);

/// Decides. `now` is the provider's clock at the look ([`Observed::at`]).
pub fn decide(desired: Desired, situation: &Situation<'_>, now: DateTime<Utc>) -> Decision {
    use Desired::{Deleted, Reinstated, Revoked, Rotated};
    match (desired, situation.target, &situation.observed.view) {
        (Revoked, Target::AccessKey { key_id, user }, View::AccessKey(view)) => {
            access_key::revoke(situation, key_id, user, view, now)
        }
        (Revoked, Target::User { user }, View::User(view)) => {
            user::revoke(situation, user, view, now)
        }
        (Revoked, Target::Role { role }, View::Role(view)) => {
            role::revoke(situation, role, view, now)
        }
        (Revoked, Target::Secret { secret, issuer }, View::Secret(view)) => {
            secret::revoke(secret::Here { desired, situation, secret, issuer, view, now })
        }
        (Rotated, Target::Secret { secret, issuer }, View::Secret(view)) => {
            secret::rotate(secret::Here { desired, situation, secret, issuer, view, now })
        }
        (Deleted, target, view) => tidy::delete(situation, target, view, now),
        (Reinstated, target, view) => reinstate::reinstate(situation, target, view, now),
        // A view of another kind than the target's says nothing about it.
        _ => Decision::Blocked(BlockReason::NotFound),
    }
}

/// One check of a list: `None` where it has nothing to say.
type Check = Option<Decision>;

/// A block is said only when nothing can be done or is about to be proven meanwhile: a route that
/// cannot be closed is no reason to leave the next one open.
const WORTH_WAITING: TimeDelta = TimeDelta::minutes(1);

/// The first check that has something to say, blocks last.
fn first(record: &Record, now: DateTime<Utc>, checks: &[&dyn Fn() -> Check]) -> Check {
    let mut blocked = None;
    for check in checks {
        match check() {
            None => {}
            Some(Decision::Act(action, _)) if record.refused.contains_key(&action.site()) => {
                blocked = blocked.or_else(|| record.refused.get(&action.site()).cloned());
            }
            Some(Decision::Blocked(reason)) => {
                blocked.get_or_insert(reason);
            }
            Some(Decision::Wait(until, _)) if blocked.is_some() && until - now > WORTH_WAITING => {}
            Some(Decision::Done(_)) if blocked.is_some() => {}
            said => return said,
        }
    }
    blocked.map(Decision::Blocked)
}

/// The first of several actions that was not refused; where all were, the first.
fn pick(record: &Record, mut actions: impl Iterator<Item = Action>) -> Option<Action> {
    let first = actions.next()?;
    if !record.refused.contains_key(&first.site()) {
        return Some(first);
    }
    actions.find(|action| !record.refused.contains_key(&action.site())).or(Some(first))
}

fn act(action: Action, reason: &str) -> Decision {
    Decision::Act(action, Reason(reason.to_owned()))
}

fn wait(until: DateTime<Utc>, reason: impl Into<String>) -> Decision {
    Decision::Wait(until, Reason(reason.into()))
}

impl Decision {
    /// The kind of decision, for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Act(..) => "act",
            Self::Wait(..) => "wait",
            Self::Done(_) => "done",
            Self::Blocked(_) => "blocked",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
