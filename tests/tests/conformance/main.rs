//! One list of behaviours of AWS, that the sandbox must all have.
//!
//! With `SEVERANCE_CONFORMANCE_ENDPOINT` set (`make conformance` does so) the same list is run
//! against that server as well, and a table is printed. Where it differs, the difference must be
//! in [`differences::KNOWN`], with its reason; one that is listed and no longer there fails too.

#![allow(
    clippy::expect_used,
    clippy::needless_pass_by_value,
    clippy::print_stdout,
    clippy::redundant_closure_for_method_calls,
    reason = "a set-up that fails is a failed test; the table is what a person runs this for; and \
              behaviours read best as short lines"
)]

mod access_keys;
mod differences;
mod enforcement;
mod other_credentials;
mod policies;
mod roles;
mod secret_deletion;
mod secret_help;
mod secret_policies;
mod secret_replicas;
mod secret_rotation;
mod secret_search;
mod secret_stages;
mod secret_versions;
mod secrets;
mod server;
mod users;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use server::Server;

/// What a behaviour's test says: nothing, or how the server behaved instead.
pub(crate) type Check = Result<(), String>;

/// One behaviour, by a name that states it.
pub(crate) struct Behaviour {
    name: &'static str,
    services: &'static str,
    run: fn(Server) -> Pin<Box<dyn Future<Output = Check> + Send>>,
}

/// Names the behaviours of a module: `"services", "what it does" => function`.
#[macro_export]
macro_rules! behaviours {
    ($($services:literal, $name:literal => $run:path;)+) => {
        pub(crate) const BEHAVIOURS: &[$crate::Behaviour] = &[
            $($crate::Behaviour {
                services: $services,
                name: $name,
                run: |server| Box::pin($run(server)),
            }),+
        ];
    };
}

/// A behaviour that takes longer than this has failed.
const LIMIT: Duration = Duration::from_mins(1);
/// How many behaviours are tried at once.
const AT_ONCE: usize = 4;

fn all() -> Vec<&'static Behaviour> {
    [
        access_keys::BEHAVIOURS,
        users::BEHAVIOURS,
        other_credentials::BEHAVIOURS,
        policies::BEHAVIOURS,
        enforcement::BEHAVIOURS,
        roles::BEHAVIOURS,
        secrets::BEHAVIOURS,
        secret_versions::BEHAVIOURS,
        secret_stages::BEHAVIOURS,
        secret_policies::BEHAVIOURS,
        secret_replicas::BEHAVIOURS,
        secret_rotation::BEHAVIOURS,
        secret_deletion::BEHAVIOURS,
        secret_search::BEHAVIOURS,
    ]
    .into_iter()
    .flatten()
    .collect()
}

type Results = BTreeMap<&'static str, Check>;

async fn try_all(server: &Server) -> Results {
    let mut waiting = all().into_iter();
    let mut running = tokio::task::JoinSet::new();
    let mut results = Results::new();
    loop {
        while running.len() < AT_ONCE
            && let Some(behaviour) = waiting.next()
        {
            let attempt = (behaviour.run)(server.clone());
            running.spawn(async move {
                let late = |_| Err(format!("no answer within {} s", LIMIT.as_secs()));
                let check = tokio::time::timeout(LIMIT, attempt).await;
                (behaviour.name, check.unwrap_or_else(late))
            });
        }
        match running.join_next().await {
            None => return results,
            Some(Ok((name, check))) => {
                results.insert(name, check);
            }
            Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

#[tokio::test]
async fn the_sandbox_has_every_behaviour_and_differences_of_others_are_known() {
    let (sandbox, _running) = Server::sandbox().await;
    let here = try_all(&sandbox).await;
    let other = match Server::other() {
        Some(other) => Some(try_all(&other).await),
        None => None,
    };
    if let Some(other) = &other {
        print_table(&here, other);
    }
    let mut wrong: Vec<String> = here
        .iter()
        .filter_map(|(name, check)| Some(format!("sandbox: {name}: {}", check.as_ref().err()?)))
        .collect();
    wrong.extend(other.iter().flat_map(unexpected));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Differences that are not listed, and listed ones that are not there.
fn unexpected(other: &Results) -> Vec<String> {
    other
        .iter()
        .filter_map(|(name, check)| match (check, differences::reason(name)) {
            (Err(found), None) => Some(format!("other: not a known difference: {name}: {found}")),
            (Ok(()), Some(_)) => Some(format!("other: listed, but no longer a difference: {name}")),
            _ => None,
        })
        .collect()
}

#[test]
fn behaviours_have_names_of_their_own_and_differences_name_behaviours() {
    let names: Vec<_> = all().iter().map(|it| it.name).collect();
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
    for (name, _) in differences::KNOWN {
        assert!(names.contains(name), "no behaviour is called {name:?}");
    }
}

fn print_table(here: &Results, other: &Results) {
    println!("{:<88} {:<15} {:<8} other", "behaviour", "services", "sandbox");
    let word = |results: &Results, name: &str| match results.get(name) {
        Some(Ok(())) => "yes",
        _ => "NO",
    };
    for behaviour in all() {
        let name = behaviour.name;
        let (sandbox, there) = (word(here, name), word(other, name));
        println!("{name:<88} {:<15} {sandbox:<8} {there}", behaviour.services);
        if let Some(Err(found)) = other.get(name) {
            println!("    other: {found}");
        }
        if let Some(reason) = differences::reason(name) {
            println!("    known: {reason}");
        }
    }
    let count = |results: &Results| results.values().filter(|it| it.is_ok()).count();
    let total = here.len();
    println!("\n{total} behaviours: sandbox {}, other {}", count(here), count(other));
}
