//! The operations of a rotation at a database. Each looks first, and can be repeated after a crash.

use severance_engine::ports::SecretValue;

use super::change::{Change, WasSet, now, parse, same_server, take_turns};
use super::connector::{Connector, Entry};
use super::error::{DatabaseError, Which};
use super::refusal::Refusal;
use super::roles;
use super::session::Session;
use super::sessions::{self, Sessions, Terminated};
use super::settings::DatabaseSettings;
use super::value::DatabaseValue;
use crate::tls::TrustError;

/// Sets, tries and takes away passwords of PostgreSQL logins.
pub struct DatabaseIssuer {
    connector: Connector,
}

/// What the server said to a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginAnswer {
    /// It was let in.
    Accepted,
    /// The server looked at the login and said no.
    Refused {
        /// SQLSTATE: `28P01`, or `28000` for a user that may not log in.
        code: String,
    },
}

/// The old value is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retired {
    /// It was so before: nothing was changed.
    pub already: bool,
    /// SQLSTATE of the refusal that proves it.
    pub code: String,
}

impl DatabaseIssuer {
    /// Reads the CA file; connects nowhere.
    ///
    /// # Errors
    /// Where nothing that could be trusted is found.
    pub fn new(settings: DatabaseSettings) -> Result<Self, TrustError> {
        Ok(Self { connector: Connector::new(settings)? })
    }

    /// Makes the server accept `pending`. Where it does already, nothing is changed.
    ///
    /// `pending` names the same user as `current` (whose password is changed by `admin`, or without one
    /// by the user itself, and from then on `current` is refused), or the one that takes turns with it
    /// (which is created where it is missing; this needs `admin`, and `current` stays accepted).
    ///
    /// # Errors
    /// Where the values do not go together, no login is let in, or the server does not do it.
    pub async fn set(
        &self,
        current: &SecretValue,
        pending: &SecretValue,
        admin: Option<&SecretValue>,
    ) -> Result<WasSet, DatabaseError> {
        let Some(admin) = admin else { return self.take_over(current, &[], pending).await };
        let change = Change::parse(current, pending)?;
        let admin = parse(admin, Which::Admin)?;
        if let Some(already) = self.is_set(&change.pending).await? {
            return Ok(already);
        }
        let session = self.log_in_as_admin(&admin, &change.current).await?;
        change.make(session).await
    }

    /// The same without an administrator. Where `current` is refused, since another rotation changed the
    /// password and was cut short, a few of `others` are tried in their order: values that the same login
    /// had or was to have. The first that is let in sets the pending one.
    ///
    /// # Errors
    /// As of [`set`](Self::set).
    pub async fn take_over(
        &self,
        current: &SecretValue,
        others: &[&SecretValue],
        pending: &SecretValue,
    ) -> Result<WasSet, DatabaseError> {
        let change = Change::parse(current, pending)?;
        let Change { current, pending, twins } = &change;
        if let Some(already) = self.is_set(pending).await? {
            return Ok(already);
        }
        if *twins {
            return Err(DatabaseError::AdminNeeded);
        }
        match self.connector.log_in_by_any(current, others, pending).await {
            Ok(session) => change.make(session).await,
            // An earlier attempt, cut off here, may have ended there since we looked.
            Err(refused) => self.is_set(pending).await?.ok_or(refused),
        }
    }

    /// Tries a value by a login on a fresh connection.
    ///
    /// # Errors
    /// Whatever is neither a yes nor a no (too many connections, a server that starts up, network, TLS,
    /// a server that turns away this client before it looks at the password) says nothing about it.
    pub async fn accepts(&self, value: &SecretValue) -> Result<LoginAnswer, DatabaseError> {
        self.answer(&parse(value, Which::Tried)?).await
    }

    /// Takes the password of the user of two that is out of use away, and proves that `old` is refused.
    /// The user stays, without any password, for the next rotation. Done by `admin`, or without one by
    /// the user itself. Whether `current` is accepted is the caller's to know.
    ///
    /// # Errors
    /// Where both values name one user, or `old` is accepted all the same.
    pub async fn retire(
        &self,
        old: &SecretValue,
        current: &SecretValue,
        admin: Option<&SecretValue>,
    ) -> Result<Retired, DatabaseError> {
        let old = parse(old, Which::Old)?;
        let current = parse(current, Which::Current)?;
        let admin = admin.map(|admin| parse(admin, Which::Admin)).transpose()?;
        same_server(&current, &old, Which::Old)?;
        take_turns(&current, &old, Which::Old)?;
        self.forget(&old, admin.as_ref(), false).await
    }

    /// The same for a login that no other one takes turns with now: it has no password from then on. By the
    /// login itself only where none is to follow (`followed`), since it could not take one any more.
    ///
    /// # Errors
    /// Where an administrator is needed, or `old` is accepted all the same.
    pub async fn take_away(
        &self,
        old: &SecretValue,
        admin: Option<&SecretValue>,
        followed: bool,
    ) -> Result<Retired, DatabaseError> {
        let old = parse(old, Which::Old)?;
        let admin = admin.map(|admin| parse(admin, Which::Admin)).transpose()?;
        self.forget(&old, admin.as_ref(), followed).await
    }

    async fn forget(
        &self,
        old: &DatabaseValue,
        admin: Option<&DatabaseValue>,
        admin_needed: bool,
    ) -> Result<Retired, DatabaseError> {
        let session = match self.connector.try_login(old).await? {
            Entry::Refused(Refusal { code }) => return Ok(Retired { already: true, code }),
            Entry::Open(session) => session,
        };
        let session = match admin {
            Some(admin) => {
                session.close().await;
                self.log_in_as_admin(admin, old).await?
            }
            None if admin_needed => return Err(DatabaseError::AdminNeeded),
            None => self.connector.prepare(session).await?,
        };
        roles::forget_password(&session, old.username()).await?;
        session.close().await;
        match self.answer(old).await? {
            LoginAnswer::Refused { code } => Ok(Retired { already: false, code }),
            LoginAnswer::Accepted => Err(DatabaseError::StillAccepted(old.username().to_owned())),
        }
    }

    /// Ends connections of `username`, all but the one that does it, until none is left. `by` is the
    /// user itself, or an administrator (with `pg_signal_backend`, and for
    /// [`Sessions::OpenedBefore`] with `pg_read_all_stats`).
    ///
    /// # Errors
    /// Where some do not end within seconds, or `by` may not end them.
    pub async fn terminate_sessions(
        &self,
        username: &str,
        which: Sessions,
        by: &SecretValue,
    ) -> Result<Terminated, DatabaseError> {
        let by = parse(by, Which::Admin)?;
        let session = self.connector.log_in(&by, Which::Admin).await?;
        let terminated = sessions::terminate(&session, username, which).await?;
        session.close().await;
        Ok(terminated)
    }

    /// An administrator's password goes to no other server than the one that it is for.
    async fn log_in_as_admin(
        &self,
        admin: &DatabaseValue,
        of: &DatabaseValue,
    ) -> Result<Session, DatabaseError> {
        same_server(of, admin, Which::Admin)?;
        self.connector.log_in(admin, Which::Admin).await
    }

    async fn is_set(&self, pending: &DatabaseValue) -> Result<Option<WasSet>, DatabaseError> {
        match self.connector.try_login(pending).await? {
            Entry::Refused(_) => Ok(None),
            Entry::Open(session) => {
                let session = self.connector.prepare(session).await?;
                Ok(Some(WasSet { already: true, at: now(session).await? }))
            }
        }
    }

    async fn answer(&self, login: &DatabaseValue) -> Result<LoginAnswer, DatabaseError> {
        Ok(match self.connector.try_login(login).await? {
            Entry::Open(session) => {
                session.close().await;
                LoginAnswer::Accepted
            }
            Entry::Refused(Refusal { code }) => LoginAnswer::Refused { code },
        })
    }
}
