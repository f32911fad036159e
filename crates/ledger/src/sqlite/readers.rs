//! Connections that only read. In WAL mode they see every commit that was answered, and never wait
//! for the writer.

use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard};

/// A fixed few. (sqlx's own pool waits with timeouts, and those fire at once under virtual time.)
pub(super) struct Readers {
    connections: Vec<Mutex<SqliteConnection>>,
    next: AtomicUsize,
}

impl Readers {
    pub(super) async fn connect(
        options: &SqliteConnectOptions,
        count: usize,
    ) -> Result<Self, sqlx::Error> {
        let mut connections = Vec::with_capacity(count.max(1));
        for _ in 0..count.max(1) {
            connections.push(Mutex::new(options.connect().await?));
        }
        Ok(Self { connections, next: AtomicUsize::new(0) })
    }

    /// One that is free, or the next in turn.
    pub(super) async fn take(&self) -> MutexGuard<'_, SqliteConnection> {
        if let Some(free) = self.connections.iter().find_map(|c| c.try_lock().ok()) {
            return free;
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        self.connections[turn].lock().await
    }
}
