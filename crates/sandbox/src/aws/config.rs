//! What a sandbox's AWS is started with.

use std::net::SocketAddr;
use std::time::Duration;

use super::throttle::ThrottleRule;

/// How the embedded AWS begins. Nearly all of it can be changed while it runs.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Account numbers (12 digits); each gets a root access key.
    pub accounts: Vec<String>,
    /// How long a change takes to hold, after the control plane shows it.
    pub spread_delay: Duration,
    /// How long a change to a secret takes to arrive in its replicas.
    pub replica_delay: Duration,
    /// The most entries on one page of a listing, whatever the caller asks for.
    pub page_size: usize,
    /// Regions whose credential scope is accepted.
    pub regions: Vec<String>,
    /// Limits on the rate of calls; none by default.
    pub throttles: Vec<ThrottleRule>,
    /// Whether Secrets Manager's published rates are kept as well.
    pub published_rates: bool,
    /// How long each call takes before it is looked at.
    pub latency: Duration,
    /// How many calls each of the logs keeps; the oldest are dropped first.
    pub log_capacity: usize,
    /// Seeds ids and secrets: the same seed and the same calls give the same ones.
    pub seed: u64,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            accounts: vec!["111111111111".to_owned()],
            spread_delay: Duration::ZERO,
            replica_delay: Duration::ZERO,
            page_size: 100,
            regions: DEFAULT_REGIONS.iter().map(|&region| region.to_owned()).collect(),
            throttles: Vec::new(),
            published_rates: false,
            latency: Duration::ZERO,
            log_capacity: 200_000,
            seed: 0,
        }
    }
}

/// The regions that every account has from the start.
/// AWS: Account Management Guide, "Enable or disable AWS Regions in your account".
const DEFAULT_REGIONS: &[&str] = &[
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];
