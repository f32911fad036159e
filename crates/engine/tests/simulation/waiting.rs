//! What waits for the newest roles at its end, in a world in which nothing else fails.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use severance_engine::EngineConfig;

use crate::calm::{
    Worker, is_done, key_notice, nothing_broke, publish, tasks, times_called, until, user_with_key,
};
use crate::provider::accounts;
use crate::run::config;
use crate::sim::Sim;

const WAITERS: usize = 12;

/// So long a listing of roles takes, in ms.
const SLOW: i64 = 20 * 60_000;

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_newest_roles_shares_one_listing_and_leaves_room_for_first_blows() {
    let sim = Arc::new(Sim::calm(100));
    let keys: Vec<String> = (0..=WAITERS).map(|n| user_with_key(&sim, &format!("u{n}"))).collect();
    // Fewer places than there are who wait.
    let _worker = Worker::start(&sim, 0, EngineConfig { tasks: 4, ..config(&sim) });
    until("both accounts are listed", || sim.store.lock().unwrap().listed.len() == 2).await;
    sim.roles_fail.store(true, SeqCst);
    sim.slow_roles.store(SLOW, SeqCst);
    for (n, key) in keys[..WAITERS].iter().enumerate() {
        publish(&sim, key_notice(&format!("leak-{n}"), key));
    }
    let begun = || sim.role_listings.load(SeqCst);
    let struck = |n: usize| times_called(&sim, "deactivate-key") == n;
    until("all are struck, and one is done but for that", || struck(WAITERS) && begun() > 0).await;
    let each = accounts().len() as u64;
    assert_eq!(begun(), each, "one listing");

    publish(&sim, key_notice("later", &keys[WAITERS]));
    until("another notice's key is struck", || struck(WAITERS + 1)).await;
    assert_eq!(begun(), each, "while it runs");

    let answered = || {
        let store = sim.store.lock().unwrap();
        store.tasks.values().filter(|row| row.task.counts && row.attempts > 0).count() >= WAITERS
    };
    until("all know that it failed", answered).await;
    // The first who asked has one of its own; all who ask while that runs share the next.
    assert!(begun() <= 3 * each, "{} listings of an account", begun());
    assert!(!tasks(&sim).iter().any(is_done), "a role may have been made");

    sim.roles_fail.store(false, SeqCst);
    sim.slow_roles.store(0, SeqCst);
    let done = || tasks(&sim).iter().filter(|task| is_done(task)).count() == keys.len();
    until("all are done", done).await;
    assert!(begun() <= 5 * each, "{} listings of an account", begun());
    nothing_broke(&sim);
}
