//! What goes wrong inside, before it is told to the engine as a [`LedgerError`].

use std::sync::Arc;

use severance_engine::ports::LedgerError;
use thiserror::Error;

/// A failure of one statement or value.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    /// The store refused or failed.
    #[error("the store failed")]
    Store(#[source] sqlx::Error),
    /// What is stored cannot be read back, or cannot be written down.
    #[error("a stored {what} cannot be read")]
    Value {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The others of the same commit failed, so this is not stored either.
    #[error("the commit failed")]
    Commit(#[source] Arc<sqlx::Error>),
    /// The ledger was closed.
    #[error("the ledger is closed")]
    Closed,
    /// The answer that the caller is to get.
    #[error(transparent)]
    Refused(LedgerError),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error)
    }
}

impl From<LedgerError> for Fault {
    fn from(error: LedgerError) -> Self {
        Self::Refused(error)
    }
}

impl Fault {
    /// What the engine is told.
    pub(crate) fn during(self, doing: &'static str) -> LedgerError {
        match self {
            Self::Refused(error) => error,
            Self::Store(error) => LedgerError::Store { doing, source: Box::new(error) },
            other => LedgerError::Store { doing, source: Box::new(other) },
        }
    }

    /// The lease is not the caller's any more.
    pub(crate) fn lease_lost(what: impl Into<String>) -> Self {
        Self::Refused(LedgerError::LeaseLost { what: what.into() })
    }

    /// There is no such thing.
    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::Refused(LedgerError::NotFound { what: what.into() })
    }

    /// It is not in a state in which that can be done.
    pub(crate) fn conflict(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Refused(LedgerError::Conflict { what: what.into(), why: why.into() })
    }
}
