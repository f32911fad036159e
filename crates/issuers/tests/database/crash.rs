//! Every step again after a crash in the middle of it, at every place where it waits.

use std::future::Future;

use severance_engine::ports::SecretValue;
use severance_issuers::database::{DatabaseError, RotationMode, Sessions};
use severance_lifecycle::failure::FailureClass;

use crate::interrupted::interrupted;
use crate::world::{World, login, next};

/// As the engine does it: looks again where the state was not what it seemed.
async fn again<T, F>(step: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, DatabaseError>>,
{
    for _ in 0..10 {
        match step().await {
            // What was cut off may still be under way on the server.
            Err(error) if error.class() != FailureClass::Cannot => eprintln!("again: {error}"),
            other => return other.unwrap(),
        }
    }
    panic!("does not converge");
}

#[tokio::test]
async fn a_single_users_rotation_ends_wherever_it_was_cut() {
    let world = World::new().await;
    let mut current = world.first();
    for polls in (0..).step_by(2) {
        let pending = next(&current, RotationMode::SingleUser);
        let set = || world.issuer.set(&current, &pending, None);
        let whole = interrupted(polls, set()).await.is_some();
        // Cut off just then, the statement may or may not have been done: one of both is accepted.
        again(set).await;
        assert!(world.is_accepted(&pending).await && !world.is_accepted(&current).await);
        current = pending;
        if whole {
            assert!(polls > 2, "nothing was cut off");
            return;
        }
    }
}

#[tokio::test]
async fn an_alternating_rotation_ends_wherever_it_was_cut() {
    let world = World::new().await;
    let admin = world.admin();
    let mut current = world.first();
    for polls in (0..).step_by(2) {
        let pending = next(&current, RotationMode::AlternatingUsers);
        if login(&current).0 == "app" {
            // So that creating it is cut off too.
            world.sql("DROP ROLE IF EXISTS app_clone").await;
        }
        let cut = rotate(&world, &current, &pending, &admin, polls).await;
        current = pending;
        if !cut {
            assert!(polls > 2, "nothing was cut off");
            return;
        }
    }
}

/// Cuts each step off; answers whether any was.
async fn rotate(
    world: &World,
    current: &SecretValue,
    pending: &SecretValue,
    admin: &SecretValue,
    polls: usize,
) -> bool {
    let set = || world.issuer.set(current, pending, Some(admin));
    let mut cut = interrupted(polls, set()).await.is_none();
    assert!(world.is_accepted(current).await, "the one in use is never touched");
    again(set).await;
    assert!(world.is_accepted(pending).await);

    let retire = || world.issuer.retire(current, pending, Some(admin));
    cut |= interrupted(polls, retire()).await.is_none();
    again(retire).await;
    assert!(!world.is_accepted(current).await && world.is_accepted(pending).await);

    let by = [admin];
    let end = || world.issuer.terminate_sessions(current, Sessions::All, &by);
    cut |= interrupted(polls, end()).await.is_none();
    again(end).await;
    cut
}
