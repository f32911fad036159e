//! Every account, key and session, behind one lock.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::agenda::{Agenda, Place};
use super::key::{AccessKey, KeyOwner, KeyStatus};
use super::managed_policy::{ManagedPolicy, aws_managed};
use super::session::Session;
use super::spread::{Moment, Spread};
use super::{Account, Secret};
use crate::aws::config::SandboxConfig;
use crate::aws::error::AwsError;
use crate::aws::ids;
use crate::aws::log::CallRecord;

/// Expired sessions are dropped once this many have been issued since the last time.
const SESSIONS_BETWEEN_SWEEPS: usize = 4_096;

pub(crate) struct World {
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) keys: HashMap<String, AccessKey>,
    pub(crate) sessions: HashMap<String, Session>,
    pub(crate) aws_policies: BTreeMap<String, ManagedPolicy>,
    pub(crate) rng: StdRng,
    pub(crate) settings: Settings,
    /// What it does by itself, and when.
    pub(crate) agenda: Agenda,
    /// What it did by itself, until the log takes it.
    pub(crate) happened: Vec<CallRecord>,
    settled_until: DateTime<Utc>,
    issued_since_sweep: usize,
}

/// What may be changed while the sandbox runs.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) spread_delay: TimeDelta,
    pub(crate) page_size: usize,
    pub(crate) regions: Vec<String>,
    /// How long a change to a secret takes to arrive in its replicas.
    pub(crate) replica_delay: TimeDelta,
}

impl World {
    pub(crate) fn new(config: &SandboxConfig, now: DateTime<Utc>) -> Self {
        let settings = Settings {
            spread_delay: bounded(config.spread_delay),
            page_size: config.page_size.max(1),
            regions: config.regions.clone(),
            replica_delay: bounded(config.replica_delay),
        };
        let mut world = Self {
            accounts: BTreeMap::new(),
            keys: HashMap::new(),
            sessions: HashMap::new(),
            aws_policies: aws_managed(now),
            rng: StdRng::seed_from_u64(config.seed),
            settings,
            agenda: Agenda::default(),
            happened: Vec::new(),
            settled_until: DateTime::<Utc>::MIN_UTC,
            issued_since_sweep: 0,
        };
        for id in &config.accounts {
            world.add_account(id, now);
        }
        world
    }

    /// The moment of a call made at `now`.
    pub(crate) fn moment(&self, now: DateTime<Utc>) -> Moment {
        Moment { now, delay: self.settings.spread_delay, settled_until: self.settled_until }
    }

    /// A moment whose changes hold at once, for seeding.
    pub(crate) fn undelayed(&self, now: DateTime<Utc>) -> Moment {
        Moment { delay: TimeDelta::zero(), ..self.moment(now) }
    }

    /// Makes every change made up to `now` hold.
    pub(crate) fn settle(&mut self, now: DateTime<Utc>) {
        self.settled_until = self.settled_until.max(now);
        self.agenda.settle(now);
        for key in self.keys.values_mut() {
            key.stopped_at = key.stopped_at.map(|at| at.min(now));
        }
    }

    /// An account that is known to exist.
    pub(crate) fn account(&self, id: &str) -> Result<&Account, AwsError> {
        self.accounts.get(id).ok_or_else(|| no_account(id))
    }

    /// An account that is known to exist.
    pub(crate) fn account_mut(&mut self, id: &str) -> Result<&mut Account, AwsError> {
        self.accounts.get_mut(id).ok_or_else(|| no_account(id))
    }

    /// The secret in a place, where there is one.
    pub(crate) fn secret(&self, place: &Place) -> Option<&Secret> {
        self.accounts.get(&place.account)?.secrets.get(&place.region, &place.name)
    }

    /// The secret in a place, where there is one.
    pub(crate) fn secret_mut(&mut self, place: &Place) -> Option<&mut Secret> {
        self.accounts.get_mut(&place.account)?.secrets.get_mut(&place.region, &place.name)
    }

    /// A managed policy of `account`, or of AWS.
    pub(crate) fn managed_policy(&self, account: &str, arn: &str) -> Option<&ManagedPolicy> {
        self.aws_policies.get(arn).or_else(|| self.accounts.get(account)?.policies.get(arn))
    }

    /// Adds an account with a root access key; one that exists is left as it is.
    pub(crate) fn add_account(&mut self, id: &str, now: DateTime<Utc>) {
        if self.accounts.contains_key(id) {
            return;
        }
        self.accounts.insert(id.to_owned(), Account::new(id));
        let at = self.undelayed(now);
        let key = self.make_key(id, KeyOwner::Root, &at);
        if let Some(account) = self.accounts.get_mut(id) {
            account.root_keys.push(key);
        }
    }

    /// Makes an access key (that the owner must yet be given) and returns its id.
    pub(crate) fn make_key(&mut self, account: &str, owner: KeyOwner, at: &Moment) -> String {
        let id = ids::access_key_id(&mut self.rng, "AKIA", account);
        let key = AccessKey {
            id: id.clone(),
            secret: ids::secret_access_key(&mut self.rng),
            account: account.to_owned(),
            owner,
            created: at.now,
            status: Spread::appearing(KeyStatus::Gone, KeyStatus::Active, at),
            last_used: None,
            stopped_at: None,
        };
        self.keys.insert(id.clone(), key);
        id
    }

    /// Keeps an issued session under a new `ASIA` id, which it returns.
    pub(crate) fn keep_session(&mut self, session: Session, now: DateTime<Utc>) -> String {
        self.issued_since_sweep += 1;
        if self.issued_since_sweep >= SESSIONS_BETWEEN_SWEEPS {
            self.issued_since_sweep = 0;
            // A day's grace: an expired session is told that it expired, not that it is unknown.
            self.sessions.retain(|_, it| it.expires_at + TimeDelta::days(1) > now);
        }
        let id = ids::access_key_id(&mut self.rng, "ASIA", &session.account);
        self.sessions.insert(id.clone(), session);
        id
    }
}

/// The delay, at most ten years: later moments could not be told.
pub(crate) fn bounded(delay: std::time::Duration) -> TimeDelta {
    let most = TimeDelta::days(3_650);
    TimeDelta::from_std(delay).unwrap_or(most).min(most)
}

fn no_account(id: &str) -> AwsError {
    AwsError::new(500, "ServiceFailure", format!("the sandbox has no account {id}"))
}
