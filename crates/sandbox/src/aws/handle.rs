//! The embedder's hold on a running sandbox.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::clock::SandboxClock;
use super::config::SandboxConfig;
use super::faults::Faults;
use super::log::CallLog;
use super::seed::{KeyPair, SeedError, Seeder};
use super::server::{Shared, serve};
use super::state::KeyStatus;
use super::state::world::bounded;
use super::throttle::ThrottleRule;
use super::try_credential::{Attempt, Verdict, attempt};

/// Starts sandboxes.
#[derive(Debug, Clone, Copy)]
pub struct Sandbox;

/// Why a sandbox could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The address is taken, or may not be listened on.
    #[error("the sandbox cannot listen on {address}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// An account number that is not 12 digits.
    #[error("{0:?} is not an account number: 12 digits are needed")]
    Account(String),
}

/// A running sandbox. It stops when the handle is dropped.
pub struct SandboxHandle {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl std::fmt::Debug for SandboxHandle {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("SandboxHandle").field("address", &self.address).finish_non_exhaustive()
    }
}

/// How an access key stands, by what is enforced and not by what is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyState {
    /// The key.
    pub access_key_id: String,
    /// Its account.
    pub account: String,
    /// Whether a request signed with it is accepted now.
    pub accepted: bool,
    /// When it stopped being accepted, or will once the change has spread.
    pub stopped_at: Option<DateTime<Utc>>,
}

impl Sandbox {
    /// Starts an AWS on the configured address, inside the current tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be listened on or an account number is malformed.
    pub async fn start(config: SandboxConfig) -> Result<SandboxHandle, SandboxError> {
        for account in &config.accounts {
            if account.len() != 12 || !account.bytes().all(|it| it.is_ascii_digit()) {
                return Err(SandboxError::Account(account.clone()));
            }
        }
        let address = config.listen;
        let listen = |source| SandboxError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let shared = Arc::new(Shared::new(&config));
        let server = tokio::spawn(serve(listener, shared.clone()));
        Ok(SandboxHandle { shared, address, server })
    }
}

impl SandboxHandle {
    /// The URL to give to the SDK as the endpoint of every service.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The accounts, in the order of their numbers.
    pub fn accounts(&self) -> Vec<String> {
        self.shared.world().accounts.keys().cloned().collect()
    }

    /// The access key of an account's root user, which may do everything in it (but take roles).
    ///
    /// # Errors
    /// When there is no such account.
    pub fn root_key(&self, account: &str) -> Result<KeyPair, SeedError> {
        self.seed(account)?.root_key()
    }

    /// Makes things in an account at once: no rate limit, no spreading, no log.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn seed(&self, account: &str) -> Result<Seeder<'_>, SeedError> {
        Seeder::new(&self.shared, account)
    }

    /// The faults in force.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// The logs of calls.
    pub fn log(&self) -> &CallLog {
        drop(self.shared.world()); // what fell due belongs into it
        &self.shared.log
    }

    /// The sandbox's clock.
    pub fn clock(&self) -> &SandboxClock {
        &self.shared.clock
    }

    /// How long changes made from now on take to hold.
    pub fn set_spread_delay(&self, delay: Duration) {
        self.shared.world().settings.spread_delay = bounded(delay);
    }

    /// How long changes to secrets take to arrive in their replicas, from now on.
    pub fn set_replica_delay(&self, delay: Duration) {
        self.shared.world().settings.replica_delay = bounded(delay);
    }

    /// Makes every change made so far hold at once, as if its delay had passed.
    pub fn settle(&self) {
        let now = self.shared.clock.now();
        self.shared.world().settle(now);
    }

    /// The largest page of a listing, from now on.
    pub fn set_page_size(&self, size: usize) {
        self.shared.world().settings.page_size = size.max(1);
    }

    /// The regions whose credential scope is accepted, from now on.
    pub fn set_regions(&self, regions: Vec<String>) {
        self.shared.world().settings.regions = regions;
    }

    /// The rate limits, from now on; all buckets start full.
    pub fn set_throttles(&self, rules: Vec<ThrottleRule>) {
        self.shared.throttles.set(rules);
    }

    /// Whether Secrets Manager's published rates are kept, from now on; all buckets start full.
    pub fn keep_published_rates(&self, keep: bool) {
        self.shared.throttles.keep_published(keep);
    }

    /// How long each call takes from now on.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.set_latency(latency);
    }

    /// How an access key stands, if it was ever made here.
    pub fn key_state(&self, access_key_id: &str) -> Option<KeyState> {
        self.shared.key_state(access_key_id)
    }

    /// Tries a credential that signs no requests (a password, an SSH key, …).
    pub fn try_credential(&self, what: &Attempt) -> Verdict {
        let world = self.shared.world();
        attempt(&world, &world.moment(self.shared.clock.now()), what)
    }

    /// Stops listening and closes every connection.
    pub async fn shutdown(mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }
}

impl Drop for SandboxHandle {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    pub(crate) fn key_state(&self, id: &str) -> Option<KeyState> {
        let world = self.world();
        let at = world.moment(self.clock.now());
        world.keys.get(id).map(|key| KeyState {
            access_key_id: key.id.clone(),
            account: key.account.clone(),
            accepted: *key.status.holding(&at) == KeyStatus::Active,
            stopped_at: key.stopped_at,
        })
    }
}
