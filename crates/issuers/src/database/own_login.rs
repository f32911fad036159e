//! Logging in as the user whose password is to change, where nobody is sure which one the server has.

use severance_engine::ports::SecretValue;

use super::connector::{Connector, Entry};
use super::error::{DatabaseError, Which};
use super::refusal::Refusal;
use super::session::Session;
use super::value::DatabaseValue;

/// So many other values are tried in one call: a server may lock a login that is refused too often.
const MOST_OTHERS: usize = 3;

impl Connector {
    /// By the current value, or by the first of `others` that is let in. The pending one was refused.
    pub(super) async fn log_in_by_any(
        &self,
        current: &DatabaseValue,
        others: &[&SecretValue],
        pending: &DatabaseValue,
    ) -> Result<Session, DatabaseError> {
        let mut refused = match self.try_login(current).await? {
            Entry::Open(session) => return self.prepare_itself(session).await,
            Entry::Refused(Refusal { code }) => {
                let username = current.username().to_owned();
                DatabaseError::Refused { which: Which::Current, username, code }
            }
        };
        let others = untried(current, others, pending);
        for (number, other) in others.iter().enumerate() {
            match self.try_login(other).await? {
                Entry::Open(session) => return self.prepare_itself(session).await,
                Entry::Refused(Refusal { code }) => {
                    let username = current.username().to_owned();
                    refused = DatabaseError::AllRefused { username, code, tried: number + 2 };
                }
            }
        }
        Err(refused)
    }
}

/// Values of the same login on the same server whose password was not tried yet, in their order, and for
/// the database of now. What cannot be read, or is for somebody else, is none of them.
fn untried(
    current: &DatabaseValue,
    others: &[&SecretValue],
    pending: &DatabaseValue,
) -> Vec<DatabaseValue> {
    let mut untried: Vec<DatabaseValue> = Vec::new();
    for other in others {
        let Ok(other) = DatabaseValue::parse(other) else { continue };
        let is_same = other.username() == pending.username() && other.is_on_server_of(pending);
        let known = |it: &DatabaseValue| it.password().reveal() == other.password().reveal();
        let is_known = known(current) || known(pending) || untried.iter().any(known);
        if is_same && !is_known {
            untried.push(other.with_database_of(pending));
        }
        if untried.len() == MOST_OTHERS {
            break;
        }
    }
    untried
}
