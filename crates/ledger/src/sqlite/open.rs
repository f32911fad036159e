//! Opening a ledger file: the lock, the schema's version, the connections.

use std::path::{Path, PathBuf};
use std::time::Duration;

use severance_lifecycle::plan::TagKeys;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use thiserror::Error;

use super::SqliteLedger;
use super::lock::FileLock;
use super::readers::Readers;
use super::writer::Writer;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// How a ledger is opened. The defaults keep a worker within 40 MB.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Which tags bind an identity to its zone and contract: what selectors of these are looked up by.
    pub tag_keys: TagKeys,
    /// Connections that read; at least one.
    pub readers: usize,
    /// Page cache of the writing connection, in KiB.
    pub writer_cache_kib: u32,
    /// Page cache of each reading connection, in KiB.
    pub reader_cache_kib: u32,
    /// How long to wait for a lock that another program (a backup, `sqlite3`) holds on the database.
    pub busy_timeout: Duration,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            tag_keys: TagKeys::default(),
            readers: 3,
            writer_cache_kib: 8 * 1024,
            reader_cache_kib: 2 * 1024,
            busy_timeout: Duration::from_secs(5),
        }
    }
}

/// Why a ledger cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it. One ledger file serves one worker.
    #[error("the ledger {} is in use by {}", path.display(), holder(*pid))]
    InUse {
        /// The ledger.
        path: PathBuf,
        /// The process that has it, where it said so.
        pid: Option<u32>,
    },
    /// It was written by a newer version of Severance.
    #[error(
        "the ledger {} has schema version {found}; this version of Severance knows up to {known}: \
         use the version that wrote it, or a newer one",
        path.display()
    )]
    Newer {
        /// The ledger.
        path: PathBuf,
        /// The file's schema version.
        found: i64,
        /// The highest version known here.
        known: i64,
    },
    /// The file or its directory cannot be used, or is no ledger.
    #[error("the ledger {} cannot be opened", path.display())]
    Unusable {
        /// The ledger.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl SqliteLedger {
    /// Opens the ledger at `path`, which is made where there is none, and brings its schema up to
    /// date. Leases found in it are given back: whoever had them is gone, since a ledger has one
    /// process.
    ///
    /// # Errors
    /// [`OpenError`]
    pub async fn open(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let lock = FileLock::take(path)?;
        let unusable = |source: sqlx::Error| OpenError::Unusable {
            path: path.to_owned(),
            source: Box::new(source),
        };
        private(path)
            .map_err(|e| OpenError::Unusable { path: path.to_owned(), source: Box::new(e) })?;
        let connect = connect_options(path, &options);
        let mut writer = connect
            .clone()
            .pragma("cache_size", format!("-{}", options.writer_cache_kib))
            .connect()
            .await
            .map_err(unusable)?;
        migrate(&mut writer, path).await?;
        super::leases::free_all(&mut writer).await.map_err(unusable)?;
        let read = connect
            .read_only(true)
            .create_if_missing(false)
            .pragma("cache_size", format!("-{}", options.reader_cache_kib));
        let readers = Readers::connect(&read, options.readers).await.map_err(unusable)?;
        let writer = Writer::start(writer, lock).map_err(|e| unusable(sqlx::Error::Io(e)))?;
        Ok(Self::new(writer, readers, options.tag_keys))
    }
}

fn connect_options(path: &Path, options: &OpenOptions) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(options.busy_timeout)
        .pragma("temp_store", "memory")
        // The write-ahead log shrinks to this after a burst.
        .pragma("journal_size_limit", "16777216")
        .statement_cache_capacity(128)
        .disable_statement_logging()
}

/// Events may say what nobody else should read: the file is made for its owner alone, and `SQLite` gives
/// the write-ahead log the same permissions.
fn private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::File::options();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

async fn migrate(connection: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let unusable = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Unusable {
        path: path.to_owned(),
        source,
    };
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
    let found = version(connection).await.map_err(|e| unusable(Box::new(e)))?;
    if found > known {
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    MIGRATIONS.run_direct(None, connection, false).await.map_err(|e| unusable(Box::new(e)))
}

/// The schema version of the file; 0 where it is new.
async fn version(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let tables: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'",
    )
    .fetch_one(&mut *connection)
    .await?;
    if tables == 0 {
        return Ok(0);
    }
    sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations")
        .fetch_one(connection)
        .await
}

/// Puts what is in the write-ahead log into the file and closes the connection.
pub(super) async fn shut(mut connection: SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
    connection.close().await
}
