//! Settings and limits of a login that stand in the way, and what must be done all the same.

use severance_engine::ports::SecretValue;
use severance_issuers::database::{DatabaseError, RotationMode, Sessions};
use severance_lifecycle::failure::FailureClass;

use crate::world::{FIRST, World, login, next};

#[tokio::test]
async fn what_a_login_sets_for_its_sessions_does_not_hinder_its_own_change() {
    let world = World::over(&["authentication_timeout=1s"]).await;
    for hindrance in [
        "CREATE ROLE owner; GRANT owner TO app; ALTER ROLE app SET role = 'owner'",
        "ALTER ROLE app SET default_transaction_read_only = on",
    ] {
        world.sql(hindrance).await;
    }
    let (first, second) = (world.first(), next(&world.first(), RotationMode::SingleUser));
    world.issuer.set(&first, &second, None).await.unwrap();
    assert!(world.is_accepted(&second).await && !world.is_accepted(&first).await);
    let session = world.open(&second).await;
    world.issuer.terminate_sessions(&second, Sessions::All, &[&second]).await.unwrap();
    assert!(session.simple_query("SELECT 1").await.is_err());
    world.issuer.take_away(&second, None, false).await.unwrap();
    assert!(!world.is_accepted(&second).await);
}

#[tokio::test]
async fn what_a_database_puts_into_its_search_path_is_not_run_by_the_administrator() {
    let world = World::new().await;
    world
        .sql(
            "CREATE SCHEMA evil; ALTER ROLE app SET work_mem = '5MB'; \
             CREATE FUNCTION evil.unnest(text[]) RETURNS SETOF text LANGUAGE plpgsql \
             AS $$BEGIN RAISE EXCEPTION 'ran'; END$$; \
             ALTER DATABASE postgres SET search_path = evil, pg_catalog",
        )
        .await;
    let (first, clone) = (world.first(), next(&world.first(), RotationMode::AlternatingUsers));
    world.issuer.set(&first, &clone, Some(&world.admin())).await.unwrap();
    assert!(world.is_accepted(&clone).await);
}

#[tokio::test]
async fn connections_that_fill_a_login_up_are_ended_by_the_administrator() {
    let world = World::new().await;
    world.sql("ALTER ROLE app CONNECTION LIMIT 1").await;
    let (first, admin) = (world.first(), world.admin());
    let session = world.open(&first).await;
    let pending = next(&first, RotationMode::SingleUser);
    let set = world.issuer.set(&first, &pending, Some(&admin)).await.unwrap();
    // The reply was lost: nobody can see by a login whether it is set.
    world.issuer.set(&first, &pending, Some(&admin)).await.unwrap();
    let before = Sessions::OpenedBefore(set.at);
    let full = world.issuer.terminate_sessions(&pending, before, &[&pending]).await.unwrap_err();
    assert_eq!((full.failure("x").code.as_str(), full.class()), ("53300", FailureClass::RetrySoon));
    let by = [&pending, &admin];
    let ended = world.issuer.terminate_sessions(&pending, before, &by).await.unwrap();
    assert_eq!(ended.count, 1);
    assert!(session.simple_query("SELECT 1").await.is_err());
    assert!(world.is_accepted(&pending).await);
}

#[tokio::test]
async fn connections_that_fill_the_login_or_the_server_up_do_not_keep_a_password_alive() {
    let world = World::over(&["max_connections=6", "superuser_reserved_connections=3"]).await;
    let (first, admin) = (world.first(), world.admin());
    let mut sessions = Vec::new();
    while let Ok(session) = world.connect("app", FIRST).await {
        sessions.push(session);
    }
    assert!(!sessions.is_empty());
    assert!(!world.issuer.take_away(&first, Some(&admin), true).await.unwrap().already);
    for session in &sessions {
        assert!(session.simple_query("SELECT 1").await.is_err());
    }
    assert!(!world.is_accepted(&first).await);
}

#[tokio::test]
async fn connections_are_ended_on_the_server_of_the_login_and_on_no_other() {
    let world = World::new().await;
    let first = world.first();
    let session = world.open(&first).await;
    let elsewhere = SecretValue::new(first.reveal().replace("localhost", "127.0.0.1"));
    let by = [&elsewhere];
    let error = world.issuer.terminate_sessions(&first, Sessions::All, &by).await.unwrap_err();
    assert!(matches!(error, DatabaseError::OtherServer(_)), "{error}");
    assert!(session.simple_query("SELECT 1").await.is_ok());
}

#[tokio::test]
async fn where_no_password_is_asked_for_nothing_is_proven_and_nothing_changed() {
    let world = World::new().await;
    world.create_login("trusted", FIRST, "").await;
    let (old, wrong) = (world.value("trusted", FIRST), world.value("trusted", "wr0ng"));
    let stored = "SELECT rolpassword FROM pg_authid WHERE rolname = 'trusted'";
    let before = world.sql(stored).await;
    let admin = world.admin();
    let is_told = |error: DatabaseError| {
        assert!(matches!(error, DatabaseError::NoPasswordAsked(_)), "{error}");
        assert_eq!(error.class(), FailureClass::Cannot);
    };
    is_told(world.issuer.accepts(&wrong).await.unwrap_err());
    is_told(world.issuer.set(&old, &wrong, None).await.unwrap_err());
    is_told(world.issuer.set(&old, &wrong, Some(&admin)).await.unwrap_err());
    is_told(world.issuer.take_away(&old, Some(&admin), true).await.unwrap_err());
    // Others, from elsewhere, may be asked for it.
    assert_eq!(world.sql(stored).await, before);
}

#[tokio::test]
async fn a_login_that_a_person_has_switched_off_does_not_keep_its_password() {
    let world = World::new().await;
    let (first, admin) = (world.first(), world.admin());
    let clone = next(&first, RotationMode::AlternatingUsers);
    world.issuer.set(&first, &clone, Some(&admin)).await.unwrap();
    world.sql("ALTER ROLE app NOLOGIN").await;
    world.issuer.retire(&first, &clone, Some(&admin)).await.unwrap();
    world.sql("ALTER ROLE app LOGIN").await;
    assert!(!world.is_accepted(&first).await);
}

#[tokio::test]
async fn another_value_lets_in_though_its_database_is_gone() {
    let world = World::new().await;
    let (first, second) = (world.first(), next(&world.first(), RotationMode::SingleUser));
    world.issuer.set(&first, &second, None).await.unwrap();
    let moved = second.reveal().replace("\"dbname\":\"postgres\"", "\"dbname\":\"gone\"");
    let (moved, third) = (SecretValue::new(moved), next(&first, RotationMode::SingleUser));
    world.issuer.take_over(&first, &[&moved], &third, false).await.unwrap();
    assert!(world.is_accepted(&third).await);
}

#[tokio::test]
async fn a_login_that_changes_itself_ends_its_other_sessions_on_the_same_connection() {
    let world = World::new().await;
    let (first, second) = (world.first(), next(&world.first(), RotationMode::SingleUser));
    let session = world.open(&first).await;
    world.issuer.take_over(&first, &[], &second, true).await.unwrap();
    assert!(session.simple_query("SELECT 1").await.is_err());
    // And where the change was made before, but its end was lost.
    let session = world.open(&second).await;
    assert!(world.issuer.take_over(&first, &[], &second, true).await.unwrap().already);
    assert!(session.simple_query("SELECT 1").await.is_err());
    assert!(world.is_accepted(&second).await);
}

#[tokio::test]
async fn a_login_that_ends_by_itself_ends_its_sessions_with_its_password() {
    let world = World::over(&["authentication_timeout=1s"]).await;
    let first = world.first();
    let sessions = [world.open(&first).await, world.open(&first).await];
    let retired = world.issuer.take_away(&first, None, false).await.unwrap();
    assert!(!retired.already && retired.sessions_ended);
    for session in &sessions {
        assert!(session.simple_query("SELECT 1").await.is_err());
    }
    assert!(!world.is_accepted(&first).await);
    let again = world.issuer.take_away(&first, None, false).await.unwrap();
    assert!(again.already && !again.sessions_ended, "nobody can see whether they are");
    assert!(!format!("{again:?}").contains(&login(&first).1));
}
