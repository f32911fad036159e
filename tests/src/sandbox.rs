//! `severance sandbox` as a process of its own.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::aws::Key;
use crate::binary::severance;
use crate::control::Control;
use crate::process::Process;
use crate::wait::until;

/// A running sandbox.
pub struct Sandbox {
    /// Kafka's address.
    pub brokers: String,
    /// The endpoint of every AWS service.
    pub endpoint: String,
    /// The key that it made for the worker.
    pub worker_key: Key,
    /// Its controls.
    pub control: Control,
    /// The process.
    pub process: Process,
}

impl Sandbox {
    /// Starts one on free ports; changes hold at once and calls take no time until told otherwise.
    /// Its files go to `dir`.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start(dir: &Path, accounts: &[&str]) -> Self {
        let env_file = dir.join("sandbox.env");
        let mut command = Command::new(severance());
        command.args(["sandbox", "--kafka-port", "0", "--aws-port", "0"]);
        command.args(["--spread-delay", "0s", "--latency", "0s", "--env-file"]).arg(&env_file);
        for account in accounts {
            command.args(["--account", account]);
        }
        let mut process = Process::start("the sandbox", command, &dir.join("sandbox.log"));
        let limit = Duration::from_secs(30);
        let (brokers, endpoint, worker_key) = until("the sandbox's addresses", limit, async || {
            assert!(process.has_ended().is_none(), "it ended:\n{}", process.tail());
            addresses(&std::fs::read_to_string(&env_file).ok()?)
        })
        .await;
        let control = Control::new(&endpoint);
        until("the sandbox's AWS", limit, async || control.is_up().await.then_some(())).await;
        Self { brokers, endpoint, worker_key, control, process }
    }
}

/// Kafka's address, the endpoint of AWS and the worker's key, once all are written.
fn addresses(text: &str) -> Option<(String, String, Key)> {
    let lines: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let named = |name: &str| lines.get(name).map(|value| (*value).to_owned());
    let key = Key::new(&named("AWS_ACCESS_KEY_ID")?, &named("AWS_SECRET_ACCESS_KEY")?);
    Some((named("SEVERANCE_SANDBOX_KAFKA")?, named("AWS_ENDPOINT_URL")?, key))
}
