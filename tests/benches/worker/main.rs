//! The benchmarks of docs/PERFORMANCE.md: the real worker and the real sandbox, each a process of its
//! own, with fsync, authentication and verification on. `scripts/bench` builds and runs them.
//!
//! When something was accepted, or stopped working, is read from the sandbox's log, never from the
//! worker. Ratios are taken in one run, in turns with their reference (A B A B …).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark ends with its message, and prints"
)]

mod bare_loop;
mod burst;
mod latency;
mod memory;
mod report;
mod restart;
mod setup;
mod throttle;

use report::Report;

const PARTS: [&str; 5] = ["burst", "latency", "throttle", "memory", "restart"];

fn main() {
    // Cargo passes `--bench`; everything else names a part.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with("--")).collect();
    if let Some(unknown) = wanted.iter().find(|it| !PARTS.contains(&it.as_str())) {
        println!("no part is called {unknown}; there are: {}", PARTS.join(", "));
        std::process::exit(2);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for part in PARTS {
        if wanted.is_empty() || wanted.iter().any(|it| it == part) {
            let report = runtime.block_on(run(part));
            report.write();
            report.print();
        }
    }
}

async fn run(part: &str) -> Report {
    match part {
        "burst" => burst::run().await,
        "latency" => latency::run().await,
        "throttle" => throttle::run().await,
        "memory" => memory::run().await,
        _ => restart::run().await,
    }
}
