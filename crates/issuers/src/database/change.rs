//! One change of a password: the values that it goes by, and making it.

use chrono::{DateTime, Utc};
use severance_engine::ports::SecretValue;

use super::error::{DatabaseError, Which};
use super::next_value::other_user;
use super::roles;
use super::session::Session;
use super::value::DatabaseValue;

/// The pending value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WasSet {
    /// It was so before: nothing was changed.
    pub already: bool,
    /// A moment of the server's clock after the change: what was opened with the password before is
    /// older. Where `already`, the moment of this look.
    pub at: DateTime<Utc>,
}

/// The value that works now and the one that shall work next, which go together.
pub(super) struct Change {
    pub(super) current: DatabaseValue,
    pub(super) pending: DatabaseValue,
    /// They name two users.
    pub(super) twins: bool,
}

impl Change {
    pub(super) fn parse(
        current: &SecretValue,
        pending: &SecretValue,
    ) -> Result<Self, DatabaseError> {
        let current = parse(current, Which::Current)?;
        let pending = parse(pending, Which::Pending)?;
        same_server(&current, &pending, Which::Pending)?;
        let twins = pending.username() != current.username();
        if twins {
            take_turns(&current, &pending, Which::Pending)?;
        }
        Ok(Self { current, pending, twins })
    }

    /// Sets the pending password.
    pub(super) async fn make(&self, session: &Session) -> Result<WasSet, DatabaseError> {
        let (from, to) = (self.current.username(), self.pending.username());
        let password = self.pending.password();
        if self.twins {
            roles::set_password_of_twin(session, from, to, password).await?;
        } else {
            roles::set_password(session, to, password).await?;
        }
        Ok(WasSet { already: false, at: now(session).await? })
    }
}

pub(super) fn parse(value: &SecretValue, which: Which) -> Result<DatabaseValue, DatabaseError> {
    DatabaseValue::parse(value).map_err(|source| DatabaseError::Value { which, source })
}

pub(super) fn same_server(
    one: &DatabaseValue,
    other: &DatabaseValue,
    which: Which,
) -> Result<(), DatabaseError> {
    if one.is_on_server_of(other) { Ok(()) } else { Err(DatabaseError::OtherServer(which)) }
}

pub(super) fn take_turns(
    current: &DatabaseValue,
    other: &DatabaseValue,
    which: Which,
) -> Result<(), DatabaseError> {
    let expected = other_user(current.username())
        .map_err(|source| DatabaseError::Value { which: Which::Current, source })?;
    if other.username() == expected {
        return Ok(());
    }
    Err(DatabaseError::OtherUser { which, username: other.username().to_owned() })
}

/// The server's clock.
pub(super) async fn now(session: &Session) -> Result<DateTime<Utc>, DatabaseError> {
    const ASK: &str = "SELECT pg_catalog.clock_timestamp()";
    let doing = "read the server's clock";
    let rows = session.query(doing, ASK, &[]).await?;
    match rows.first() {
        Some(row) => Ok(row.get(0)),
        None => Err(DatabaseError::Timeout { doing }),
    }
}
