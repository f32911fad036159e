//! Taking a password away, and proving that the old value is refused.

use severance_engine::ports::SecretValue;

use super::change::{parse, same_server, take_turns};
use super::connector::Entry;
use super::error::{DatabaseError, Which};
use super::issuer::{DatabaseIssuer, LoginAnswer};
use super::roles;
use super::session::Session;
use super::sessions::{self, Sessions};
use super::value::DatabaseValue;

/// The old value is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retired {
    /// It was so before: nothing was changed.
    pub already: bool,
    /// SQLSTATE of the refusal that proves it.
    pub code: String,
    /// What it had opened was ended too, and nobody can come in any more who had begun to before.
    pub sessions_ended: bool,
}

/// Why a login loses its password.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The other one of two took its turn.
    InTurns,
    /// It is to be given another one next.
    BeforeNext,
    /// No other one will follow.
    ForGood,
}

/// What was found before a password is taken away.
enum Found {
    /// The old value is refused as it is.
    Refused(String),
    /// Who may take it away.
    May {
        session: Session,
        /// There was no room for the login: whoever fills it up would hide that it is refused.
        full: bool,
    },
}

impl DatabaseIssuer {
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
        self.forget(&old, admin.as_ref(), Ending::InTurns).await
    }

    /// The same for a login that no other one takes turns with now: it has no password from then on. By the
    /// login itself only where none is to follow (`followed`), since it could not take one any more; its
    /// sessions end with it then, on the same connection, for as long as clients may still come in.
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
        let ending = if followed { Ending::BeforeNext } else { Ending::ForGood };
        self.forget(&old, admin.as_ref(), ending).await
    }

    async fn forget(
        &self,
        old: &DatabaseValue,
        admin: Option<&DatabaseValue>,
        ending: Ending,
    ) -> Result<Retired, DatabaseError> {
        let (session, full) = match self.look_before(old, admin, ending).await? {
            Found::Refused(code) => {
                return Ok(Retired { already: true, code, sessions_ended: false });
            }
            Found::May { session, full } => (session, full),
        };
        let username = old.username();
        roles::forget_password(&session, username).await?;
        if full {
            sessions::terminate(&session, username, Sessions::All).await?;
        }
        let by_itself = admin.is_none() && ending == Ending::ForGood;
        let sessions_ended = by_itself && sessions::end_for_good(&session, username).await?;
        session.close().await;
        match self.answer(old).await? {
            LoginAnswer::Refused { code } => Ok(Retired { already: false, code, sessions_ended }),
            LoginAnswer::Accepted => Err(DatabaseError::StillAccepted(username.to_owned())),
        }
    }

    async fn look_before(
        &self,
        old: &DatabaseValue,
        admin: Option<&DatabaseValue>,
        ending: Ending,
    ) -> Result<Found, DatabaseError> {
        let (session, full) = match self.connector.try_password(old).await {
            // Switched off by somebody, who may switch it on again with its password.
            Ok(Entry::Refused(refused)) if admin.is_some() && refused.password_is_right() => {
                (None, false)
            }
            Ok(Entry::Refused(refused)) => return Ok(Found::Refused(refused.code)),
            Ok(Entry::Open(session)) => (Some(session), false),
            // It is right, or a secret could have the password taken away of a login that it only names.
            Err(error)
                if error.is_full_behind_password()
                    && admin.is_some()
                    && ending != Ending::InTurns =>
            {
                (None, true)
            }
            Err(error) => return Err(error),
        };
        let session = match (session, admin) {
            (session, Some(admin)) => {
                if let Some(session) = session {
                    session.close().await;
                }
                self.log_in_as_admin(admin, old).await?
            }
            (Some(session), None) if ending != Ending::BeforeNext => {
                self.connector.prepare_itself(session).await?
            }
            (_, None) => return Err(DatabaseError::AdminNeeded),
        };
        Ok(Found::May { session, full })
    }
}
