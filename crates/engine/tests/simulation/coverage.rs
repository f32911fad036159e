//! What was hit: every action at every crash point under every fault, and every ledger commit with a
//! crash before and after it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use severance_lifecycle::action::Action;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CrashPoint {
    None,
    BeforeCall,
    AfterCall,
    BeforeOutcome,
    AfterOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    None,
    Throttled,
    /// A 500: not applied.
    Refused,
    /// Applied, and never answered.
    LostReply,
    /// A 409: somebody else is changing it.
    Conflict,
    /// An access denied that passes.
    Denied,
}

pub const CRASHES: [CrashPoint; 5] = [
    CrashPoint::None,
    CrashPoint::BeforeCall,
    CrashPoint::AfterCall,
    CrashPoint::BeforeOutcome,
    CrashPoint::AfterOutcome,
];
pub const FAULTS: [Fault; 6] = [
    Fault::None,
    Fault::Throttled,
    Fault::Refused,
    Fault::LostReply,
    Fault::Conflict,
    Fault::Denied,
];
/// But for those that renew a lease or give all of them back, which lose nothing whether they are stored or not,
/// and the alarm, which is Kafka's intake alone.
pub const COMMITS: [&str; 12] = [
    "accept",
    "claim-cases",
    "plan-portion",
    "commit-plan",
    "admit",
    "claim",
    "intent",
    "release",
    "published",
    "inventory",
    "defer",
    "spill",
];

/// What others do and how cases turn: each must have come about.
pub const TURNS: [&str; 39] = [
    "a case held for its size",
    "a case held since it grew",
    "a compromise took a pending version over",
    "a held case released",
    "a key made whose secret half is lost",
    "a process died and was started again",
    "a rotation without room for its key",
    "a rotation that gave way to its secret's end",
    "a rotation that gave way to its user's end",
    "a routine rotation ended by another's version",
    "a service's role asked about",
    "a stale pending version",
    "a user made again",
    "a user revoked whose key a secret holds",
    "an intruder's key and password",
    "an intruder's key taken",
    "an orphan key taken away",
    "another's unused key taken for what was lost",
    "clock set",
    "denies taken off by others",
    "keys switched on by others",
    "revocation proven",
    "rotation proven",
    "sessions of a service's role cut",
    "somebody's version made pending",
    "somebody's key made beside a secret's",
    "a deleted secret restored by others",
    "a key copied to another secret",
    "a key that another secret hands out too",
    "a rotation blocked by what nobody mends",
    "a secret deleted by others",
    "an earlier key that another secret hands out",
    "an unfit value mended by others",
    "an unfit value stored by others",
    "stale read",
    "the current label moved back by others",
    "the pending label taken off by others",
    "trust put back by others",
    "trust written over by others",
];

pub type Cell = (&'static str, CrashPoint, Fault);

/// What a secret's task may do.
pub const SECRET_ACTIONS: [&str; 15] = [
    "make-key",
    "prepare-version",
    "set-version",
    "rotate-secret",
    "try-version",
    "promote-version",
    "finish-version",
    "retire-version",
    "end-sessions",
    "drop-label",
    "deny-readers",
    "allow-readers",
    "remove-replicas",
    "schedule-deletion",
    "restore-secret",
];

fn actions() -> impl Iterator<Item = &'static str> {
    Action::NAMES.into_iter().chain(SECRET_ACTIONS)
}

/// The cells, so that a run can aim at one.
pub fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for action in actions() {
        for crash in CRASHES {
            cells.extend(FAULTS.map(|fault| (action, crash, fault)));
        }
    }
    cells
}

#[derive(Clone, Debug, Default)]
pub struct Coverage {
    pub hits: BTreeMap<Cell, u64>,
    pub commits: BTreeMap<(&'static str, &'static str), u64>,
    pub actors: BTreeMap<&'static str, u64>,
    /// Of logins with one password: how long what was handed out was refused, in ms.
    pub gaps: Vec<i64>,
}

impl Coverage {
    pub fn add(&mut self, other: &Self) {
        for (cell, n) in &other.hits {
            *self.hits.entry(*cell).or_default() += n;
        }
        for (commit, n) in &other.commits {
            *self.commits.entry(*commit).or_default() += n;
        }
        for (actor, n) in &other.actors {
            *self.actors.entry(actor).or_default() += n;
        }
        self.gaps.extend(&other.gaps);
    }

    /// The places of cells that were never hit among all cells.
    pub fn missed_cells(&self) -> Vec<u64> {
        let cells = (0..).zip(cells()).filter(|(_, cell)| !self.hits.contains_key(cell));
        cells.map(|(place, _)| place).collect()
    }

    /// What was never hit.
    pub fn missed(&self) -> Vec<String> {
        let cells = cells().into_iter().filter(|cell| !self.hits.contains_key(cell));
        let mut missed: Vec<String> = cells.map(|cell| format!("{cell:?}")).collect();
        for commit in COMMITS {
            for side in ["before", "after"] {
                if !self.commits.contains_key(&(commit, side)) {
                    missed.push(format!("crash {side} {commit}"));
                }
            }
        }
        let turns = TURNS.into_iter().filter(|turn| !self.actors.contains_key(turn));
        missed.extend(turns.map(str::to_owned));
        missed
    }

    pub fn table(&self) -> String {
        let mut out = String::new();
        let _ = write!(out, "{:<22}{:<16}", "action", "crash");
        for fault in FAULTS {
            let _ = write!(out, "{:>11}", format!("{fault:?}"));
        }
        out.push('\n');
        for action in actions() {
            for crash in CRASHES {
                let _ = write!(out, "{action:<22}{:<16}", format!("{crash:?}"));
                for fault in FAULTS {
                    let n = self.hits.get(&(action, crash, fault)).copied().unwrap_or(0);
                    let _ = write!(out, "{n:>11}");
                }
                out.push('\n');
            }
        }
        let _ =
            writeln!(out, "\n{:<22}{:>14}{:>14}", "ledger commit", "crash before", "crash after");
        for commit in COMMITS {
            let n = |side| self.commits.get(&(commit, side)).copied().unwrap_or(0);
            let _ = writeln!(out, "{commit:<22}{:>14}{:>14}", n("before"), n("after"));
        }
        let _ = writeln!(out, "\nothers and turns of events:");
        for turn in TURNS {
            let n = self.actors.get(turn).copied().unwrap_or(0);
            let _ = writeln!(out, "  {turn:<46}{n:>10}");
        }
        let mut gaps = self.gaps.clone();
        gaps.sort_unstable();
        if let (Some(median), Some(longest)) = (gaps.get(gaps.len() / 2), gaps.last()) {
            let n = gaps.len();
            let _ = writeln!(
                out,
                "\none login with one password, told until handed out: {n} times, median {median} ms, \
                 longest {longest} ms"
            );
        }
        out
    }
}
