//! What a database server does that is told: one login changes its own password, with the one that it has, or
//! an administrator does.

use severance_engine::ports::{Errand, Told};
use severance_lifecycle::failure::{Failure, FailureClass};

use crate::issuers::LOGIN;
use crate::provider::failure;
use crate::vault::{Secret, Value};

/// What a login without an administrator is let in with, so that it can change itself.
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "one of them is chosen, below")]
pub enum Offers {
    /// Nobody asks.
    Nothing,
    /// The password of the version beside the one that it is about, alone. It may be another one that the
    /// server has now: somebody moved labels, or another rotation was taken over after it had told the server.
    VersionBeside,
    /// That, or the password of any version of the secret.
    EveryVersion,
}

/// To be `EveryVersion` once the issuer tries the login's other versions, for a new password and for the end
/// of its connections. `VersionBeside` finds what happens without: seeds 187 and 330.
pub const OFFERS: Offers = Offers::Nothing;

fn refused(operation: &str, code: &str) -> Failure {
    failure(FailureClass::Cannot, operation, code)
}

/// Whether nobody but the login itself can change it.
fn is_alone(here: &Secret) -> bool {
    OFFERS != Offers::Nothing && here.is_single_login() && !here.has_administrator
}

/// Whether one of the passwords that are offered is the one that it has.
fn lets_in(here: &Secret, errand: &Errand, user: &str) -> bool {
    let beside = errand.beside.as_ref().and_then(|version| version.value.as_ref());
    let mut offered: Vec<Value> =
        beside.map(|value| Value::read(value.reveal())).into_iter().collect();
    if OFFERS == Offers::EveryVersion {
        offered.extend(here.versions.iter().map(|version| version.value.clone()));
    }
    let now = here.logins.get(user).copied().flatten();
    offered.iter().any(|value| {
        matches!(value, Value::Login { user: of, password } if of == user && now == Some(*password))
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
    if is_alone(here) && !lets_in(here, errand, user) {
        return Err(refused("database:EndSessions", "28P01"));
    }
    here.sessions.remove(&password);
    Ok(Told { stragglers_for: Some(LOGIN), ..Told::default() })
}
