//! What `check` finds out about an administrator.

use severance_issuers::database::DatabaseError;
use severance_lifecycle::failure::FailureClass;

use crate::world::World;

#[tokio::test]
async fn who_may_not_do_what_is_needed_is_told_what_is_missing() {
    let world = World::new().await;
    let port = world.server.port;
    let rights = world.issuer.rights(&world.admin(), "LOCALHOST", port).await.unwrap();
    assert_eq!((rights.username.as_str(), rights.missing.len()), ("admin", 0));

    let plain = world.issuer.rights(&world.first(), "localhost", port).await.unwrap();
    assert_eq!(plain.missing, ["CREATEROLE", "pg_signal_backend"]);
    world.sql("GRANT pg_signal_backend TO app").await;
    let plain = world.issuer.rights(&world.first(), "localhost", port).await.unwrap();
    assert_eq!(plain.missing, ["CREATEROLE"]);
    // By the role that its sessions act as.
    world.sql("CREATE ROLE keeper CREATEROLE; GRANT keeper TO app; ALTER ROLE app SET role = 'keeper'").await;
    let keeper = world.issuer.rights(&world.first(), "localhost", port).await.unwrap();
    assert_eq!(keeper.missing, ["pg_signal_backend"]);

    let elsewhere = world.issuer.rights(&world.admin(), "127.0.0.1", port).await.unwrap_err();
    assert!(matches!(elsewhere, DatabaseError::OtherServer(_)), "{elsewhere}");
    let wrong = world.value("admin", "wr0ngS3cr3t");
    let wrong = world.issuer.rights(&wrong, "localhost", port).await.unwrap_err();
    let failure = wrong.failure("database:Login");
    assert_eq!((failure.code.as_str(), failure.class), ("28P01", FailureClass::Cannot));
    assert!(!failure.to_string().contains("wr0ngS3cr3t"));
}
