//! When each account was listed, and what waits for the next listing.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use severance_lifecycle::ids::AccountId;
use tokio::sync::Notify;

/// An account whose listing fails so long, as the pauses between its tries add up (a clock that is set
/// shortens no pause), counts as one that refuses to be listed: a person is told, and
/// contract ends and verifications of every other account go on.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);

/// A moment in the order of listings, whatever the clock says: what began after it was drawn has seen
/// everything that was there at that moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// How much waits for a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pressing {
    /// It is listed when nothing urgent is to be done.
    #[default]
    Not,
    /// What a notice names is struck already; whether more goes with it waits. It is listed after what still
    /// has to be struck.
    Proof,
    /// What a notice names is known only from it.
    Blow,
}

/// When each account was last listed, and which may not be listed at all: what an account that was never
/// listed holds is not known, so nothing can be said of the roles within reach.
#[derive(Default)]
pub(crate) struct Listings {
    state: Mutex<State>,
    wanted: Notify,
}

#[derive(Default)]
struct State {
    drawn: u64,
    accounts: BTreeMap<AccountId, Standing>,
}

#[derive(Default)]
struct Standing {
    /// When the last listing was complete.
    listed: Option<DateTime<Utc>>,
    /// When that one began; unknown of one that an earlier process made.
    began: Option<(Ticket, DateTime<Utc>)>,
    /// A listing is waited for that begins after this, and by what.
    wanted: Option<(Ticket, Pressing)>,
    /// How long was paused between tries that all failed.
    paused: TimeDelta,
    /// It refuses, or failed for too long: nothing waits for it any more.
    given_up: bool,
    /// That was told.
    told: bool,
}

impl Listings {
    /// When the newest listing was complete.
    pub(crate) fn newest(&self) -> Option<DateTime<Utc>> {
        self.state().accounts.values().filter_map(|account| account.listed).max()
    }

    /// Whether every account was listed, but for those that refuse to be: one of them is reported as
    /// such, and must not hold up everything else for ever.
    pub(crate) fn cover(&self, accounts: &[AccountId]) -> bool {
        let state = self.state();
        let known = |id| state.accounts.get(id).is_some_and(|a| a.listed.is_some() || a.given_up);
        accounts.iter().all(known)
    }

    /// Whether what an account holds is known, by the last listing.
    pub(crate) fn is_listed(&self, account: &AccountId) -> bool {
        self.state().accounts.get(account).is_some_and(|account| account.listed.is_some())
    }

    /// Draws a ticket.
    pub(crate) fn ticket(&self) -> Ticket {
        self.state().draw()
    }

    /// Whether every account was listed by a listing that began after the ticket was drawn (but for
    /// those that cannot be). Such a listing is asked for where it was not.
    pub(crate) fn began_after(
        &self,
        accounts: &[AccountId],
        than: Ticket,
        pressing: Pressing,
    ) -> bool {
        let mut state = self.state();
        let mut all = true;
        for id in accounts {
            let account = state.accounts.entry(id.clone()).or_default();
            if account.began_after(than) {
                continue;
            }
            all = false;
            let (ticket, other) = account.wanted.unwrap_or_default();
            account.wanted = Some((ticket.max(than), other.max(pressing)));
        }
        drop(state);
        if !all {
            self.wanted.notify_waiters();
        }
        all
    }

    /// As [`began_after`](Self::began_after), and nothing is asked for.
    pub(crate) fn have_begun_after(&self, accounts: &[AccountId], than: Ticket) -> bool {
        let state = self.state();
        let began = |id| state.accounts.get(id).is_some_and(|account| account.began_after(than));
        accounts.iter().all(began)
    }

    /// Whether nothing waits for the account any more.
    pub(crate) fn is_given_up(&self, account: &AccountId) -> bool {
        self.state().accounts.get(account).is_some_and(|account| account.given_up)
    }

    /// Whether the account's last listing began after this moment.
    pub(crate) fn is_newer(&self, account: &AccountId, than: DateTime<Utc>) -> bool {
        let state = self.state();
        let began = state.accounts.get(account).and_then(|account| account.began);
        began.is_some_and(|(_, at)| at > than)
    }

    /// Completes when a listing may be waited for since the future was made.
    pub(super) fn wanted(&self) -> tokio::sync::futures::Notified<'_> {
        self.wanted.notified()
    }

    /// When the account's last listing was complete.
    pub(super) fn last(&self, account: &AccountId) -> Option<DateTime<Utc>> {
        self.state().accounts.get(account).and_then(|it| it.listed)
    }

    /// An earlier process listed the account.
    pub(super) fn learn(&self, account: AccountId, at: DateTime<Utc>) {
        self.state().accounts.entry(account).or_default().listed = Some(at);
    }

    /// Whether the account is to be listed now, and what waits for that.
    pub(super) fn due(
        &self,
        account: &AccountId,
        every: TimeDelta,
        now: DateTime<Utc>,
    ) -> Option<Pressing> {
        let mut state = self.state();
        let account = state.accounts.entry(account.clone()).or_default();
        match (account.listed, account.wanted) {
            (None, _) => Some(Pressing::Blow),
            (_, Some((_, pressing))) => Some(pressing),
            (Some(at), None) => (at + every <= now).then_some(Pressing::Not),
        }
    }

    pub(super) fn listed(
        &self,
        account: &AccountId,
        began: (Ticket, DateTime<Utc>),
        now: DateTime<Utc>,
    ) {
        let mut state = self.state();
        let account = state.accounts.entry(account.clone()).or_default();
        let wanted = account.wanted.filter(|(ticket, _)| *ticket > began.0);
        *account =
            Standing { listed: Some(now), began: Some(began), wanted, ..Standing::default() };
    }

    /// Takes in a failure. Answers whether it is to be told that the account is given up.
    pub(super) fn failed(&self, account: &AccountId, refuses: bool) -> bool {
        let mut state = self.state();
        let account = state.accounts.entry(account.clone()).or_default();
        account.given_up |= refuses || account.paused >= PATIENCE;
        if account.given_up {
            account.wanted = None;
        }
        account.given_up && !account.told
    }

    /// Counts a pause between two tries.
    pub(super) fn paused(&self, account: &AccountId, pause: TimeDelta) {
        self.state().accounts.entry(account.clone()).or_default().paused += pause;
    }

    pub(super) fn told(&self, account: &AccountId) {
        self.state().accounts.entry(account.clone()).or_default().told = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    /// Whether its last listing began after the ticket was drawn, or none is waited for any more.
    fn began_after(&self, than: Ticket) -> bool {
        self.given_up || self.began.is_some_and(|(began, _)| began > than)
    }
}

impl State {
    fn draw(&mut self) -> Ticket {
        self.drawn += 1;
        Ticket(self.drawn)
    }
}
