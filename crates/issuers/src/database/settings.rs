//! How database servers are reached.

use std::time::Duration;

use crate::tls::Trust;

/// How database servers are reached; the same for all of them.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// Whether and whom to believe.
    pub transport: Transport,
    /// For a whole login: name, connection, TLS, authentication.
    pub connect_timeout: Duration,
    /// For one statement, on the server and here.
    pub statement_timeout: Duration,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            transport: Transport::default(),
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(10),
        }
    }
}

/// How the connection is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS with the server's certificate and name checked (libpq's `verify-full`).
    Verified(Trust),
    /// No TLS. Whoever is on the way reads everything, and a server that asks for the password in
    /// clear gets it: for a socket that nobody else can reach.
    Plaintext,
}

impl Default for Transport {
    fn default() -> Self {
        Self::Verified(Trust::System)
    }
}
