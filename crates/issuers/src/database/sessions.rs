//! Ending connections: a password that was changed does not close what it opened.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::error::DatabaseError;
use super::session::Session;

/// A backend ends within milliseconds unless it is busy in the kernel.
const ROUNDS: usize = 100;
const BETWEEN_ROUNDS: Duration = Duration::from_millis(50);

/// Whoever had begun to log in is waited for within a call no longer than this: twice the server's default.
const LONGEST_WAIT: Duration = Duration::from_mins(2);

const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// Which connections of a login to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// Every one.
    All,
    /// Those opened before this moment of the server's clock, as `set` tells it.
    OpenedBefore(DateTime<Utc>),
}

/// What was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminated {
    /// How many connections.
    pub count: usize,
    /// A client that had begun to log in before the password changed may still come in for this long
    /// (the server's `authentication_timeout`). To be sure of it, end connections once more after it.
    pub stragglers_for: TimeDelta,
}

/// Ends connections of `username` until none is left, but not the one that does it.
pub(super) async fn terminate(
    session: &Session,
    username: &str,
    which: Sessions,
) -> Result<Terminated, DatabaseError> {
    let before = match which {
        Sessions::All => None,
        Sessions::OpenedBefore(moment) => {
            refuse_if_hidden(session, username).await?;
            Some(moment)
        }
    };
    let stragglers_for = authentication_timeout(session).await?;
    let mut ended = HashSet::new();
    let mut left = 0;
    for _ in 0..ROUNDS {
        let open = signal(session, username, before).await?;
        if open.is_empty() {
            return Ok(Terminated { count: ended.len(), stragglers_for });
        }
        left = open.len();
        ended.extend(open.iter().map(|row| row.get::<_, i32>("pid")));
        tokio::time::sleep(BETWEEN_ROUNDS).await;
    }
    Err(DatabaseError::StillOpen { username: username.to_owned(), left })
}

/// Ends every connection of the login whose password has just gone, but the one that does it: no later one can.
/// Waits for clients that had begun to log in before, and answers whether none can be left.
pub(super) async fn end_for_good(session: &Session, username: &str) -> Result<bool, DatabaseError> {
    let Terminated { stragglers_for, .. } = terminate(session, username, Sessions::All).await?;
    let Some(wait) = stragglers_for.to_std().ok().filter(|wait| *wait <= LONGEST_WAIT) else {
        return Ok(false);
    };
    // Again and again, so that the server does not take this connection for an idle one.
    for _ in 0..=wait.as_millis() / BETWEEN_LOOKS.as_millis() {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        terminate(session, username, Sessions::All).await?;
    }
    Ok(true)
}

/// Without `pg_read_all_stats` the server hides when another user's connections were opened.
async fn refuse_if_hidden(session: &Session, username: &str) -> Result<(), DatabaseError> {
    const HIDDEN: &str = "SELECT FROM pg_catalog.pg_stat_activity \
        WHERE usename = $1 AND backend_start IS NULL LIMIT 1";
    let rows = session.query("look at the connections", HIDDEN, &[(&username, Type::TEXT)]).await?;
    if rows.is_empty() { Ok(()) } else { Err(DatabaseError::AgeHidden(username.to_owned())) }
}

async fn signal(
    session: &Session,
    username: &str,
    before: Option<DateTime<Utc>>,
) -> Result<Vec<Row>, DatabaseError> {
    const SIGNAL: &str = "SELECT pid, pg_catalog.pg_terminate_backend(pid) \
        FROM pg_catalog.pg_stat_activity \
        WHERE usename = $1 AND pid <> pg_catalog.pg_backend_pid() \
          AND ($2::timestamptz IS NULL OR backend_start < $2)";
    let parameters = [(&username as _, Type::TEXT), (&before as _, Type::TIMESTAMPTZ)];
    session.query("end the connections", SIGNAL, &parameters).await
}

async fn authentication_timeout(session: &Session) -> Result<TimeDelta, DatabaseError> {
    const ASK: &str = "SELECT setting::bigint FROM pg_catalog.pg_settings \
        WHERE name = 'authentication_timeout'"; // in seconds
    let rows = session.query("read the authentication timeout", ASK, &[]).await?;
    let seconds = rows.first().map_or(60, |row| row.get(0));
    Ok(TimeDelta::try_seconds(seconds).unwrap_or(TimeDelta::minutes(10)))
}
