//! One user without an administrator, whose password is not what the current value says: another rotation
//! was cut short after it had told the server.

use severance_engine::ports::SecretValue;
use severance_issuers::database::RotationMode;
use severance_lifecycle::failure::FailureClass;

use crate::interrupted::interrupted;
use crate::world::{World, login, next};

/// The server's password is the second value's; the first is what is handed out.
async fn amid_a_rotation(world: &World) -> (SecretValue, SecretValue, SecretValue) {
    let first = world.first();
    let second = next(&first, RotationMode::SingleUser);
    world.issuer.set(&first, &second, None).await.unwrap();
    let third = next(&first, RotationMode::SingleUser);
    (first, second, third)
}

/// How often the server turned the login away.
fn refusals(world: &World) -> usize {
    world.server.log().matches("password authentication failed for user \"app\"").count()
}

#[tokio::test]
async fn the_value_that_is_let_in_sets_the_next_one() {
    let world = World::new().await;
    let (first, second, third) = amid_a_rotation(&world).await;
    let alone = world.issuer.set(&first, &third, None).await.unwrap_err();
    assert_eq!(alone.failure("x").code, "28P01");

    let set = world.issuer.take_over(&first, &[&second], &third, false).await.unwrap();
    assert!(!set.already);
    assert!(world.is_accepted(&third).await);
    assert!(!world.is_accepted(&second).await && !world.is_accepted(&first).await);
    let again = world.issuer.take_over(&first, &[&second], &third, false).await.unwrap();
    assert!(again.already);
}

#[tokio::test]
async fn wherever_it_is_cut_the_next_attempt_ends_it() {
    let world = World::new().await;
    let mut current = world.first();
    for polls in (0..).step_by(2) {
        let second = next(&current, RotationMode::SingleUser);
        world.issuer.set(&current, &second, None).await.unwrap();
        let third = next(&current, RotationMode::SingleUser);
        let known = [&second];
        let take_over = || world.issuer.take_over(&current, &known, &third, false);
        let whole = interrupted(polls, take_over()).await.is_some();
        let mut left = 10;
        // What was cut off may still be under way on the server.
        while let Err(error) = take_over().await {
            left -= 1;
            assert!(left > 0 && error.class() != FailureClass::Cannot, "{error}");
        }
        assert!(world.is_accepted(&third).await && !world.is_accepted(&second).await);
        current = third;
        if whole {
            assert!(polls > 2, "nothing was cut off");
            return;
        }
    }
}

#[tokio::test]
async fn only_values_of_the_same_login_are_tried_each_once_and_few() {
    let world = World::new().await;
    world.create_login("other", "0therS3cr3t", "").await;
    let (first, second, third) = amid_a_rotation(&world).await;
    let elsewhere = SecretValue::new(second.reveal().replace("localhost", "127.0.0.1"));
    let other = world.value("other", "0therS3cr3t");
    let broken = SecretValue::new("hunter2".into());
    let no_more = [&elsewhere, &other, &broken, &first, &third, &first];
    let before = refusals(&world);
    let error = world.issuer.take_over(&first, &no_more, &third, false).await.unwrap_err();
    assert_eq!(error.failure("x").message, "the server refuses the current login of app (28P01)");
    world.whole_log().await;
    // The pending value before and after, and the current one.
    assert_eq!(refusals(&world) - before, 3);

    let lost: Vec<_> = (0..9).map(|number| world.value("app", &format!("l0st{number}"))).collect();
    let lost: Vec<_> = lost.iter().flat_map(|value| [value, value]).collect();
    let before = refusals(&world);
    let error = world.issuer.take_over(&first, &lost, &third, false).await.unwrap_err();
    let failure = error.failure("x");
    assert_eq!((failure.code.as_str(), failure.class), ("28P01", FailureClass::Cannot));
    assert_eq!(
        failure.message,
        "the server refuses each of 4 known values of the login app (28P01)"
    );
    world.whole_log().await;
    assert_eq!(refusals(&world) - before, 3 + 3);
    assert!(!failure.to_string().contains(&login(&third).1));
    assert!(world.is_accepted(&second).await, "nothing was changed");
}

#[tokio::test]
async fn users_in_turns_need_their_administrator_all_the_same() {
    let world = World::new().await;
    let (first, second, _) = amid_a_rotation(&world).await;
    let clone = next(&first, RotationMode::AlternatingUsers);
    let error = world.issuer.take_over(&first, &[&second], &clone, false).await.unwrap_err();
    assert_eq!(error.failure("x").code, "AdminNeeded");
}
