//! The engine and the lifecycle, simulated: seeded, in virtual time, over a model of IAM, of Secrets Manager
//! and of the issuers of what secrets hold, in which changes spread late, replies are lost, processes die at
//! every commit and others change things.
//!
//! `SEVERANCE_SIM_RUNS=20000 cargo nextest run -p severance-engine` for a longer one;
//! `SEVERANCE_SIM_SEED=42` replays one seed. Seeds that ever failed are in `seeds.txt`, replayed first.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    clippy::similar_names,
    clippy::needless_pass_by_value,
    unreachable_pub,
    reason = "a test harness: it may panic and print, scenarios are long lists, and nothing outside sees its items"
)]

mod aging;
mod apart;
mod bug;
mod calm;
mod chance;
mod check;
mod clock;
mod coverage;
mod issuers;
mod keys_of_others;
mod ledger;
mod logins;
mod mishaps;
mod others;
mod provider;
mod rotations;
mod run;
mod scenario;
mod sharing;
mod sim;
mod store;
mod usable;
mod values;
mod vault;
mod waiting;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use coverage::Coverage;
use run::{Outcome, run};

const RUNS: u64 = 2_000;

/// So often each cell that was missed is aimed at once more.
const MORE: u64 = 20;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn kept_seeds() -> Vec<u64> {
    let lines = include_str!("seeds.txt").lines();
    lines.filter_map(|line| line.split('#').next()?.trim().parse().ok()).collect()
}

/// Runs seeds on all processors.
fn run_all(seeds: &[u64], bug: Option<bug::Bug>, each: impl Fn(Outcome) + Sync) {
    let next = AtomicU64::new(0);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(seed) =
                    seeds.get(usize::try_from(next.fetch_add(1, SeqCst)).unwrap())
                {
                    each(run(*seed, bug));
                }
            });
        }
    });
}

#[test]
fn nothing_is_lost_and_nothing_alive_counts_as_dead_whatever_happens() {
    let runs = number("SEVERANCE_SIM_RUNS").unwrap_or(RUNS);
    let seeds: Vec<u64> = match number("SEVERANCE_SIM_SEED") {
        Some(seed) => vec![seed],
        None => kept_seeds().into_iter().chain(0..runs).collect(),
    };
    let total = Mutex::new(Coverage::default());
    let failed = Mutex::new(Vec::new());
    let done = AtomicU64::new(0);
    let take = |outcome: Outcome| {
        done.fetch_add(1, SeqCst);
        total.lock().unwrap().add(&outcome.coverage);
        if !outcome.violations.is_empty() {
            failed.lock().unwrap().push((outcome.seed, outcome.violations));
        }
    };
    run_all(&seeds, None, take);
    if number("SEVERANCE_SIM_SEED").is_none() && runs >= RUNS {
        // Each cell is aimed at by a few seeds, and chance may keep all of them from it.
        let cells = u64::try_from(coverage::cells().len()).unwrap();
        for more in 1..=MORE {
            let missed = total.lock().unwrap().missed_cells();
            let first = (RUNS / cells + more) * cells;
            let aimed: Vec<u64> = missed.into_iter().map(|cell| first + cell).collect();
            run_all(&aimed, None, take);
        }
    }
    let total = total.into_inner().unwrap();
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    let done = done.into_inner();
    println!("{}\n{done} runs, {} with a violation", total.table(), failed.len());
    for (seed, violations) in failed.iter().take(40) {
        println!("seed {seed}:");
        violations.iter().take(4).for_each(|violation| println!("  {violation}"));
    }
    assert!(failed.is_empty(), "{} of {done} runs broke an invariant", failed.len());
    if number("SEVERANCE_SIM_SEED").is_none() && runs >= RUNS {
        let missed = total.missed();
        assert!(missed.is_empty(), "never hit: {missed:#?}");
    }
}

#[test]
fn each_planted_bug_is_caught() {
    let seeds: Vec<u64> = (0..400).collect();
    let mut escaped = Vec::new();
    for bug in bug::ALL {
        let caught = Mutex::new(None::<(u64, String)>);
        let tried = AtomicU64::new(0);
        for few in seeds.chunks(16) {
            if caught.lock().unwrap().is_some() {
                break;
            }
            run_all(few, Some(bug), |outcome| {
                tried.fetch_add(1, SeqCst);
                let mut told = outcome.violations.iter();
                let cut_short =
                    |it: &&String| check::OF_THE_END.iter().any(|what| it.contains(what));
                let told = told.find(|it| !cut_short(it));
                if let Some(violation) = told {
                    caught.lock().unwrap().get_or_insert((outcome.seed, violation.clone()));
                }
            });
        }
        match caught.into_inner().unwrap() {
            Some((seed, violation)) => println!("{bug:?}: caught by seed {seed}: {violation}"),
            None => escaped.push(format!("{bug:?} ({} runs)", tried.load(SeqCst))),
        }
    }
    assert!(escaped.is_empty(), "not caught: {escaped:?}");
}

#[test]
fn a_seed_is_one_run() {
    let (one, two) = (run(7, None), run(7, None));
    assert_eq!(one.coverage.hits, two.coverage.hits);
    assert_eq!(one.coverage.actors, two.coverage.actors);
}
