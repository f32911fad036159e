//! 1,000 notices arriving one by one among 10,000 queued contract-end tasks, against the same on an
//! idle worker: how long from publishing a notice to the accepted deactivation.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use severance_tests::calls::first_deactivations;
use severance_tests::clock::{monotonic, now};
use severance_tests::events::{contract_end, key_notice};
use severance_tests::wait::until;
use severance_tests::world::World;

use crate::report::{Goal, Report, percentile};
use crate::setup::{LIMIT, quiet, seconds, settings, users};

const NOTICES: usize = 1_000;
const QUEUED: usize = 10_000;
/// What every call takes, in milliseconds.
const LATENCY: u64 = 40;
/// Between two notices: 40 a second.
const APART: Duration = Duration::from_millis(25);
const ROUNDS: usize = 2;

pub(crate) async fn run() -> Report {
    let mut report = Report::new("latency");
    let mut samples: HashMap<&str, Vec<f64>> = HashMap::new();
    for round in 0..ROUNDS {
        let idle = one_by_one(&format!("idle-{round}"), 0).await;
        let busy = one_by_one(&format!("busy-{round}"), QUEUED).await;
        for (name, values, percent) in [
            ("idle p50", &idle, 50),
            ("idle p99", &idle, 99),
            ("busy p50", &busy, 50),
            ("busy p99", &busy, 99),
        ] {
            samples.entry(name).or_default().push(percentile(values, percent));
        }
    }
    let ratio = samples["busy p99"].iter().zip(&samples["idle p99"]).map(|(b, i)| b / i).collect();
    let mut row = |measure: &str, name: &str| {
        report.row(measure, "s", samples[name].clone(), None);
    };
    row("publish to accepted, idle worker, p50", "idle p50");
    row("publish to accepted, idle worker, p99", "idle p99");
    row("publish to accepted, 10,000 tasks queued, p50", "busy p50");
    row("publish to accepted, 10,000 tasks queued, p99", "busy p99");
    report.row("p99 queued / p99 idle", "ratio", ratio, Some(Goal::AtMost(1.5)));
    report.note(format!("{LATENCY} ms a call; a notice every {} ms.", APART.as_millis()));
    report
}

/// Seconds from publishing each notice to its accepted deactivation.
async fn one_by_one(name: &str, queued: usize) -> Vec<f64> {
    let world = World::new().await;
    let control = &world.sandbox.control;
    let noticed = users(&world, name, NOTICES, &[]).await;
    let tags = [("severance:zone", "acme"), ("severance:contract", "payments")];
    users(&world, "queued", queued, &tags).await;
    let mut settings = settings(&world);
    let more = "[zones.acme]\nmode = \"enforce\"\n";
    more.clone_into(&mut settings.more);
    let mut worker = world.worker(&settings).await;
    quiet(&world).await;
    control.set_latency(LATENCY).await;
    if queued > 0 {
        let end = contract_end("queue", ("acme", "payments"), "ended", 1, now());
        world.publisher.publish(&end).await;
        until("the queue", LIMIT, async || {
            let counts = worker.api.counts().await?;
            (counts.tasks_open > queued as u64 / 2).then_some(())
        })
        .await;
    }
    let published =
        publish_apart(&world, &noticed.iter().map(|it| &it.1.id).collect::<Vec<_>>()).await;
    let mut waits = Vec::new();
    until("all notices to be accepted", LIMIT, async || {
        let changes = control.changes_after(0).await;
        let accepted = first_deactivations(&changes);
        waits = published
            .iter()
            .filter_map(|(key, at)| accepted.get(key.as_str()).map(|done| seconds(*at, *done)))
            .collect();
        (waits.len() == NOTICES).then_some(())
    })
    .await;
    let left = worker.api.counts().await.map_or(0, |counts| counts.tasks_open);
    println!(
        "{name}: p50 {:.3} s, p99 {:.3} s, {left} tasks open at the end",
        percentile(&waits, 50),
        percentile(&waits, 99)
    );
    worker.kill();
    waits
}

/// Publishes one notice after the other; when each was handed to the producer.
async fn publish_apart(world: &World, keys: &[&String]) -> Vec<(String, DateTime<Utc>)> {
    let mut published = Vec::with_capacity(keys.len());
    let mut next = monotonic();
    for key in keys {
        tokio::time::sleep_until(next).await;
        next += APART;
        published.push(((*key).clone(), now()));
        world.publisher.publish(&key_notice(&format!("notice-{key}"), key)).await;
    }
    published
}
