//! The sections that are the command's own. Kafka's and AWS's belong to their adapters.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use severance_lifecycle::plan::TagKeys;
use severance_telemetry::LogFormat;

use super::{Problem, Span};

/// `[ledger]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LedgerSection {
    /// The file.
    pub(crate) path: PathBuf,
}

impl Default for LedgerSection {
    fn default() -> Self {
        Self { path: "severance.db".into() }
    }
}

/// `[inventory]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct InventorySection {
    /// How often every account is listed.
    pub(crate) refresh: Span,
    /// Which tag keys bind an identity.
    pub(crate) tags: TagsSection,
}

impl Default for InventorySection {
    fn default() -> Self {
        Self { refresh: Span::seconds(3_600), tags: TagsSection::default() }
    }
}

/// `[inventory.tags]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TagsSection {
    zone: String,
    contract: String,
    owner: String,
    tier: String,
    shared: String,
}

impl Default for TagsSection {
    fn default() -> Self {
        let TagKeys { zone, contract, owner, tier, shared } = TagKeys::default();
        Self { zone, contract, owner, tier, shared }
    }
}

impl InventorySection {
    pub(crate) fn tag_keys(&self) -> TagKeys {
        let TagsSection { zone, contract, owner, tier, shared } = self.tags.clone();
        TagKeys { zone, contract, owner, tier, shared }
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let TagsSection { zone, contract, owner, tier, shared } = &self.tags;
        let mut seen = BTreeSet::new();
        let keys = [
            ("zone", zone),
            ("contract", contract),
            ("owner", owner),
            ("tier", tier),
            ("shared", shared),
        ];
        let mut problems: Vec<_> = keys
            .into_iter()
            .filter_map(|(name, key)| {
                let why = if key.is_empty() {
                    "is empty"
                } else if seen.insert(key.to_ascii_lowercase()) {
                    return None;
                } else {
                    "is the same tag as another one here"
                };
                Some(Problem::new(format!("inventory.tags.{name}"), why))
            })
            .collect();
        if self.refresh.is_zero() {
            problems.push(Problem::new("inventory.refresh", "must be longer than nothing"));
        }
        problems
    }
}

/// `[engine]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EngineSection {
    /// Provider calls in flight at once.
    pub(crate) concurrency: usize,
    /// The share of slots and rates that only compromise work uses.
    pub(crate) reserved_share: f64,
    /// Tasks that are worked on at once.
    pub(crate) tasks: usize,
    /// A case of more credentials than this is held until a person releases it.
    pub(crate) blast_radius: usize,
    /// How long a claim lasts without renewal.
    pub(crate) lease: Span,
    /// How long a blocked task waits for its next try, at first.
    pub(crate) retry_blocked: Span,
    /// And at most, after it failed often.
    pub(crate) retry_blocked_at_most: Span,
    /// How often a finished task is looked at again while its quarantine lasts.
    pub(crate) recheck: Span,
    /// How long a stop waits for calls in flight.
    pub(crate) drain: Span,
    /// Calls a second to each account, at most.
    pub(crate) rate: RateSection,
    /// By account.
    pub(crate) rates: BTreeMap<String, RateSection>,
}

/// `[engine.rate]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateSection {
    /// Calls a second.
    pub(crate) per_second: u32,
    /// So many at once after a pause.
    pub(crate) burst: u32,
}

impl Default for EngineSection {
    fn default() -> Self {
        Self {
            concurrency: 64,
            reserved_share: 0.25,
            tasks: 128,
            blast_radius: 100,
            lease: Span::seconds(90),
            retry_blocked: Span::seconds(5 * 60),
            retry_blocked_at_most: Span::seconds(6 * 3_600),
            recheck: Span::seconds(86_400),
            drain: Span::seconds(25),
            rate: RateSection { per_second: 2_000, burst: 100 },
            rates: BTreeMap::new(),
        }
    }
}

impl EngineSection {
    /// `call`: how long one provider call may take with everything before it.
    pub(super) fn problems(&self, call: Duration) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |key: &str, holds: bool, why: &str| {
            if !holds {
                problems.push(Problem::new(format!("engine.{key}"), why));
            }
        };
        check("concurrency", self.concurrency > 0, "must be at least 1");
        check("tasks", self.tasks > 0, "must be at least 1");
        check("blast_radius", self.blast_radius > 0, "must be at least 1");
        let share = (0.0..1.0).contains(&self.reserved_share);
        check("reserved_share", share, "must be at least 0 and less than 1");
        // A lease must outlive the longest call, or its task is taken over while it runs.
        let least = (call * 3).max(Duration::from_secs(45));
        let why = format!(
            "must be at least {}: three calls of aws.timeouts.operation",
            humantime::format_duration(least)
        );
        check("lease", self.lease.std() >= least, &why);
        check("drain", !self.drain.is_zero(), "must be longer than nothing");
        check("retry_blocked", !self.retry_blocked.is_zero(), "must be longer than nothing");
        let grows = self.retry_blocked_at_most >= self.retry_blocked;
        check("retry_blocked_at_most", grows, "must be at least retry_blocked");
        check("recheck", !self.recheck.is_zero(), "must be longer than nothing");
        for (key, rate) in [("rate".to_owned(), &self.rate)]
            .into_iter()
            .chain(self.rates.iter().map(|(id, rate)| (format!("rates.{id}"), rate)))
        {
            let whole = rate.per_second > 0 && rate.burst > 0;
            check(&key, whole, "per_second and burst must be at least 1");
        }
        for id in self.rates.keys() {
            let account = id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit());
            check(&format!("rates.{id}"), account, "not an account id: twelve digits");
        }
        problems
    }
}

/// `[http]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HttpSection {
    /// Where the console listens.
    pub(crate) listen: SocketAddr,
    /// Names beside `localhost` that it answers to.
    pub(crate) hosts: Vec<String>,
    /// The file with the token that writes need; beside the ledger where none is named.
    pub(crate) token_file: Option<PathBuf>,
}

impl Default for HttpSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464),
            hosts: Vec::new(),
            token_file: None,
        }
    }
}

impl HttpSection {
    /// The token's file: as configured, or beside the ledger.
    pub(crate) fn token_path(&self, ledger: &Path) -> PathBuf {
        self.token_file.clone().unwrap_or_else(|| {
            let mut name = ledger.as_os_str().to_owned();
            name.push(".token");
            PathBuf::from(name)
        })
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        self.hosts
            .iter()
            .enumerate()
            .filter(|(_, host)| host.is_empty() || host.contains(['/', ':', '*']))
            .map(|(n, _)| Problem::new(format!("http.hosts[{n}]"), "is not a plain host name"))
            .collect()
    }
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogSection {
    /// For people or for machines.
    pub(crate) format: LogFormat,
    /// In the syntax of `tracing`'s `EnvFilter`.
    pub(crate) filter: String,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { format: LogFormat::Human, filter: "info".into() }
    }
}

impl LogSection {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let refused = severance_telemetry::check_filter(&self.filter).err();
        refused
            .map(|error| Problem::new("log.filter", severance_telemetry::Chain(&error).to_string()))
            .into_iter()
            .collect()
    }
}

/// `[protected]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ProtectedSection {
    /// ARNs of users and roles that are never touched.
    pub(crate) break_glass: BTreeSet<String>,
}

impl ProtectedSection {
    pub(super) fn problems(&self) -> Vec<Problem> {
        self.break_glass
            .iter()
            .filter(|arn| !is_identity(arn))
            .map(|arn| {
                let why = format!("{arn:?} is not the ARN of a user or a role");
                Problem::new("protected.break_glass", why)
            })
            .collect()
    }
}

fn is_identity(arn: &str) -> bool {
    let mut parts = arn.splitn(6, ':');
    let (scheme, service) = (parts.next(), parts.nth(1));
    let resource = parts.nth(2).unwrap_or_default();
    scheme == Some("arn")
        && service == Some("iam")
        && (resource.starts_with("user/") || resource.starts_with("role/"))
}
