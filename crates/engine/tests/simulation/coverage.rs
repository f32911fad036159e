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
pub const COMMITS: [&str; 10] = [
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
];

/// What others do and how cases turn: each must have come about.
pub const TURNS: [&str; 16] = [
    "a case held for its size",
    "a case held since it grew",
    "a held case released",
    "a process died and was started again",
    "a service's role asked about",
    "a user made again",
    "an intruder's key and password",
    "an intruder's key taken",
    "clock set",
    "denies taken off by others",
    "keys switched on by others",
    "revocation proven",
    "sessions of a service's role cut",
    "stale read",
    "trust put back by others",
    "trust written over by others",
];

pub type Cell = (&'static str, CrashPoint, Fault);

/// The cells, so that a run can aim at one.
pub fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for action in Action::NAMES {
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
        for action in Action::NAMES {
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
            let _ = writeln!(out, "  {turn:<40}{n:>10}");
        }
        out
    }
}
