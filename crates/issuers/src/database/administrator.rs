//! Whether an administrator may do what a rotation asks of it. Changes nothing.

use severance_engine::ports::SecretValue;

use super::change::parse;
use super::error::{DatabaseError, Which};
use super::issuer::DatabaseIssuer;

/// An administrator that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdministratorRights {
    /// Its login.
    pub username: String,
    /// The rights that it lacks, as PostgreSQL calls them.
    pub missing: Vec<&'static str>,
}

impl DatabaseIssuer {
    /// Logs in as the administrator of this server, and asks what it may do. On PostgreSQL 16 and later one
    /// with `CREATEROLE` also needs the admin option on each login, which shows at that login alone.
    ///
    /// # Errors
    /// Where the value is not what it must be, is for another server, or is not let in.
    pub async fn rights(
        &self,
        admin: &SecretValue,
        host: &str,
        port: u16,
    ) -> Result<AdministratorRights, DatabaseError> {
        const ASK: &str = "SELECT rolsuper OR rolcreaterole, \
             rolsuper OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE') \
             FROM pg_catalog.pg_roles WHERE rolname = current_user";
        const RIGHTS: [&str; 2] = ["CREATEROLE", "pg_signal_backend"];
        let admin = parse(admin, Which::Admin)?;
        if !admin.is_at(host, port) {
            return Err(DatabaseError::OtherServer(Which::Admin));
        }
        let session = self.connector.log_in(&admin, Which::Admin).await?;
        let rows = session.query("read the administrator's rights", ASK, &[]).await?;
        session.close().await;
        let row = rows.first();
        let has = |number: usize| row.is_some_and(|row| row.get(number));
        let missing = RIGHTS.iter().enumerate().filter(|(number, _)| !has(*number));
        Ok(AdministratorRights {
            username: admin.username().to_owned(),
            missing: missing.map(|(_, right)| *right).collect(),
        })
    }
}
