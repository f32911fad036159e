//! A throttle of 100 calls a second per account: how much of it is used, how many calls are refused.

use severance_sandbox::aws::control::SettingsPatch;
use severance_sandbox::aws::{CallRecord, ThrottleRule};
use severance_tests::calls::{by, deactivates};
use severance_tests::events::key_notice;
use severance_tests::wait::until;
use severance_tests::world::World;

use crate::report::{Goal, Report};
use crate::setup::{LIMIT, closed, quiet, seconds, settings, users};

const NOTICES: usize = 1_000;
const RATE: f64 = 100.0;
const BURST: f64 = 20.0;
const ROUNDS: usize = 3;

/// What one run came to.
struct Used {
    share: f64,
    refused: f64,
    usable: f64,
}

pub(crate) async fn run() -> Report {
    let mut report = Report::new("throttle");
    let mut runs = Vec::new();
    for _ in 0..ROUNDS {
        runs.push(one().await);
    }
    let of = |get: fn(&Used) -> f64| runs.iter().map(get).collect::<Vec<_>>();
    let useful = "useful calls / what the throttle admits";
    report.row(useful, "ratio", of(|run| run.share), Some(Goal::AtLeast(0.95)));
    report.row("refused calls / calls", "ratio", of(|run| run.refused), Some(Goal::AtMost(0.05)));
    report.row("keys usable at the end", "keys", of(|run| run.usable), Some(Goal::AtMost(0.0)));
    report.note(format!(
        "{NOTICES} notices at once; the limit ({RATE} calls a second, {BURST} at once) is not in the \
         worker's configuration: it finds it. Measured from the first call to the last accepted \
         deactivation, while there is always something to do."
    ));
    report
}

async fn one() -> Used {
    let world = World::new().await;
    let control = &world.sandbox.control;
    let keys = users(&world, "leaked", NOTICES, &[]).await;
    let mut settings = settings(&world);
    // As it is when nothing is configured.
    "blast_radius = 1000000\n".clone_into(&mut settings.engine);
    let mut worker = world.worker(&settings).await;
    quiet(&world).await;
    let throttles = Some(vec![ThrottleRule::per_account(RATE, BURST)]);
    control.set(&SettingsPatch { throttles, ..SettingsPatch::default() }).await;
    let events: Vec<_> =
        keys.iter().map(|(_, key)| key_notice(&format!("notice-{}", key.id), &key.id)).collect();
    world.publisher.publish_all(&events).await;
    until("all to be accepted", LIMIT, async || {
        let changes = control.changes_after(0).await;
        (changes.iter().filter(|call| deactivates(call)).count() >= NOTICES).then_some(())
    })
    .await;
    let calls = control.calls_after(0).await;
    let used = used(&by(&calls, &world.worker_key.id).collect::<Vec<_>>());
    // Proofs and second denies need no throttle to be measured.
    control.set(&SettingsPatch { throttles: Some(Vec::new()), ..SettingsPatch::default() }).await;
    closed(&worker, NOTICES).await;
    let ids: Vec<_> = keys.iter().map(|(_, key)| key.id.clone()).collect();
    let usable = control.keys(&ids).await.iter().filter(|key| key.accepted).count();
    worker.kill();
    println!("{:.3} used, {:.3} refused, {usable} usable", used.0, used.1);
    #[allow(clippy::cast_precision_loss, reason = "a count of keys")]
    Used { share: used.0, refused: used.1, usable: usable as f64 }
}

#[allow(clippy::cast_precision_loss, reason = "counts of calls")]
fn used(calls: &[&CallRecord]) -> (f64, f64) {
    let last = calls.iter().filter(|call| deactivates(call)).map(|call| call.finished).max();
    let last = last.expect("an accepted deactivation");
    let window: Vec<_> = calls.iter().filter(|call| call.finished <= last).collect();
    let first = window.iter().map(|call| call.started).min().expect("a call");
    let refused = window.iter().filter(|call| call.outcome.contains("Throttl")).count();
    let useful = window.len() - refused;
    let admitted = BURST + RATE * seconds(first, last);
    (useful as f64 / admitted, refused as f64 / window.len() as f64)
}
