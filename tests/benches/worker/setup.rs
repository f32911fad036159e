//! What the parts begin with.

use std::time::Duration;

use severance_sandbox::aws::control::{SeededUser, UserSeed};
use severance_tests::aws::Key;
use severance_tests::clock::monotonic;
use severance_tests::settings::Settings;
use severance_tests::wait::until;
use severance_tests::worker::Worker;
use severance_tests::world::{World, key_of, user};

/// No wait is longer.
pub(crate) const LIMIT: Duration = Duration::from_mins(15);

/// Settings of a worker as an installation has them, but for windows that would make a run wait for
/// the clock, and a log that says what matters. Durability and verification are as always.
pub(crate) fn settings(world: &World) -> Settings {
    let mut settings = world.settings();
    "warn".clone_into(&mut settings.log);
    settings.engine =
        "blast_radius = 1000000\nrate = { per_second = 100000, burst = 1000 }\n".into();
    // Two calls a user more would double the time that 100,000 users take to be listed.
    // So many are more pages than any real account has: AWS gives an account 5,000 users.
    "count_every_credential = false\npages = 10000".clone_into(&mut settings.limits);
    settings
}

/// Makes users with one key each.
pub(crate) async fn users(
    world: &World,
    prefix: &str,
    count: usize,
    tags: &[(&str, &str)],
) -> Vec<(SeededUser, Key)> {
    let seeds =
        (0..count).map(|n| UserSeed { access_keys: 1, ..user(&format!("{prefix}-{n:06}"), tags) });
    let made = world.seed(seeds.collect()).await;
    made.into_iter().map(|user| (user.clone(), key_of(&user))).collect()
}

/// Waits until the worker makes no more calls: its inventory is complete, its tasks wait or are done.
pub(crate) async fn quiet(world: &World) {
    let control = &world.sandbox.control;
    let mut seen = 0;
    let mut since = monotonic();
    until("a quiet worker", LIMIT, async || {
        let calls = control.calls_after(seen).await;
        let key = world.worker_key.id.as_str();
        if calls.iter().any(|call| call.access_key_id == key) {
            since = monotonic();
        }
        seen = calls.last().map_or(seen, |call| call.sequence);
        (since.elapsed() > Duration::from_secs(2)).then_some(())
    })
    .await;
    control.clear_log().await;
}

/// Waits until so many cases are closed.
pub(crate) async fn closed(worker: &Worker, cases: usize) {
    until(&format!("{cases} closed cases"), LIMIT, async || {
        let counts = worker.api.counts().await?;
        (counts.cases_closed >= cases as u64).then_some(())
    })
    .await;
}

/// Seconds between two moments.
#[allow(clippy::cast_precision_loss, reason = "microseconds of a benchmark fit an f64")]
pub(crate) fn seconds(
    from: chrono::DateTime<chrono::Utc>,
    to: chrono::DateTime<chrono::Utc>,
) -> f64 {
    (to - from).num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6
}
