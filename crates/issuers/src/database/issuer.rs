//! The operations of a rotation at a database. Each looks first, and can be repeated after a crash.

use severance_engine::ports::SecretValue;

use super::change::{Change, WasSet, now, parse, same_server};
use super::connector::{Connector, Entry};
use super::error::{DatabaseError, Which};
use super::refusal::Refusal;
use super::session::Session;
use super::sessions::{self, Sessions, Terminated};
use super::settings::DatabaseSettings;
use super::value::DatabaseValue;
use crate::tls::TrustError;

/// Sets, tries and takes away passwords of PostgreSQL logins.
pub struct DatabaseIssuer {
    pub(super) connector: Connector,
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
        let Some(admin) = admin else {
            return self.take_over(current, &[], pending, false).await;
        };
        let change = Change::parse(current, pending)?;
        let admin = parse(admin, Which::Admin)?;
        match self.is_set(&change.pending, false).await {
            Ok(Some(already)) => return Ok(already),
            // Whoever fills the login up must not keep its password from changing.
            Err(error) if !error.is_full() => return Err(error),
            Ok(None) | Err(_) => {}
        }
        let session = self.log_in_as_admin(&admin, &change.current).await?;
        let set = change.make(&session).await?;
        session.close().await;
        Ok(set)
    }

    /// The same without an administrator. Where `current` is refused, since another rotation changed the
    /// password and was cut short, a few of `others` are tried in their order: values that the same login
    /// had or was to have. The first that is let in sets the pending one, and where asked to (`end_sessions`),
    /// ends what was opened before on the same connection, which nobody can take from it.
    ///
    /// # Errors
    /// As of [`set`](Self::set).
    pub async fn take_over(
        &self,
        current: &SecretValue,
        others: &[&SecretValue],
        pending: &SecretValue,
        end_sessions: bool,
    ) -> Result<WasSet, DatabaseError> {
        let change = Change::parse(current, pending)?;
        let Change { current, pending, twins } = &change;
        if let Some(already) = self.is_set(pending, end_sessions).await? {
            return Ok(already);
        }
        if *twins {
            return Err(DatabaseError::AdminNeeded);
        }
        let session = match self.connector.log_in_by_any(current, others, pending).await {
            Ok(session) => session,
            // An earlier attempt, cut off here, may have ended there since we looked.
            Err(refused) => return self.is_set(pending, end_sessions).await?.ok_or(refused),
        };
        let set = change.make(&session).await?;
        end_earlier(&session, pending, set, end_sessions).await?;
        session.close().await;
        Ok(set)
    }

    /// Tries a value by a login on a fresh connection.
    ///
    /// # Errors
    /// Whatever is neither a yes nor a no (too many connections, a server that starts up, network, TLS,
    /// a server that turns away this client before it looks at the password) says nothing about it.
    pub async fn accepts(&self, value: &SecretValue) -> Result<LoginAnswer, DatabaseError> {
        self.answer(&parse(value, Which::Tried)?).await
    }

    /// Ends connections of a login, all but the one that does it, until none is left. It is done by the first
    /// of `by` that is let in: the login itself, or an administrator (with `pg_signal_backend`, and for
    /// [`Sessions::OpenedBefore`] with `pg_read_all_stats`).
    ///
    /// # Errors
    /// Where some do not end within seconds, or nobody may end them.
    pub async fn terminate_sessions(
        &self,
        of: &SecretValue,
        which: Sessions,
        by: &[&SecretValue],
    ) -> Result<Terminated, DatabaseError> {
        let of = parse(of, Which::Tried)?;
        let session = self.log_in_to_end(&of, by).await?;
        let terminated = sessions::terminate(&session, of.username(), which).await?;
        session.close().await;
        Ok(terminated)
    }

    /// The first of them that is let in: one that is refused, or finds no room, leaves it to the next.
    async fn log_in_to_end(
        &self,
        of: &DatabaseValue,
        by: &[&SecretValue],
    ) -> Result<Session, DatabaseError> {
        let mut refused = DatabaseError::AdminNeeded;
        for by in by {
            let by = parse(by, Which::Admin)?;
            same_server(of, &by, Which::Admin)?;
            let itself = by.username() == of.username();
            let which = if itself { Which::Current } else { Which::Admin };
            match self.connector.log_in(&by, which).await {
                Ok(session) if itself => return session.act_as_itself().await,
                Ok(session) => return Ok(session),
                Err(error @ (DatabaseError::Refused { .. } | DatabaseError::Server { .. })) => {
                    refused = error;
                }
                Err(error) => return Err(error),
            }
        }
        Err(refused)
    }

    /// An administrator's password goes to no other server than the one that it is for.
    pub(super) async fn log_in_as_admin(
        &self,
        admin: &DatabaseValue,
        of: &DatabaseValue,
    ) -> Result<Session, DatabaseError> {
        same_server(of, admin, Which::Admin)?;
        self.connector.log_in(admin, Which::Admin).await
    }

    async fn is_set(
        &self,
        pending: &DatabaseValue,
        end_sessions: bool,
    ) -> Result<Option<WasSet>, DatabaseError> {
        let Entry::Open(session) = self.connector.try_password(pending).await? else {
            return Ok(None);
        };
        let session = self.connector.prepare_itself(session).await?;
        let set = WasSet { already: true, at: now(&session).await? };
        end_earlier(&session, pending, set, end_sessions).await?;
        session.close().await;
        Ok(Some(set))
    }

    pub(super) async fn answer(&self, login: &DatabaseValue) -> Result<LoginAnswer, DatabaseError> {
        match self.connector.try_password(login).await {
            Ok(Entry::Open(session)) => {
                session.close().await;
                Ok(LoginAnswer::Accepted)
            }
            Ok(Entry::Refused(Refusal { code })) => Ok(LoginAnswer::Refused { code }),
            // Whoever has the password could hide by filling the login up that it works.
            Err(error) if self.connector.is_right_though_full(login, &error).await? => {
                Ok(LoginAnswer::Accepted)
            }
            Err(error) => Err(error),
        }
    }
}

/// By the login itself, which needs no rights for it.
async fn end_earlier(
    session: &Session,
    login: &DatabaseValue,
    set: WasSet,
    end_sessions: bool,
) -> Result<(), DatabaseError> {
    if end_sessions {
        sessions::terminate(session, login.username(), Sessions::OpenedBefore(set.at)).await?;
    }
    Ok(())
}
