//! Connections that an old password opened.

use chrono::TimeDelta;
use severance_issuers::database::{DatabaseError, RotationMode, Sessions};
use severance_lifecycle::failure::FailureClass;
use tokio_postgres::Client;

use crate::world::{World, next};

async fn is_open(client: &Client) -> bool {
    client.simple_query("SELECT 1").await.is_ok()
}

#[tokio::test]
async fn connections_of_the_old_password_are_gone_and_those_of_the_new_stay() {
    let world = World::new().await;
    let first = world.first();
    let old = [world.open(&first).await, world.open(&first).await, world.open(&first).await];
    let admin = world.open(&world.admin()).await;
    let pending = next(&first, RotationMode::SingleUser);
    let set = world.issuer.set(&first, &pending, None).await.unwrap();
    assert!(is_open(&old[0]).await, "a change of password alone ends nothing");
    let new = world.open(&pending).await;

    let before = Sessions::OpenedBefore(set.at);
    let terminated = world.issuer.terminate_sessions(&pending, before, &[&pending]).await.unwrap();
    assert_eq!(terminated.count, 3);
    assert_eq!(terminated.stragglers_for, TimeDelta::seconds(60));
    for client in &old {
        assert!(!is_open(client).await);
    }
    assert!(is_open(&new).await && is_open(&admin).await);

    let again = world.issuer.terminate_sessions(&pending, before, &[&pending]).await.unwrap();
    assert_eq!(again.count, 0);
    let all =
        world.issuer.terminate_sessions(&first, Sessions::All, &[&world.admin()]).await.unwrap();
    assert_eq!(all.count, 1);
    assert!(!is_open(&new).await && is_open(&admin).await);
}

#[tokio::test]
async fn a_user_never_ends_the_connection_that_it_works_on() {
    let world = World::new().await;
    let first = world.first();
    let other = world.open(&first).await;
    let own = world.issuer.terminate_sessions(&first, Sessions::All, &[&first]).await.unwrap();
    assert_eq!(own.count, 1);
    assert!(!is_open(&other).await);
}

#[tokio::test]
async fn who_may_not_see_or_end_them_is_told_so() {
    let world = World::new().await;
    world.create_login("keeper", "K33perS3cr3t", "CREATEROLE").await;
    let client = world.open(&world.first()).await;
    let keeper = world.value("keeper", "K33perS3cr3t");
    let now = world.issuer.set(&world.first(), &world.first(), None).await.unwrap().at;

    let before = Sessions::OpenedBefore(now);
    let hidden =
        world.issuer.terminate_sessions(&world.first(), before, &[&keeper]).await.unwrap_err();
    assert!(matches!(hidden, DatabaseError::AgeHidden(_)), "{hidden}");
    let denied = world
        .issuer
        .terminate_sessions(&world.first(), Sessions::All, &[&keeper])
        .await
        .unwrap_err();
    assert_eq!(denied.failure("x").code, "42501");
    assert_eq!(denied.class(), FailureClass::Cannot);
    assert!(is_open(&client).await);

    world.sql("GRANT pg_signal_backend, pg_read_all_stats TO keeper").await;
    let allowed =
        world.issuer.terminate_sessions(&world.first(), before, &[&keeper]).await.unwrap();
    assert_eq!(allowed.count, 1);
    assert!(!is_open(&client).await);
}
