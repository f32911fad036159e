//! Roles as they are now, for what is exposed: the inventory may be as old as its refresh, and whoever had the
//! credential may have made a role since, or had one opened to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::try_join_all;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::ids::{AccountId, TaskId};
use severance_lifecycle::task::{Lane, Task};
use tokio::sync::Notify;

use crate::inventory::{Pages, Pressing, Ticket};
use crate::shared::Shared;
use crate::urgency::Presence;

/// Who waits comes again after this at the soonest: each time is a claim and a step.
const SHORTEST: TimeDelta = TimeDelta::seconds(1);

/// And after this at the latest.
const LONGEST: TimeDelta = TimeDelta::seconds(10);

/// Who has not come for his answer by then comes no more: another process has it, or it is superseded.
const FORGOTTEN: TimeDelta = TimeDelta::hours(1);

/// Listings of the roles of all accounts: one at a time, each for all who asked before it began. Nobody waits
/// for one in his place, which others need for a first blow.
#[derive(Default)]
pub(crate) struct Roles {
    state: Mutex<State>,
    wanted: Notify,
}

#[derive(Default)]
struct State {
    /// Tasks that asked and have not come for the answer.
    asked: HashMap<TaskId, Asked>,
    /// When the last listing began, and how it ended.
    last: Option<(Ticket, Result<(), Failure>)>,
}

#[derive(Clone, Copy)]
struct Asked {
    ticket: Ticket,
    at: DateTime<Utc>,
    /// Since when all that was known then was closed.
    sealed_since: Option<DateTime<Utc>>,
}

/// What became of a listing that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Roles were listed, but for accounts that refuse to be, as the inventory's alarm says of them.
    Listed,
    /// What an account's listing failed with, in passing.
    Failed(Failure),
    /// It is listed: ask again after so long.
    Waits {
        /// So long.
        again_in: TimeDelta,
        /// It was asked for the first time.
        is_new: bool,
    },
}

impl Roles {
    /// Has every account's roles listed, by a listing that begins after the task asked first since all that was
    /// known was closed. An answer is given once: whoever asks after it has another one begin.
    pub(crate) fn ask(&self, shared: &Shared, task: &Task) -> Answer {
        let now = shared.now();
        let sealed_since = task.record.sealed_since;
        let mut state = self.state();
        let known = state.asked.get(&task.id).copied();
        let known = known.filter(|asked| asked.sealed_since == sealed_since);
        let asked = known.unwrap_or_else(|| {
            let asked = Asked { ticket: shared.listings.ticket(), at: now, sealed_since };
            state.asked.insert(task.id.clone(), asked);
            asked
        });
        let Some(answer) = state.answer(asked) else {
            self.wanted.notify_one();
            return Answer::Waits { again_in: asked.again_in(now), is_new: known.is_none() };
        };
        state.asked.remove(&task.id);
        answer.map_or_else(Answer::Failed, |()| Answer::Listed)
    }

    /// How long a task that asked is to wait on, where there is no answer yet.
    pub(crate) fn waits(&self, shared: &Shared, task: &TaskId) -> Option<TimeDelta> {
        let state = self.state();
        let asked = *state.asked.get(task)?;
        state.answer(asked).is_none().then(|| asked.again_in(shared.now()))
    }

    /// What a task asked is of no use any more: it goes on to change something.
    pub(crate) fn forget(&self, task: &TaskId) {
        self.state().asked.remove(task);
    }

    fn is_wanted(&self) -> bool {
        let state = self.state();
        state.asked.values().any(|asked| state.answer(*asked).is_none())
    }

    fn ended(&self, began: Ticket, listed: Result<(), Failure>, now: DateTime<Utc>) {
        let mut state = self.state();
        state.last = Some((began, listed));
        state.asked.retain(|_, asked| now - asked.at < FORGOTTEN);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn answer(&self, asked: Asked) -> Option<Result<(), Failure>> {
        let (began, listed) = self.last.as_ref()?;
        (*began > asked.ticket).then(|| listed.clone())
    }
}

impl Asked {
    /// The longer it takes the less often, so that those who wait are no load of their own.
    fn again_in(self, now: DateTime<Utc>) -> TimeDelta {
        ((now - self.at) / 4).clamp(SHORTEST, LONGEST)
    }
}

/// Lists for ever what is asked for; to be dropped when the worker drains.
pub(crate) async fn run(shared: Arc<Shared>) {
    let roles = &shared.roles;
    loop {
        if !roles.is_wanted() {
            roles.wanted.notified().await;
            continue;
        }
        let began = shared.listings.ticket();
        let listing = async {
            Presence::set_proving(true);
            list(&shared, began).await
        };
        let listed = shared.urgency.enter().scope(listing).await;
        roles.ended(began, listed, shared.now());
    }
}

async fn list(shared: &Shared, began: Ticket) -> Result<(), Failure> {
    let accounts = shared.provider.accounts();
    let accounts = accounts.iter().filter(|account| !shared.listings.is_given_up(account));
    try_join_all(accounts.map(|account| of(shared, account, began))).await?;
    Ok(())
}

async fn of(shared: &Shared, account: &AccountId, began: Ticket) -> Result<(), Failure> {
    let mut pages = Pages::new(shared, account, shared.now());
    match shared.provider.roles(account, Lane::Compromise, &mut pages).await {
        Err(failure) if failure.class == FailureClass::Cannot => {
            tracing::warn!(%account, %failure, "roles cannot be listed");
            Ok(())
        }
        Err(failure) => {
            // So that an account which keeps failing is given up in time, and told.
            shared.listings.began_after(std::slice::from_ref(account), began, Pressing::Proof);
            Err(failure)
        }
        Ok(()) => Ok(()),
    }
}
