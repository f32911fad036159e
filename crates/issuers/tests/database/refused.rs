//! What is refused before anything is changed.

use severance_engine::ports::SecretValue;
use severance_issuers::database::{DatabaseError, RotationMode};
use severance_lifecycle::failure::FailureClass;

use crate::world::{World, next};

#[tokio::test]
async fn values_that_do_not_go_together_change_nothing() {
    let world = World::new().await;
    world.create_login("other", "0therS3cr3t", "").await;
    let (current, admin) = (world.first(), world.admin());
    let clone = next(&current, RotationMode::AlternatingUsers);
    let changed = |value: &SecretValue, from: &str, to: &str| {
        SecretValue::new(value.reveal().replace(from, to))
    };
    let elsewhere = |value: &SecretValue| changed(value, "localhost", "127.0.0.1");
    let mysql = changed(&current, "\"engine\":\"postgres\"", "\"engine\":\"mysql\"");
    let other = world.value("other", "n3wn3wn3w");
    let set = async |pending: &SecretValue, admin: Option<&SecretValue>| {
        let error = world.issuer.set(&current, pending, admin).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Cannot);
        error.failure("postgresql:Set").message
    };

    assert_eq!(
        set(&clone, None).await,
        "this needs an administrator's value, and none is configured for the server"
    );
    let expected = "the admin value names another server";
    assert_eq!(set(&clone, Some(&elsewhere(&admin))).await, expected);
    let expected = "the pending value names another server";
    assert_eq!(set(&elsewhere(&clone), Some(&admin)).await, expected);
    let expected = "the pending value names the user other, which does not go with the other value";
    assert_eq!(set(&other, Some(&admin)).await, expected);
    let expected = "the pending value cannot be used: engine: mysql is not supported";
    assert_eq!(set(&mysql, Some(&admin)).await, expected);
    let expected = "the admin value cannot be used: not JSON";
    assert_eq!(set(&clone, Some(&SecretValue::new("x".into()))).await, expected);

    assert!(world.is_accepted(&current).await && !world.is_accepted(&other).await);
    let users = "SELECT rolname FROM pg_roles WHERE rolname = 'app_clone'";
    assert!(world.sql(users).await.is_empty());
}

#[tokio::test]
async fn who_is_in_use_is_never_retired() {
    let world = World::new().await;
    let error = world.issuer.retire(&world.first(), &world.first(), None).await.unwrap_err();
    assert!(matches!(error, DatabaseError::OtherUser { .. }), "{error}");
    assert!(world.is_accepted(&world.first()).await);
}

#[tokio::test]
async fn a_login_that_needs_no_password_is_never_called_retired() {
    let world = World::new().await;
    world.create_login("trusted", "Tr0st3dS3cr3t", "").await;
    world.create_login("trusted_clone", "Tr0st3dCl0n3", "").await;
    let old = world.value("trusted", "Tr0st3dS3cr3t");
    let current = world.value("trusted_clone", "Tr0st3dCl0n3");
    let error = world.issuer.retire(&old, &current, Some(&world.admin())).await.unwrap_err();
    assert!(matches!(error, DatabaseError::NoPasswordAsked(_)), "{error}");
    assert_eq!(error.class(), FailureClass::Cannot);
}

#[tokio::test]
async fn an_administrator_that_is_none_is_told_so_and_superusers_are_not_copied() {
    let world = World::new().await;
    world.create_login("plain", "Pl41nS3cr3t", "").await;
    let current = world.first();
    let pending = next(&current, RotationMode::AlternatingUsers);
    let plain = world.value("plain", "Pl41nS3cr3t");
    let error = world.issuer.set(&current, &pending, Some(&plain)).await.unwrap_err();
    assert_eq!((error.failure("x").code.as_str(), error.class()), ("42501", FailureClass::Cannot));

    let pending = next(&world.admin(), RotationMode::AlternatingUsers);
    let admin = world.admin();
    let error = world.issuer.set(&admin, &pending, Some(&admin)).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Superuser(_)), "{error}");

    let gone = world.value("gone", "x");
    let pending = next(&gone, RotationMode::AlternatingUsers);
    let error = world.issuer.set(&gone, &pending, Some(&admin)).await.unwrap_err();
    assert_eq!(
        (error.failure("x").code.as_str(), error.class()),
        ("NoSuchUser", FailureClass::Cannot)
    );
    let pending = next(&gone, RotationMode::SingleUser);
    let error = world.issuer.set(&gone, &pending, Some(&admin)).await.unwrap_err();
    assert_eq!(
        (error.failure("x").code.as_str(), error.class()),
        ("NoSuchUser", FailureClass::Cannot)
    );
}
