//! A server with an application's login on it, and what tests do there.

use postgres_protocol::password::scram_sha_256;
use severance_engine::ports::SecretValue;
use severance_issuers::database::{
    DatabaseIssuer, DatabaseSettings, LoginAnswer, RotationMode, Transport, new_password,
    next_value,
};
use severance_issuers::{RandomnessUnavailable, Trust};
use tokio_postgres::{Client, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::server::{ADMIN, Server};

/// The application's first password.
pub(crate) const FIRST: &str = "F1rstS3cr3tF1rstS3cr3t";

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) issuer: DatabaseIssuer,
}

impl World {
    /// A server with the login `app`.
    pub(crate) async fn new() -> Self {
        Self::over(&[]).await
    }

    /// The same, where the server has more settings.
    pub(crate) async fn over(settings: &[&str]) -> Self {
        let server = Server::start_with(settings);
        let issuer = DatabaseIssuer::new(self::settings(&server)).unwrap();
        let world = Self { server, issuer };
        world.create_login("app", FIRST, "").await;
        world
    }

    /// Makes a login. With a verifier, since the log is looked at later.
    pub(crate) async fn create_login(&self, name: &str, password: &str, attributes: &str) {
        let verifier = scram_sha_256(password.as_bytes());
        self.sql(&format!("CREATE ROLE {name} LOGIN PASSWORD '{verifier}' {attributes}")).await;
    }

    pub(crate) fn admin(&self) -> SecretValue {
        self.value(ADMIN.0, ADMIN.1)
    }

    /// A secret's value for this server.
    pub(crate) fn value(&self, username: &str, password: &str) -> SecretValue {
        let port = self.server.port;
        SecretValue::new(format!(
            r#"{{"engine":"postgres","host":"localhost","port":{port},"username":"{username}","password":"{password}","dbname":"postgres","team":"a"}}"#
        ))
    }

    /// The first value of `app`.
    pub(crate) fn first(&self) -> SecretValue {
        self.value("app", FIRST)
    }

    /// Runs statements as administrator; answers the first column.
    pub(crate) async fn sql(&self, statements: &str) -> Vec<String> {
        let client = self.connect(ADMIN.0, ADMIN.1).await.unwrap();
        let messages = client.simple_query(statements).await.unwrap();
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        });
        rows.collect()
    }

    /// A client of the application's.
    pub(crate) async fn connect(
        &self,
        username: &str,
        password: &str,
    ) -> Result<Client, tokio_postgres::Error> {
        connect(self.server.port, self.tls(), username, password).await
    }

    /// A client with a secret's value.
    pub(crate) async fn open(&self, value: &SecretValue) -> Client {
        let (username, password) = login(value);
        self.connect(&username, &password).await.unwrap()
    }

    pub(crate) fn tls(&self) -> MakeRustlsConnect {
        tls(&self.server)
    }

    pub(crate) async fn is_accepted(&self, value: &SecretValue) -> bool {
        match self.issuer.accepts(value).await.unwrap() {
            LoginAnswer::Accepted => true,
            LoginAnswer::Refused { code } => {
                assert_eq!(code, "28P01");
                false
            }
        }
    }

    /// The log, once it tells of what happened last.
    pub(crate) async fn whole_log(&self) -> String {
        self.sql("SELECT 'the last line'").await;
        // The server wrote the line before it answered; the pipe's reader may be behind.
        loop {
            let log = self.server.log();
            if log.contains("the last line") {
                return log;
            }
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) fn settings(server: &Server) -> DatabaseSettings {
    let trust = Trust::CaFile(server.ca_file());
    DatabaseSettings { transport: Transport::Verified(trust), ..DatabaseSettings::default() }
}

fn tls(server: &Server) -> MakeRustlsConnect {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(server.ca_file()).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    MakeRustlsConnect::new(config)
}

/// As an application does it, by other means than the product's.
pub(crate) async fn connect(
    port: u16,
    tls: MakeRustlsConnect,
    username: &str,
    password: &str,
) -> Result<Client, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    config.host("localhost").port(port).user(username).password(password).dbname("postgres");
    let (client, connection) = config.connect(tls).await?;
    tokio::spawn(async {
        let _ = connection.await;
    });
    Ok(client)
}

/// User and password of a value.
pub(crate) fn login(value: &SecretValue) -> (String, String) {
    let json: serde_json::Value = serde_json::from_str(value.reveal()).unwrap();
    let field = |name: &str| json[name].as_str().unwrap().to_owned();
    (field("username"), field("password"))
}

/// The value after this one, with a new password.
pub(crate) fn next(current: &SecretValue, mode: RotationMode) -> SecretValue {
    let random = |bytes: &mut [u8]| aws_lc_rs::rand::fill(bytes).map_err(|_| RandomnessUnavailable);
    next_value(current, mode, &new_password(&random).unwrap()).unwrap()
}
