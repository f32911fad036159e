//! One user whose password changes.

use severance_issuers::database::RotationMode;
use severance_lifecycle::failure::FailureClass;

use crate::world::{World, login, next};

#[tokio::test]
async fn the_user_itself_gets_another_password_and_the_old_one_is_refused() {
    let world = World::new().await;
    let mut current = world.first();
    for _ in 0..2 {
        let pending = next(&current, RotationMode::SingleUser);
        assert!(!world.is_accepted(&pending).await);
        assert!(!world.issuer.set(&current, &pending, None).await.unwrap().already);
        assert!(world.is_accepted(&pending).await);
        assert!(!world.is_accepted(&current).await);
        // What the reply was lost of is done again without harm.
        assert!(world.issuer.set(&current, &pending, None).await.unwrap().already);
        assert!(world.is_accepted(&pending).await);
        current = pending;
    }
}

#[tokio::test]
async fn the_administrator_sets_it_where_the_current_value_is_not_accepted_any_more() {
    let world = World::new().await;
    let lost = world.value("app", "n0b0dyKn0ws");
    let pending = next(&lost, RotationMode::SingleUser);

    let refused = world.issuer.set(&lost, &pending, None).await.unwrap_err();
    assert_eq!(refused.class(), FailureClass::Cannot);
    let failure = refused.failure("postgresql:Set");
    assert_eq!(failure.code, "28P01");
    assert_eq!(failure.message, "the server refuses the current login of app (28P01)");
    assert!(world.is_accepted(&world.first()).await);

    world.issuer.set(&lost, &pending, Some(&world.admin())).await.unwrap();
    assert!(world.is_accepted(&pending).await);
    assert!(!world.is_accepted(&world.first()).await);
}

#[tokio::test]
async fn no_password_is_in_the_servers_log_though_it_logs_every_statement() {
    let world = World::new().await;
    let first = world.first();
    let second = next(&first, RotationMode::SingleUser);
    world.issuer.set(&first, &second, None).await.unwrap();
    let third = next(&second, RotationMode::SingleUser);
    world.issuer.set(&second, &third, Some(&world.admin())).await.unwrap();
    let clone = next(&third, RotationMode::AlternatingUsers);
    world.issuer.set(&third, &clone, Some(&world.admin())).await.unwrap();
    world.issuer.retire(&third, &clone, Some(&world.admin())).await.unwrap();

    let log = world.whole_log().await;
    for told in ["ALTER ROLE \"app\"", "CREATE ROLE \"app_clone\"", "SCRAM-SHA-256$4096:"] {
        assert!(log.contains(told), "{told}");
    }
    for value in [first, second, third, clone, world.admin()] {
        assert!(!log.contains(&login(&value).1));
    }
}
