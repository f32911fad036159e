//! What a run is made of, and the one place where faults, crashes and violations are decided on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};

use chrono::TimeDelta;
use severance_lifecycle::ids::{AccountId, CaseId, TaskId};
use tokio::sync::Notify;

use crate::bug::Bug;
use crate::chance::Chance;
use crate::clock::SimClock;
use crate::coverage::{Cell, Coverage, CrashPoint, FAULTS, Fault};
use crate::keys_of_others::Attempt;
use crate::sharing::Way;
use crate::store::Store;
use crate::world::{Time, World};

/// Which worker process: each start is another one.
pub type Process = u64;

/// What events name, by the scenario's own book-keeping: the oracle for "no effect outside the case".
#[derive(Debug, Default)]
pub struct Scope {
    /// Keys that a notice names, with the id of their user.
    pub keys: BTreeMap<String, String>,
    /// Ids of users that are named whole, by a notice or by a contract's end.
    pub users: BTreeSet<String>,
    /// Ids of roles that are named or within reach.
    pub roles: BTreeSet<String>,
    /// Keys and users that a notice names: not to be undone.
    pub compromised: BTreeSet<String>,
    /// Ids of users in whose zone what an intruder left is taken too.
    pub taken: BTreeSet<String>,
    /// Ids of what a reinstated contract holds.
    pub reinstated: BTreeSet<String>,
    /// The cases of contract ends.
    pub contract_cases: BTreeSet<CaseId>,
    /// ARNs of secrets that events name.
    pub secrets: BTreeSet<String>,
    /// ARNs of those that were the ending contract's alone.
    pub ending: BTreeSet<String>,
    /// Keys that somebody else has on a user of ours.
    pub theirs: BTreeSet<String>,
    /// Those of them that nothing told from what a lost attempt of ours left.
    pub taken_for_ours: BTreeSet<String>,
    /// No routine rotation leaves an old credential less.
    pub grace: TimeDelta,
}

/// When a key was probed, where, and whether it was refused; `None` proves nothing.
pub type Probe = (Time, String, Option<bool>);

pub struct Sim {
    pub seed: u64,
    pub bug: Option<Bug>,
    pub clock: SimClock,
    pub chance: Chance,
    /// Decides on what came later to the simulation, so that the seeds from before stay what they were.
    pub more: Chance,
    /// Whether others make keys on the users of secrets.
    pub makes_keys: bool,
    /// A secret of ours whose key another one holds too, and how.
    pub shared: Mutex<Option<(String, Way)>>,
    /// When others scheduled a secret for deletion, by ARN.
    pub hidden: Mutex<BTreeMap<String, Time>>,
    /// Attempts to make a key, in order.
    pub attempts: Mutex<Vec<Attempt>>,
    pub world: Mutex<World>,
    pub store: Mutex<Store>,
    pub scope: Mutex<Scope>,
    pub coverage: Mutex<Coverage>,
    pub violations: Mutex<Vec<String>>,
    /// Identities that a call changes at this moment.
    pub busy: Mutex<BTreeMap<String, u32>>,
    /// When each task last looked.
    pub looked: Mutex<BTreeMap<String, Time>>,
    /// Probes by task and key: when, the endpoint, and whether it was refused (`None`: it proves nothing).
    pub probes: Mutex<BTreeMap<String, Vec<Probe>>>,
    /// The last probe's true answer by key, until it is stored: one that is lost told nobody anything.
    pub answers: Mutex<BTreeMap<String, Probe>>,
    pub topic: Mutex<Topic>,
    pub arrived: Notify,
    /// A person let a held case go.
    pub released: Notify,
    /// More credentials than this hold a case.
    pub blast_radius: usize,
    /// Whether sessions of shared roles are cut at a contract's end.
    pub cuts_shared: bool,
    /// Accounts that cannot be listed.
    pub unlistable: Mutex<BTreeSet<AccountId>>,
    /// How long the lookup of a key takes beside its usual time, in ms.
    pub slow_lookup: AtomicI64,
    /// How many listings were begun.
    pub listings: AtomicU64,
    /// How long a listing of roles takes beside its usual time, in ms.
    pub slow_roles: AtomicI64,
    /// Whether roles cannot be listed, in passing.
    pub roles_fail: AtomicBool,
    /// How many listings of one account's roles were begun.
    pub role_listings: AtomicU64,
    /// Calls that changed something, and when.
    pub changes: Mutex<Vec<(Time, &'static str)>>,
    /// Versions of which it was told that they are handed out and refused.
    pub unusable: Mutex<BTreeSet<String>>,
    /// Values of which it was told that no version holds them.
    pub lost: Mutex<BTreeSet<String>>,
    /// Keys made by each task, and how many of them without a secret half.
    pub made: Mutex<BTreeMap<TaskId, (u32, u32)>>,
    /// When an issuer was first told of a version.
    pub gaps: Mutex<BTreeMap<String, Time>>,
    dead: Mutex<BTreeSet<Process>>,
    died: Notify,
    aim: Mutex<Option<Cell>>,
    commit_aim: Mutex<Option<(&'static str, &'static str)>>,
    armed: Mutex<Option<(Process, Cell)>>,
    crashes_left: Mutex<u32>,
    pub faults_until: Time,
    blind: Mutex<BTreeMap<String, Time>>,
    /// When a target was last proven, by the provider's clock.
    pub proven: Mutex<BTreeMap<String, Time>>,
    clock_set_at: Mutex<Option<Time>>,
    traced: bool,
}

/// The inbound topic, as one partition.
#[derive(Debug, Default)]
pub struct Topic {
    pub records: Vec<Vec<u8>>,
    pub offset: usize,
}

impl Sim {
    pub fn new(
        seed: u64,
        bug: Option<Bug>,
        aim: Option<Cell>,
        commit: (&'static str, &'static str),
    ) -> Self {
        let chance = Chance::new(seed);
        let more = Chance::new(seed ^ 0x5eed_0000_0000_0000);
        Self {
            seed,
            bug,
            clock: SimClock::new(),
            blast_radius: if chance.happens(3_000) { 4 } else { 100 },
            cuts_shared: chance.happens(3_000),
            chance,
            makes_keys: more.happens(4_000),
            more,
            shared: Mutex::default(),
            hidden: Mutex::default(),
            attempts: Mutex::default(),
            world: Mutex::default(),
            store: Mutex::default(),
            scope: Mutex::default(),
            coverage: Mutex::default(),
            violations: Mutex::default(),
            busy: Mutex::default(),
            looked: Mutex::default(),
            probes: Mutex::default(),
            answers: Mutex::default(),
            topic: Mutex::default(),
            arrived: Notify::new(),
            released: Notify::new(),
            unlistable: Mutex::default(),
            slow_lookup: AtomicI64::new(0),
            listings: AtomicU64::new(0),
            slow_roles: AtomicI64::new(0),
            roles_fail: AtomicBool::new(false),
            role_listings: AtomicU64::new(0),
            changes: Mutex::default(),
            unusable: Mutex::default(),
            lost: Mutex::default(),
            made: Mutex::default(),
            gaps: Mutex::default(),
            dead: Mutex::default(),
            died: Notify::new(),
            aim: Mutex::new(aim),
            commit_aim: Mutex::new(Some(commit)),
            armed: Mutex::default(),
            crashes_left: Mutex::new(3),
            faults_until: crate::clock::epoch() + TimeDelta::days(5),
            blind: Mutex::default(),
            proven: Mutex::default(),
            clock_set_at: Mutex::default(),
            traced: std::env::var_os("SEVERANCE_SIM_TRACE").is_some(),
        }
    }

    /// A run in which nothing fails by chance.
    pub fn calm(blast_radius: usize) -> Self {
        let sim = Self::new(1, None, None, ("", ""));
        let faults_until = crate::clock::epoch() - TimeDelta::seconds(1);
        let commit_aim = Mutex::default();
        Self { faults_until, blast_radius, commit_aim, makes_keys: false, ..sim }
    }

    pub fn violated(&self, what: String) {
        let at = (self.clock.provider() - crate::clock::epoch()).num_milliseconds();
        self.violations.lock().unwrap().push(format!("at {at} ms: {what}"));
    }

    pub fn note(&self, actor: &'static str) {
        self.trace(actor);
        *self.coverage.lock().unwrap().actors.entry(actor).or_default() += 1;
    }

    /// Whether a read meets a host that is behind; not twice within the window in which one looks again.
    pub fn goes_blind(&self, target: &str, now: Time) -> bool {
        let mut blind = self.blind.lock().unwrap();
        let lately = blind.get(target).is_some_and(|at| now - *at < TimeDelta::minutes(1));
        let goes = !lately && self.chance.happens(60);
        if goes {
            blind.insert(target.to_owned(), now);
        }
        goes
    }

    /// The next look finds something gone: it is looked at again.
    pub fn sees_well(&self, target: &str, now: Time) {
        self.blind.lock().unwrap().insert(target.to_owned(), now);
    }

    /// Sets the worker's clock.
    pub fn set_clock(&self, by: TimeDelta) {
        self.clock.jump(by);
        *self.clock_set_at.lock().unwrap() = Some(self.clock.provider());
        self.note("clock set");
    }

    /// Whether the clock was set so lately that a call may be in flight under a lease that it ended.
    pub fn clock_was_just_set(&self) -> bool {
        let at = *self.clock_set_at.lock().unwrap();
        at.is_some_and(|at| self.clock.provider() - at < TimeDelta::minutes(1))
    }

    /// Tells what happens, where `SEVERANCE_SIM_TRACE` is set.
    pub fn trace(&self, what: &str) {
        if self.traced {
            let at = (self.clock.provider() - crate::clock::epoch()).num_milliseconds();
            println!("{at:>10} {what}");
        }
    }

    pub fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Stops whoever is dead for ever: nothing that a crashed process had going has an effect.
    pub async fn living(&self, process: Process) {
        if self.dead.lock().unwrap().contains(&process) {
            std::future::pending::<()>().await;
        }
    }

    /// The process dies here and now.
    pub async fn crash(&self, process: Process) {
        self.trace(&format!("{process} dies"));
        self.dead.lock().unwrap().insert(process);
        self.died.notify_waiters();
        std::future::pending::<()>().await;
    }

    /// Waits for a process to die.
    pub async fn death(&self, process: Process) {
        loop {
            let died = self.died.notified();
            tokio::pin!(died);
            died.as_mut().enable();
            if self.dead.lock().unwrap().contains(&process) {
                return;
            }
            died.await;
        }
    }

    fn quiet(&self) -> bool {
        self.clock.provider() > self.faults_until
    }

    fn may_crash(&self) -> bool {
        let mut left = self.crashes_left.lock().unwrap();
        if *left == 0 || self.quiet() {
            return false;
        }
        *left -= 1;
        true
    }

    /// What befalls an action: what the run aims at when it comes by, else now and then something.
    pub fn fate(&self, process: Process, action: &'static str) -> (CrashPoint, Fault) {
        let mut aim = self.aim.lock().unwrap();
        let fate = match *aim {
            Some((aimed, crash, fault)) if aimed == action => {
                *aim = None;
                (crash, fault)
            }
            _ if !self.quiet() && self.chance.happens(400) => {
                let fault = FAULTS[usize::try_from(self.chance.below(6)).unwrap()];
                (CrashPoint::None, fault)
            }
            // Where others make keys at that time, the end of ours is often not known.
            _ if self.makes_keys
                && action == "make-key"
                && !self.quiet()
                && self.more.happens(5_000) =>
            {
                let unsure = [Fault::LostReply, Fault::Refused, Fault::Throttled];
                (CrashPoint::None, unsure[usize::try_from(self.more.below(3)).unwrap()])
            }
            _ => (CrashPoint::None, Fault::None),
        };
        if matches!(fate.0, CrashPoint::BeforeOutcome | CrashPoint::AfterOutcome) {
            *self.armed.lock().unwrap() = Some((process, (action, fate.0, fate.1)));
        } else {
            self.hit((action, fate.0, fate.1));
        }
        fate
    }

    fn hit(&self, cell: Cell) {
        *self.coverage.lock().unwrap().hits.entry(cell).or_default() += 1;
    }

    /// Whether the process dies at the commit that stores the outcome of an action.
    pub fn outcome_crash(&self, process: Process, actions: &[&'static str]) -> Option<CrashPoint> {
        let mut armed = self.armed.lock().unwrap();
        match *armed {
            Some((aimed, cell)) if aimed == process && actions.contains(&cell.0) => {
                *armed = None;
                self.hit(cell);
                Some(cell.1)
            }
            _ => None,
        }
    }

    /// Whether the process dies before or after this commit.
    pub fn commit_crash(&self, commit: &'static str) -> Option<&'static str> {
        let side = {
            let mut aim = self.commit_aim.lock().unwrap();
            match *aim {
                Some((aimed, side)) if aimed == commit && self.chance.happens(5_000) => {
                    *aim = None;
                    Some(side)
                }
                _ if self.chance.happens(8) => {
                    Some(if self.chance.happens(5_000) { "before" } else { "after" })
                }
                _ => None,
            }
        }?;
        if !self.may_crash() {
            return None;
        }
        *self.coverage.lock().unwrap().commits.entry((commit, side)).or_default() += 1;
        Some(side)
    }

    pub fn store_fails(&self) -> bool {
        !self.quiet() && self.chance.happens(30)
    }
}
