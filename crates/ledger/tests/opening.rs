//! Opening a ledger: one process, no newer schema, nothing but a ledger.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod common;

use common::{Rig, arrival, notice};
use severance_engine::ports::{Inbox, Ledger, LedgerError, Queries};
use severance_ledger::{OpenError, OpenOptions, SqliteLedger};
use sqlx::{ConnectOptions, Connection};

#[tokio::test]
async fn a_second_opening_is_refused_and_says_who_has_it() {
    let rig = Rig::new().await;
    let refused = SqliteLedger::open(rig.path(), OpenOptions::default()).await.unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, OpenError::InUse { .. }), "{text}");
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    assert!(text.contains("ledger.db"), "{text}");
    rig.ledger.close().await.unwrap();
    SqliteLedger::open(rig.path(), OpenOptions::default()).await.unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let rig = Rig::new().await;
    rig.ledger.close().await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(rig.path());
    let mut connection = options.connect().await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'later', 1, x'00', 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let refused = SqliteLedger::open(rig.path(), OpenOptions::default()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 9999, .. }), "{refused}");
}

/// What a ledger of the first schema has not.
const BACK_TO_THE_FIRST: [&str; 6] = [
    "DROP TABLE secret_holds",
    "DROP INDEX identities_arn",
    "DROP INDEX tasks_parked",
    "DROP INDEX tasks_exposed",
    "CREATE INDEX tasks_exposed
        ON tasks (zone, cause, kind, state, noticed_at, counts, enforced, desired, finished)
        WHERE counts = 1 AND enforced = 1 AND desired = 'revoked' AND finished = 0",
    "DELETE FROM _sqlx_migrations WHERE version > 1",
];

#[tokio::test]
async fn a_ledger_of_the_first_schema_is_brought_up_to_date_with_what_it_holds() {
    let rig = Rig::new().await;
    rig.planned(notice("1"), 0, &["ann"]).await;
    rig.ledger.close().await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(rig.path());
    let mut connection = options.connect().await.unwrap();
    for sql in BACK_TO_THE_FIRST {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    let rig = rig.crash().await;
    assert_eq!(rig.ledger.exposures().await.unwrap()[0].open, 1);
    assert!(rig.ledger.secrets_after(None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_file_that_is_no_ledger_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let text = "not a database, but long enough to be looked at as one ".repeat(40);
    std::fs::write(&path, &text).unwrap();
    let refused = SqliteLedger::open(&path, OpenOptions::default()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Unusable { .. }), "{refused}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let refused = SqliteLedger::open("/no/such/folder/ledger.db", OpenOptions::default()).await;
    assert!(refused.unwrap_err().to_string().contains("/no/such/folder/ledger.db"));
}

#[tokio::test]
async fn closing_stores_what_is_queued_and_refuses_more() {
    let rig = Rig::new().await;
    let (stored, closed) =
        tokio::join!(rig.ledger.accept(vec![arrival(&notice("1"), 1, 0)]), rig.ledger.close(),);
    stored.unwrap();
    closed.unwrap();
    let later = rig.ledger.accept(vec![arrival(&notice("2"), 2, 0)]).await;
    assert!(matches!(later, Err(LedgerError::Store { .. })), "{later:?}");
    let rig = rig.crash().await;
    assert_eq!(rig.ledger.counts().await.unwrap().accepted, 1);
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::new().await;
    rig.accept(vec![arrival(&notice("1"), 1, 0)]).await;
    for name in ["ledger.db", "ledger.db-wal"] {
        let mode = std::fs::metadata(rig.folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} is {mode:o}");
    }
}

#[tokio::test]
async fn a_commit_is_on_disk_and_the_log_is_a_write_ahead_log() {
    let rig = Rig::new().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(rig.path()).read_only(true);
    let mut connection = options.connect().await.unwrap();
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await.unwrap();
    assert_eq!(mode, "wal");
    rig.accept(vec![arrival(&notice("1"), 1, 0)]).await;
    let copy = rig.power_cut().await;
    assert_eq!(copy.ledger.counts().await.unwrap().accepted, 1);
}
