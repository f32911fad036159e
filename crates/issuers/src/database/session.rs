//! One connection to PostgreSQL, each of whose statements is bounded.

use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Connection, Row};

use super::error::DatabaseError;

/// For saying goodbye, which nobody waits for long.
const GOODBYE: Duration = Duration::from_secs(1);

/// Until `limit` was called.
const UNLIMITED: Duration = Duration::from_mins(1);

/// An open connection.
pub(super) struct Session {
    client: Client,
    driver: Driver,
    timeout: Duration,
}

/// Moves the bytes; stops when it is dropped.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Session {
    pub(super) fn over<S, T>((client, connection): (Client, Connection<S, T>)) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let driver = tokio::spawn(async {
            // Its error is also the error of the statement that was under way.
            let _ = connection.await;
        });
        Self { client, driver: Driver(driver), timeout: UNLIMITED }
    }

    /// Bounds every statement from here on, on the server too, so that none goes on unseen. What the login
    /// or the database has as its defaults neither stands in the way nor says which functions are run.
    pub(super) async fn limit(mut self, limit: Duration) -> Result<Self, DatabaseError> {
        self.timeout = limit;
        let milliseconds = limit.as_millis().max(1);
        let statements = format!(
            "SET statement_timeout = {milliseconds}; SET default_transaction_read_only = off; \
             SET search_path = pg_catalog, pg_temp"
        );
        self.execute("limit statements", &statements).await?;
        Ok(self)
    }

    /// Acts as the user that logged in, even where `ALTER ROLE … SET role` makes it another: that one may
    /// not change its password. Not for an administrator, who may have its rights by it.
    pub(super) async fn act_as_itself(self) -> Result<Self, DatabaseError> {
        self.execute("act as the login itself", "SET ROLE NONE").await?;
        Ok(self)
    }

    /// Runs statements; more than one are one transaction.
    pub(super) async fn execute(
        &self,
        doing: &'static str,
        statements: &str,
    ) -> Result<(), DatabaseError> {
        self.within(doing, self.client.batch_execute(statements)).await
    }

    /// Asks for rows.
    pub(super) async fn query(
        &self,
        doing: &'static str,
        statement: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, DatabaseError> {
        self.within(doing, self.client.query_typed(statement, parameters)).await
    }

    /// Says goodbye, so that the server does not log a connection that was lost.
    pub(super) async fn close(self) {
        let Self { client, mut driver, .. } = self;
        drop(client);
        let _ = timeout(GOODBYE, &mut driver.0).await;
    }

    async fn within<T>(
        &self,
        doing: &'static str,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, DatabaseError> {
        match timeout(self.timeout, answer).await {
            Err(_) => Err(DatabaseError::Timeout { doing }),
            Ok(answer) => answer.map_err(|error| DatabaseError::of(doing, error)),
        }
    }
}
