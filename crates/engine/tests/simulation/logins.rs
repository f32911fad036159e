//! What a database server does that is told: one login changes its own password, with the one that it has, or
//! an administrator does.

use severance_engine::ports::{Errand, Told};
use severance_lifecycle::failure::{Failure, FailureClass};

use crate::issuers::LOGIN;
use crate::provider::failure;
use crate::vault::{Secret, Value};

/// Where a login without an administrator is to take another password, the server asks for the one that it has
/// now. It may be one of another version than the one that leaves.
pub const ASKED_FOR_ITS_PASSWORD: bool = true;

/// Whether the issuer then offers what the secret's other versions hold.
pub const OFFERS_OTHER_VERSIONS: bool = false;

fn refused(operation: &str, code: &str) -> Failure {
    failure(FailureClass::Cannot, operation, code)
}

/// Whether nobody but the login itself can change it.
fn is_alone(here: &Secret) -> bool {
    ASKED_FOR_ITS_PASSWORD && here.is_single_login() && !here.has_administrator
}

fn beside(errand: &Errand) -> Option<Value> {
    let value = errand.beside.as_ref()?.value.as_ref()?;
    Some(Value::read(value.reveal()))
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
    if is_alone(here) && now != Some(password) {
        let mut offered: Vec<Value> = beside(errand).into_iter().collect();
        if OFFERS_OTHER_VERSIONS {
            offered.extend(here.versions.iter().map(|version| version.value.clone()));
        }
        let is_it = |value: &Value| matches!(value, Value::Login { user: of, password } if of == user && Some(*password) == now);
        if !offered.iter().any(is_it) {
            return Err(refused("database:SetPassword", "28P01"));
        }
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
    if is_alone(here) {
        let now = here.logins.get(user).copied().flatten();
        match beside(errand) {
            Some(Value::Login { user: of, password }) if of == user => {
                if now != Some(password) {
                    return Err(refused("database:EndSessions", "28P01"));
                }
            }
            _ => return Err(refused("database:EndSessions", "AdminNeeded")),
        }
    }
    here.sessions.remove(&password);
    Ok(Told { stragglers_for: Some(LOGIN), ..Told::default() })
}
