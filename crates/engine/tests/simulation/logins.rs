//! What a database server does that is told: one login changes its own password, with the one that it has, or
//! an administrator does.

use severance_engine::ports::{Errand, Told};
use severance_lifecycle::failure::{Failure, FailureClass};

use crate::issuers::LOGIN;
use crate::provider::failure;
use crate::vault::{Secret, Value};

fn refused(operation: &str, code: &str) -> Failure {
    failure(FailureClass::Cannot, operation, code)
}

/// Whether nobody but the login itself can change it.
fn is_alone(here: &Secret) -> bool {
    here.is_single_login() && !here.has_administrator
}

/// Whether one of the passwords that are offered is the one that it has.
fn lets_in(here: &Secret, errand: &Errand, user: &str) -> bool {
    let offered = errand.beside.iter().chain(&errand.others);
    let mut offered = offered.filter_map(|it| it.value.as_ref()).map(|it| Value::read(it.reveal()));
    let now = here.logins.get(user).copied().flatten();
    offered.any(|value| {
        matches!(value, Value::Login { user: of, password } if of == user && now == Some(password))
    })
}

/// Its password is to be this one.
pub fn set(
    here: &mut Secret,
    errand: &Errand,
    user: &str,
    password: u64,
    end_sessions: bool,
) -> Result<(), Failure> {
    let now = here.logins.get(user).copied().flatten();
    if is_alone(here) && now != Some(password) && !lets_in(here, errand, user) {
        return Err(refused("database:SetPassword", "28P01"));
    }
    here.logins.insert(user.to_owned(), Some(password));
    if end_sessions && here.is_single_login() {
        here.sessions.clear();
    }
    Ok(())
}

/// It is to have no password any more. One that is to take another could not do so by itself.
pub fn retire(here: &mut Secret, user: &str, password: u64, followed: bool) -> Result<(), Failure> {
    let alone = is_alone(here);
    let login = here.logins.entry(user.to_owned()).or_default();
    if *login != Some(password) {
        return Ok(());
    }
    if alone && followed {
        return Err(refused("database:TakePassword", "AdminNeeded"));
    }
    *login = None;
    Ok(())
}

/// What was opened with a password ends: by the login itself, where another of its passwords is let in.
pub fn end_sessions(
    here: &mut Secret,
    errand: &Errand,
    user: &str,
    password: u64,
) -> Result<Told, Failure> {
    // One that has no password any more nobody can log in as: a person is asked, who ends them.
    let has_password = here.logins.get(user).copied().flatten().is_some();
    if is_alone(here) && has_password && !lets_in(here, errand, user) {
        return Err(refused("database:EndSessions", "28P01"));
    }
    here.sessions.remove(&password);
    Ok(Told { stragglers_for: Some(LOGIN), ..Told::default() })
}
