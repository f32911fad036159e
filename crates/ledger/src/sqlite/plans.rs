//! How `SQLite` goes about the statements that run all the time: by an index, whatever the backlog.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use sqlx::{AssertSqlSafe, ConnectOptions, Row, SqliteConnection};

use super::{agenda, claim, holds, inventory, outbox, planning, queries, secrets, tasks};

async fn empty() -> SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().in_memory(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::migrate!("./migrations").run_direct(None, &mut connection, false).await.unwrap();
    connection
}

async fn plan(connection: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let rows = sqlx::query(explain).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>("detail")).collect()
}

#[tokio::test]
async fn what_runs_all_the_time_never_scans_a_table_or_sorts_a_backlog() {
    let mut connection = empty().await;
    let statements = [
        claim::PROMOTE,
        claim::HEAD,
        claim::LEASE,
        planning::CLAIM,
        agenda::AGENDA,
        agenda::LEASES,
        holds::HOLDS,
        holds::FINISHED,
        holds::IN_THE_WAY,
        outbox::FRESH,
        outbox::DEFERRED,
        inventory::BY_TAG,
        tasks::ADMIT,
        secrets::AFTER,
    ];
    for sql in statements {
        for line in plan(&mut connection, sql).await {
            let scans = ["tasks", "cases", "t", "held", "outbox", "identities"]
                .iter()
                .any(|table| line == format!("SCAN {table}"));
            assert!(!scans && !line.contains("TEMP B-TREE"), "{line}\nin {sql}");
        }
    }
}

#[tokio::test]
async fn timers_and_queues_are_entered_at_their_lane() {
    let mut connection = empty().await;
    let searched = [
        (claim::PROMOTE, "tasks_waiting (lane=? AND struck=? AND next_at>? AND next_at<?)"),
        (claim::HEAD, "tasks_ready (lane<?)"),
        (planning::CLAIM, "cases_due (lane=? AND due_at>? AND due_at<?)"),
        (agenda::AGENDA, "tasks_waiting (lane=? AND struck=? AND next_at>?)"),
        (agenda::AGENDA, "cases_due (lane=? AND due_at>?)"),
        (agenda::LEASES, "tasks_leased (lease_until>?)"),
        (holds::HOLDS, "tasks_lock (lock=? AND desired=?)"),
        (holds::FINISHED, "tasks_lock (lock=? AND desired=?)"),
        (holds::IN_THE_WAY, "tasks_lock (lock=?)"),
        (tasks::ADMIT, "tasks_parked (case_id=?)"),
        (inventory::BY_TAG, "PRIMARY KEY (tag=? AND value=? AND whole=? AND identity>?)"),
    ];
    for (sql, wanted) in searched {
        let plan = plan(&mut connection, sql).await;
        assert!(plan.iter().any(|line| line.contains(wanted)), "{wanted} is not in {plan:#?}");
    }
}

#[tokio::test]
async fn exposures_are_counted_from_their_index_alone() {
    let mut connection = empty().await;
    let plan = plan(&mut connection, queries::EXPOSURES).await;
    assert_eq!(plan.len(), 1, "{plan:?}");
    assert!(plan[0].contains("USING COVERING INDEX tasks_exposed"), "{plan:?}");
}
