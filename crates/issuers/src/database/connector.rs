//! Logging in: always on a fresh connection, always within a time.

use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{DatabaseError, Which};
use super::refusal::{Refusal, refusal};
use super::session::Session;
use super::settings::{DatabaseSettings, Transport};
use super::value::{DatabaseValue, Engine};
use crate::tls::{TrustError, client_config};

const LOG_IN: &str = "log in";

/// Opens connections.
pub(super) struct Connector {
    /// `None` where the configuration says to do without.
    tls: Option<MakeRustlsConnect>,
    settings: DatabaseSettings,
}

/// What the server said to a login.
pub(super) enum Entry {
    /// Let in.
    Open(Session),
    /// The password is not accepted, or the user may not log in.
    Refused(Refusal),
}

impl Connector {
    pub(super) fn new(settings: DatabaseSettings) -> Result<Self, TrustError> {
        let tls = match &settings.transport {
            Transport::Verified(trust) => Some(MakeRustlsConnect::new(client_config(trust)?)),
            Transport::Plaintext => None,
        };
        Ok(Self { tls, settings })
    }

    /// Tries a login. Anything but a plain yes or no is an error.
    pub(super) async fn try_login(&self, login: &DatabaseValue) -> Result<Entry, DatabaseError> {
        // The client library takes a copy of the password, which it does not wipe.
        let mut config = self.config(login);
        config.password(login.password().reveal());
        match self.connect(login, &config).await? {
            Ok(session) => Ok(Entry::Open(session)),
            Err(error) => match refusal(&error) {
                Some(refusal) => Ok(Entry::Refused(refusal)),
                None => Err(DatabaseError::of(LOG_IN, error)),
            },
        }
    }

    /// The same where being let in is to prove that the password is right: it proves nothing where the
    /// server does not ask *us* for one (`trust`), which says nothing of other clients.
    pub(super) async fn try_password(&self, login: &DatabaseValue) -> Result<Entry, DatabaseError> {
        let entry = self.try_login(login).await?;
        if let Entry::Open(_) = entry
            && let Ok(session) = self.connect(login, &self.config(login)).await?
        {
            session.close().await;
            return Err(DatabaseError::NoPasswordAsked(login.username().to_owned()));
        }
        Ok(entry)
    }

    /// Whether the password of a login without room for one more is right. The server may not have asked for it.
    pub(super) async fn is_right_though_full(
        &self,
        login: &DatabaseValue,
        error: &DatabaseError,
    ) -> Result<bool, DatabaseError> {
        if !error.is_full_behind_password() {
            return Ok(false);
        }
        let unasked = self.connect(login, &self.config(login)).await?;
        let unasked = unasked.map_err(|error| DatabaseError::of(LOG_IN, error));
        Ok(unasked.is_err_and(|error| !error.is_full()))
    }

    async fn connect(
        &self,
        login: &DatabaseValue,
        config: &Config,
    ) -> Result<Result<Session, tokio_postgres::Error>, DatabaseError> {
        let connecting = async {
            match login.engine {
                Engine::Postgres => match &self.tls {
                    Some(tls) => config.connect(tls.clone()).await.map(Session::over),
                    None => config.connect(NoTls).await.map(Session::over),
                },
            }
        };
        let connected = timeout(self.settings.connect_timeout, connecting).await;
        connected.map_err(|_| DatabaseError::Timeout { doing: LOG_IN })
    }

    /// Logs in to do something, which a refusal prevents.
    pub(super) async fn log_in(
        &self,
        login: &DatabaseValue,
        which: Which,
    ) -> Result<Session, DatabaseError> {
        match self.try_login(login).await? {
            Entry::Open(session) => self.prepare(session).await,
            Entry::Refused(Refusal { code }) => {
                let username = login.username().to_owned();
                Err(DatabaseError::Refused { which, username, code })
            }
        }
    }

    /// Makes a session fit for statements: each is bounded, on the server too.
    pub(super) async fn prepare(&self, session: Session) -> Result<Session, DatabaseError> {
        session.limit(self.settings.statement_timeout).await
    }

    /// The same for one that acts on itself.
    pub(super) async fn prepare_itself(&self, session: Session) -> Result<Session, DatabaseError> {
        self.prepare(session).await?.act_as_itself().await
    }

    /// Without the password.
    fn config(&self, login: &DatabaseValue) -> Config {
        let mut config = Config::new();
        config
            .host(login.host())
            .port(login.port())
            .user(login.username())
            .dbname(login.database())
            .application_name("severance")
            .ssl_mode(if self.tls.is_some() { SslMode::Require } else { SslMode::Disable });
        config
    }
}
