//! How many steps a second the ledger stores, and what a backlog of 100,000 open tasks costs.
//!
//! `cargo run --release -p severance-ledger --example steps`: 64 callers that each claim nothing and
//! store two steps a task (an intent and an outcome) on a file in the current folder, every one of
//! them durable when it is answered; then opening, a claim and the agenda over the backlog.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::sync::Arc;
use std::time::Instant;

use common::{at, done, due, notice, open, plan, request, step_again, step_to, task};
use severance_engine::ports::{Claimed, Inbox, Ledger};
use severance_ledger::SqliteLedger;
use severance_lifecycle::case::CaseState;
use severance_lifecycle::task::TaskState;

const CALLERS: usize = 64;
const TASKS: usize = 5_000;
const CASES: usize = 1_000;
const OF_EACH: usize = 100;

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = Arc::new(open(path.clone()).await);
    throughput(&ledger).await;
    backlog(&ledger).await;
    ledger.close().await.unwrap();
    drop(ledger);
    let start = Instant::now();
    let ledger = open(path).await;
    println!("open over the backlog: {:?}", start.elapsed());
    for round in 0..3 {
        let start = Instant::now();
        let agenda = ledger.agenda(at(10)).await.unwrap();
        let asked = start.elapsed();
        let start = Instant::now();
        let claimed = ledger.claim(&request(10)).await.unwrap().len();
        println!(
            "{round}: agenda {asked:?} ({} due), claim of {claimed} {:?}",
            agenda.due,
            start.elapsed()
        );
    }
    println!("{}", memory());
}

async fn prepare(ledger: &SqliteLedger, id: &str, tasks: usize) {
    ledger.accept(vec![common::arrival(&notice(id), 1, 0)]).await.unwrap();
    let claimed = ledger.claim_cases(&request(0)).await.unwrap().remove(0);
    let tasks = (0..tasks).map(|n| due(task(&claimed.case, &format!("{id}-{n}")), 0)).collect();
    ledger.commit_plan(&claimed.lease, plan(CaseState::Open, tasks)).await.unwrap();
}

async fn throughput(ledger: &Arc<SqliteLedger>) {
    prepare(ledger, "burst", TASKS).await;
    let mut all = request(0);
    all.limit = TASKS;
    let claimed = ledger.claim(&all).await.unwrap();
    let mut shares: Vec<Vec<Claimed>> = (0..CALLERS).map(|_| Vec::new()).collect();
    for (n, claimed) in claimed.into_iter().enumerate() {
        shares[n % CALLERS].push(claimed);
    }
    let (before, start) = (ledger.commits(), Instant::now());
    let mut callers = tokio::task::JoinSet::new();
    for share in shares {
        let ledger = Arc::clone(ledger);
        callers.spawn(async move {
            for claimed in share {
                let mut intent = step_again(claimed.task.clone(), TaskState::Open, 1, 1);
                intent.release = None;
                ledger.step(&claimed.lease, at(1), intent).await.unwrap();
                let outcome = step_to(claimed.task.clone(), done(), 2);
                ledger.step(&claimed.lease, at(2), outcome).await.unwrap();
            }
        });
    }
    callers.join_all().await;
    let (took, commits) = (start.elapsed(), ledger.commits() - before);
    let rate = (2 * TASKS) as f64 / took.as_secs_f64();
    println!("{} steps in {took:?}: {rate:.0}/s in {commits} commits", 2 * TASKS);
}

async fn backlog(ledger: &SqliteLedger) {
    let start = Instant::now();
    for case in 0..CASES {
        prepare(ledger, &format!("case-{case}"), OF_EACH).await;
    }
    println!("{} tasks planned in {:?}", CASES * OF_EACH, start.elapsed());
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM")).collect()
}
