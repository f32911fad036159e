//! The stage: the sandbox, and the worker that enters it, in this process.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use severance_issuers::webhook::SigningKey;
use severance_kafka::KafkaConfig;
use severance_sandbox::aws::SandboxConfig;
use tempfile::TempDir;

use super::receiver::{self, Receiver};
use super::scenario::{OURS, PARTNERS, ZONES};
use super::vault::Vault;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::entropy::{self, OsEntropy};
use crate::error::{Doing, Failure, Outcome};
use crate::sandbox::{Running, Wanted, start};
use crate::worker::{self, Surroundings, Worker};

/// How late changes hold in the demo: what is published of AWS.
const SPREAD_DELAY: Duration = Duration::from_secs(3);

/// The file with the key that signs what the webhook is told.
const KEY_FILE: &str = "webhook.key";
/// The webhook's name in tags and configuration.
pub(super) const WEBHOOK: &str = "demo";

/// Everything but the worker.
pub(super) struct Stage {
    pub(super) sandbox: Running,
    pub(super) vault: Vault,
    pub(super) receiver: Receiver,
    config: Config,
    /// The ledger's directory, removed at the end.
    _directory: TempDir,
}

impl Stage {
    /// Starts the sandbox, and the endpoint that the worker is to tell.
    pub(super) async fn set(seed: u64) -> Outcome<Self> {
        let accounts = OURS.iter().chain(&PARTNERS).map(|id| (*id).to_owned()).collect();
        let sandbox = start(Wanted {
            kafka_port: None,
            aws: SandboxConfig {
                accounts,
                spread_delay: SPREAD_DELAY,
                seed,
                ..SandboxConfig::default()
            },
            ours: OURS.iter().map(|id| (*id).to_owned()).collect(),
        })
        .await?;
        let directory = tempfile::tempdir().doing("cannot make a place for the ledger")?;
        let key = entropy::token();
        let key_file = directory.path().join(KEY_FILE);
        std::fs::write(&key_file, &key).doing("cannot write the webhook's key")?;
        let key = SigningKey::new(key.into_bytes()).doing("the webhook's key is no good")?;
        let vault = Vault::open(&sandbox.aws).doing("the secrets' owners cannot be made")?;
        let receiver = Receiver::start(key, vault.clone()).await?;
        let text = configuration(&sandbox, &receiver, directory.path());
        let config = Config::parse("the demo's configuration", &text, &[])
            .doing("the demo's own configuration is wrong")?;
        Ok(Self { sandbox, vault, receiver, config, _directory: directory })
    }

    /// Starts the worker, and waits until it is ready.
    pub(super) async fn enter(&self) -> Outcome<Worker> {
        let worker = &self.sandbox.worker;
        let (id, secret) = (worker.access_key_id.clone(), worker.secret_access_key.clone());
        let credentials = Credentials::new(id, secret, None, None, "demo");
        let around = Surroundings {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            credentials: Some(SharedCredentialsProvider::new(credentials)),
        };
        let worker = worker::start(&self.config, around).await?;
        let ready = async {
            while !worker.parts().ready().await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let ready = tokio::time::timeout(Duration::from_secs(30), ready).await;
        ready.map_err(|_| Failure::new("the worker is not ready after 30 s"))?;
        Ok(worker)
    }

    /// How Kafka is reached.
    pub(super) fn kafka(&self) -> &KafkaConfig {
        &self.config.kafka
    }

    /// Stops the sandbox.
    pub(super) async fn strike(self) {
        self.sandbox.aws.shutdown().await;
    }
}

/// As for a real installation; the windows fit a delay of 3 s, so that the demo ends within a minute.
/// Role sessions are cut: waiting for the longest of them to end takes hours. A grace of seconds is for
/// clients that keep no value.
fn configuration(sandbox: &Running, receiver: &Receiver, directory: &std::path::Path) -> String {
    let ledger = directory.join("demo.db");
    let mut text = sandbox.sections();
    // Writing into a String does not fail.
    let _ = write!(
        text,
        "\n[ledger]\npath = {:?}\n\n[http]\nlisten = \"127.0.0.1:0\"\n\n[engine]\nconcurrency = 32\n\
         \n[zones.default]\nspread = \"5s\"\nroles.assumable = \"cut\"\nroles.shared = \"cut\"\n\
         roles.service = \"cut\"\nsecrets.grace = \"4s\"\n\
         \n[issuers.webhooks.{WEBHOOK}]\nurl = {:?}\nkey_file = {:?}\nfield = {:?}\n",
        ledger.display().to_string(),
        receiver.url(),
        directory.join(KEY_FILE).display().to_string(),
        receiver::FIELD,
    );
    for (zone, account) in ZONES.iter().zip(PARTNERS) {
        let _ = write!(
            text,
            "\n[zones.{zone}]\nmode = \"enforce\"\npartner.accounts = [\"{account}\"]\n"
        );
    }
    text
}
