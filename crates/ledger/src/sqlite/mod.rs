//! The ledger on `SQLite`: one file, one process.
//!
//! One thread owns the only connection that writes and commits in groups ([`writer`]); a few connections
//! read ([`readers`]). Every other module is a handful of statements on a connection and knows
//! nothing of either.

mod accept;
mod agenda;
mod cases;
mod claim;
mod commands;
mod contracts;
mod earlier;
mod holds;
mod inventory;
mod journal;
mod leases;
mod lock;
mod open;
mod outbox;
mod planning;
mod ports;
mod queries;
mod readers;
mod secrets;
mod step;
mod tasks;
mod writer;

#[cfg(test)]
mod plans;

use std::fmt;

use severance_engine::ports::LedgerError;
use severance_lifecycle::plan::TagKeys;

pub use open::{OpenError, OpenOptions};
use readers::Readers;
use writer::{Urgency, Writer};

use crate::fault::Fault;

/// The ledger on one `SQLite` file. It serves the engine's ports `Inbox`, `Ledger` and `Queries`.
///
/// Dropping it is safe at any moment: what was answered is stored, and what was not is stored whole or
/// not at all. [`close`](Self::close) beside that waits for what is queued and tidies the file.
pub struct SqliteLedger {
    writer: Writer,
    readers: Readers,
    tag_keys: TagKeys,
}

impl fmt::Debug for SqliteLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLedger").field("commits", &self.commits()).finish_non_exhaustive()
    }
}

impl SqliteLedger {
    fn new(writer: Writer, readers: Readers, tag_keys: TagKeys) -> Self {
        Self { writer, readers, tag_keys }
    }

    /// How many commits (each one `fsync`) there were since it was opened. Calls that wait at the same
    /// time share one.
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }

    /// Stores what is queued, closes the file and lets another process have it. Later calls fail.
    ///
    /// # Errors
    /// [`LedgerError::Store`] where the file could not be tidied; everything that was answered is
    /// stored all the same.
    pub async fn close(&self) -> Result<(), LedgerError> {
        self.writer.close().await
    }

    /// Refuses to let the file grow beyond so many pages (of 4 KiB), as a full disk would; `None` lets
    /// it grow again. What is in it stays.
    ///
    /// # Errors
    /// [`LedgerError::Store`]
    pub async fn limit_pages(&self, pages: Option<u32>) -> Result<(), LedgerError> {
        let sql = format!("PRAGMA max_page_count = {}", pages.unwrap_or(u32::MAX - 1));
        self.writer
            .write(Urgency::Urgent, "limit the file", move |connection| {
                let sql = sql.clone();
                Box::pin(async move {
                    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(connection).await?;
                    Ok(())
                })
            })
            .await
    }
}

/// Names the call in an error.
fn during(doing: &'static str) -> impl FnOnce(Fault) -> LedgerError {
    move |fault| fault.during(doing)
}
