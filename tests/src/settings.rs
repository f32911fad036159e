//! The worker's configuration, as a file.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// What a test sets of the worker's configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Kafka's address.
    pub brokers: String,
    /// The endpoint of every AWS service.
    pub endpoint: String,
    /// Accounts, all reached with the worker's own credentials.
    pub accounts: Vec<String>,
    /// The ledger's file.
    pub ledger: PathBuf,
    /// Where the local API listens.
    pub listen: SocketAddr,
    /// Lines of `[engine]`.
    pub engine: String,
    /// Lines of `[aws.limits]`.
    pub limits: String,
    /// Lines of `[zones.default]`; its mode is `enforce` unless they say otherwise.
    pub zone: String,
    /// Whole sections.
    pub more: String,
    /// What is logged.
    pub log: String,
}

/// Windows short enough for a test. What they prove is the same: a row of refusals in two regions.
const ZONE: &str = r#"mode = "enforce"
spread = "200ms"
cutoff_margin = "0s"
proof = { refusals = 2, window = "200ms", endpoints = 2, interval = "100ms" }
"#;

impl Settings {
    /// Files go to `dir`.
    pub fn new(dir: &Path, brokers: &str, endpoint: &str, account: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
            endpoint: endpoint.to_owned(),
            accounts: vec![account.to_owned()],
            ledger: dir.join("severance.db"),
            listen: free_address(),
            engine: String::new(),
            limits: String::new(),
            zone: ZONE.to_owned(),
            more: String::new(),
            log: "info".to_owned(),
        }
    }

    /// The file's text.
    pub fn toml(&self) -> String {
        let Self { brokers, endpoint, ledger, listen, engine, limits, zone, more, log, .. } = self;
        let ledger = ledger.display();
        let mut text = format!(
            r#"[ledger]
path = "{ledger}"

[http]
listen = "{listen}"

[log]
format = "json"
filter = "{log}"

[kafka]
brokers = "{brokers}"
# A killed member's partitions are given to the next one after this.
properties = {{ "session.timeout.ms" = 6000, "reconnect.backoff.max.ms" = 500 }}

[aws.endpoints]
iam = "{endpoint}"
sts = "{endpoint}"
secretsmanager = "{endpoint}"

[aws.limits]
{limits}

[engine]
{engine}

[zones.default]
{zone}
{more}
"#
        );
        for account in &self.accounts {
            let regions = r#"["us-east-1", "eu-west-1"]"#;
            let _ = write!(text, "\n[[aws.accounts]]\nid = \"{account}\"\nregions = {regions}\n");
        }
        text
    }
}

/// An address that nobody else will take: tests run at once, each on a loopback address of its own.
///
/// # Panics
/// When the machine has no port left.
pub fn free_address() -> SocketAddr {
    let [_, b, c, d] = std::process::id().to_be_bytes();
    let own = Ipv4Addr::new(127, b.wrapping_add(1), c, d.max(1));
    let listener = TcpListener::bind((own, 0)).expect("a free port");
    listener.local_addr().expect("its address")
}
