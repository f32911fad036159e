//! Which secret holds which access key: places, never values.
//!
//! Built from tags (and, for secrets that are tagged as holding a key without saying which, or whose version
//! is newer than their tag, from the key id in their JSON), refreshed with the inventory, which lists them. A key that is not in it causes one refresh, and
//! an account is refreshed by misses at most once a minute, so that looks stay free of such calls.
//!
//! No lock is held while a call is made: a call of a lower lane is not admitted while more urgent work
//! is there, and urgent work that waited for its lock would wait for ever.

mod found;
mod holders;
mod listed;
mod search;
mod versions;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use severance_engine::ports::InventorySink;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::task::Lane;
use tokio::sync::watch;

pub(crate) use self::found::Place;
use self::found::{Contents, Found};
pub(crate) use self::holders::{holders, is_held};
use crate::calls::Calls;
use crate::config::{FieldPair, SecretFinding};
use crate::failure::{self, TOO_MANY_PAGES};

/// How old an index is taken as it is when a key is not in it.
const FRESH: TimeDelta = TimeDelta::minutes(1);

/// How long until secrets are searched again after a passing failure.
const PAUSE: TimeDelta = TimeDelta::seconds(5);

/// For how long a passing failure leaves it open whether a key can be probed. Its other steps go on
/// meanwhile; only the proof waits.
const OPEN: TimeDelta = TimeDelta::seconds(60);

pub(crate) struct SecretIndex {
    finding: SecretFinding,
    known: Mutex<Known>,
    /// What versions of secrets hold: a version never changes it.
    versions: Mutex<versions::Versions>,
    useless: Mutex<versions::Useless>,
    /// Refreshes under way: at most one a lane, each with what closes when it ends.
    running: Mutex<Vec<(Lane, watch::Receiver<()>)>>,
}

#[derive(Default)]
struct Known {
    found: Found,
    /// Keys that a refresh did not find.
    missing: HashSet<String>,
    /// Keys of which it is open where they are, since when.
    open: HashMap<String, DateTime<Utc>>,
    /// How many refreshes have begun, and which of them this is of.
    begun: u64,
    of: u64,
    last: Option<Last>,
}

/// How the last refresh ended.
#[derive(Clone, Copy)]
struct Last {
    at: DateTime<Utc>,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// All regions were searched.
    Whole,
    /// Some region may not be searched by us.
    Denied,
    /// Some region failed in a way that passes.
    Passing,
}

/// Whether a secret that we may read holds a key's secret half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Yes,
    No,
    /// Secrets cannot be searched at the moment.
    Open,
}

/// A refresh under way. Dropped at its end, however it ends, it wakes who waits for it.
struct Running<'a> {
    index: &'a SecretIndex,
    lane: Lane,
    _ends: watch::Sender<()>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.index.running().retain(|(lane, _)| *lane != self.lane);
    }
}

impl SecretIndex {
    pub(crate) fn new(finding: SecretFinding) -> Self {
        Self {
            finding,
            known: Mutex::default(),
            versions: Mutex::default(),
            useless: Mutex::default(),
            running: Mutex::default(),
        }
    }

    /// Whether a secret that we may read holds the key's secret half; searched where it is not known.
    ///
    /// While a passing failure keeps secrets from being searched it is open, for a minute a key: then
    /// the key counts as one that cannot be probed, until a search succeeds.
    pub(crate) async fn holds(&self, calls: &Calls<'_>, key_id: &str) -> Holds {
        if !self.finding.enabled {
            return Holds::No;
        }
        loop {
            if let Some(answer) = self.answer(calls, key_id) {
                return answer;
            }
            match self.begin(calls.lane()) {
                Ok(running) => {
                    match self.fill(calls, &running).await {
                        Ok(()) => self.is_missing(key_id),
                        Err(failure) => {
                            tracing::warn!(account = %calls.id(), %failure, "secrets cannot be searched");
                        }
                    }
                    drop(running);
                    return self.answer(calls, key_id).unwrap_or(Holds::Open);
                }
                // An error says that it ended.
                Err(mut other) => while other.changed().await.is_ok() {},
            }
        }
    }

    /// What is known without a call; `None` where a refresh might tell.
    fn answer(&self, calls: &Calls<'_>, key_id: &str) -> Option<Holds> {
        let mut known = self.known();
        let places = known.found.places.of(key_id);
        if !places.is_empty() {
            let is_usable = places.iter().any(|place| !place.unusable);
            return Some(if is_usable { Holds::Yes } else { Holds::No });
        }
        if known.missing.contains(key_id) {
            return Some(Holds::No);
        }
        let last = known.last?;
        let now = calls.now();
        let pause = if last.end == End::Passing { PAUSE } else { FRESH };
        // Our own clock may have been set back.
        if (now - last.at).abs() >= pause {
            return None;
        }
        Some(match last.end {
            End::Whole | End::Denied => Holds::No,
            End::Passing => {
                let since = *known.open.entry(key_id.to_owned()).or_insert(now);
                if now - since < OPEN {
                    Holds::Open
                } else {
                    tracing::warn!(account = %calls.id(), key_id, "not probed: secrets cannot be searched");
                    Holds::No
                }
            }
        })
    }

    /// After a search for it: until the next refresh, the key is not searched for again.
    fn is_missing(&self, key_id: &str) {
        let mut known = self.known();
        if known.found.places.of(key_id).is_empty() {
            known.missing.insert(key_id.to_owned());
        }
    }

    /// Where the key's secret half may be read.
    pub(crate) fn places(&self, key_id: &str) -> Vec<Place> {
        let known = self.known();
        known.found.places.of(key_id).iter().filter(|place| !place.unusable).cloned().collect()
    }

    /// Searches secrets where that was not done since the worker started: what was not looked for is not known to
    /// be nowhere. One try: a region that cannot be searched must not keep the others' secrets from being rotated.
    pub(crate) async fn ready(&self, calls: &Calls<'_>) {
        while self.finding.enabled && self.known().last.is_none() {
            match self.begin(calls.lane()) {
                Ok(running) => {
                    if let Err(failure) = self.fill(calls, &running).await {
                        tracing::warn!(account = %calls.id(), %failure, "secrets cannot be searched");
                    }
                }
                // An error says that it ended.
                Err(mut other) => while other.changed().await.is_ok() {},
            }
        }
    }

    /// The fields that hold an access key.
    pub(crate) fn fields(&self) -> &[FieldPair] {
        &self.finding.fields
    }

    /// The secret cannot be read, or what it holds is wrong: the key is not probeable by it until the
    /// secret changes.
    pub(crate) fn is_unusable(&self, key_id: &str, arn: &str) {
        self.known().found.places.is_unusable(key_id, arn);
    }

    /// Lists every secret into `sink`, and builds the index anew from the listing.
    ///
    /// # Errors
    /// A [`Failure`], of which the listing is not whole. A region that may not be listed by us is told, and
    /// is no failure: it would keep the account's users from being known in full.
    pub(crate) async fn list(
        &self,
        calls: &Calls<'_>,
        sink: &mut dyn InventorySink,
    ) -> Result<(), Failure> {
        if !self.finding.enabled {
            return Ok(());
        }
        let this = self.next();
        let mut found = Found::default();
        let mut reads_left = calls.account.limits.secret_reads;
        let mut end = End::Whole;
        for region in 0..calls.account.regions.len() {
            match self.list_region(calls, region, &mut reads_left, &mut found, sink).await {
                Ok(()) => {}
                // A part of a listing is never taken for the whole.
                Err(failure) if !is_final(&failure) || failure.code == TOO_MANY_PAGES => {
                    return Err(failure);
                }
                Err(failure) => {
                    let region_name = &calls.account.regions[region];
                    tracing::warn!(account = %calls.id(), region = region_name, %failure, "secrets cannot be listed");
                    found.keep(&self.known().found, region);
                    end = End::Denied;
                }
            }
        }
        self.take_in(found, this, Last { at: calls.now(), end });
        Ok(())
    }

    /// Begins a refresh in a lane, or tells which one to wait for: one of that lane or of a more urgent
    /// one. A less urgent one may not come to its calls before who asks here is done.
    fn begin(&self, lane: Lane) -> Result<Running<'_>, watch::Receiver<()>> {
        let mut running = self.running();
        if let Some((_, other)) = running.iter().find(|(other, _)| other.rank() <= lane.rank()) {
            return Err(other.clone());
        }
        let (ends, end) = watch::channel(());
        running.push((lane, end));
        Ok(Running { index: self, lane, _ends: ends })
    }

    /// Searches every region. One that fails keeps what was known of it and takes nothing from the
    /// others.
    async fn fill(&self, calls: &Calls<'_>, _: &Running<'_>) -> Result<(), Failure> {
        let this = self.next();
        let mut found = Found::default();
        let mut failed: Option<Failure> = None;
        let mut reads_left = calls.account.limits.secret_reads;
        for region in 0..calls.account.regions.len() {
            let searched = self.search(calls, region, &mut reads_left, &mut found).await;
            if let Err(failure) = searched {
                found.keep(&self.known().found, region);
                if failed.as_ref().is_none_or(|before| !passes(before)) {
                    failed = Some(failure);
                }
            }
        }
        let end = match &failed {
            None => End::Whole,
            Some(failure) if passes(failure) => End::Passing,
            Some(_) => End::Denied,
        };
        // It reads no logins.
        for (arn, read) in &self.known().found.read {
            found.read.entry(arn.clone()).or_insert_with(|| read.clone());
        }
        self.take_in(found, this, Last { at: calls.now(), end });
        failed.map_or(Ok(()), Err)
    }

    /// The number of the refresh that begins.
    fn next(&self) -> u64 {
        let mut known = self.known();
        known.begun += 1;
        known.begun
    }

    fn take_in(&self, mut found: Found, this: u64, last: Last) {
        let mut known = self.known();
        if known.of > this {
            // One that began later has ended already: it knows better.
            return;
        }
        found.places.stay_unusable(&known.found.places);
        let open =
            if last.end == End::Whole { HashMap::new() } else { std::mem::take(&mut known.open) };
        *known = Known {
            found,
            missing: HashSet::new(),
            open,
            begun: known.begun,
            of: this,
            last: Some(last),
        };
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, Vec<(Lane, watch::Receiver<()>)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether asking again soon may help.
fn passes(failure: &Failure) -> bool {
    use FailureClass::{RetryLater, RetrySoon, Throttled};
    matches!(failure.class, Throttled | RetrySoon | RetryLater)
}

/// Whether the secret cannot be read and asking again will not help.
pub(crate) fn is_final(failure: &Failure) -> bool {
    use severance_lifecycle::failure::FailureClass::{Cannot, Gone, Replan};
    matches!(failure.class, Cannot | Gone | Replan) && !failure::is_ours(failure)
}
