//! The durable state: inbox, cases, tasks, timers, outbox and inventory.
//!
//! One ledger, embedded: [`SqliteLedger`] serves the engine's ports `Inbox`, `Ledger` and `Queries` on
//! one file. What is common to every store (how domain values become columns) is in [`codec`] and
//! knows no SQL; another store is a module beside [`sqlite`].
//!
//! # Guarantees
//! - A call that returned is durable: WAL with `synchronous=FULL`, so it survives a power cut.
//! - A call is stored whole or not at all, whatever happens to the process.
//! - A call that failed with `LedgerError::Store`, or whose reply was lost, may have been stored:
//!   calling again is safe (at least once, effects idempotent).
//! - Callers that wait at the same time share one commit (group commit), those of the compromise lane
//!   first.
//!
//! # Timers
//! There is no timer wheel: a moment is a column (`cases.due_at`, `tasks.next_at`, the leases' ends), so
//! every timer survives a restart. `Ledger::agenda` tells the next one.

#![forbid(unsafe_code)]

mod codec;
mod fault;
mod sqlite;

pub use sqlite::{OpenError, OpenOptions, SqliteLedger};
