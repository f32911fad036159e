//! The embedded Kafka and AWS, set up so that a worker can use them: for `sandbox` and the demo.

use std::fmt::Write as _;

use severance_kafka::TopicNames;
use severance_sandbox::aws::{KeyPair, Sandbox, SandboxConfig, SandboxHandle, SeedError};
use severance_sandbox::kafka::{KafkaOptions, MockKafka};

use crate::error::{Doing, Failure, Outcome};

/// Where secrets are read and keys are probed: two regions, so that death is seen in two places.
pub(crate) const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];

/// The user that the worker is, in the first account.
pub(crate) const WORKER: &str = "severance-worker";
/// The role that it takes in the others.
const ROLE: &str = "severance";

/// What is asked of a sandbox.
pub(crate) struct Wanted {
    /// `None`: a free port.
    pub(crate) kafka_port: Option<u16>,
    pub(crate) aws: SandboxConfig,
    /// Accounts that the worker looks after, the worker's own first.
    pub(crate) ours: Vec<String>,
}

/// A running sandbox with an identity for the worker.
pub(crate) struct Running {
    pub(crate) kafka: MockKafka,
    pub(crate) aws: SandboxHandle,
    pub(crate) worker: KeyPair,
    ours: Vec<String>,
}

/// Starts both, makes the topics, and gives the worker its rights in every account of ours.
pub(crate) async fn start(wanted: Wanted) -> Outcome<Running> {
    let topics = TopicNames::default();
    let kafka = KafkaOptions {
        port: wanted.kafka_port,
        topics: topics.all().iter().map(|(_, name)| ((*name).to_owned(), 3)).collect(),
        ..KafkaOptions::default()
    };
    let kafka = tokio::task::spawn_blocking(move || MockKafka::start(&kafka))
        .await
        .doing("the embedded Kafka broke off")?
        .doing("the embedded Kafka cannot be started")?;
    let aws = Sandbox::start(wanted.aws).await.doing("the embedded AWS cannot be started")?;
    let worker = rights(&aws, &wanted.ours).doing("the worker's identity cannot be made")?;
    let worker = worker.ok_or_else(|| Failure::new("a sandbox needs one account at least"))?;
    Ok(Running { kafka, aws, worker, ours: wanted.ours })
}

fn rights(aws: &SandboxHandle, ours: &[String]) -> Result<Option<KeyPair>, SeedError> {
    let Some((home, others)) = ours.split_first() else { return Ok(None) };
    let worker = aws.seed(home)?.administrator(WORKER)?;
    for account in others {
        let seeder = aws.seed(account)?;
        let trust = trust(&[format!("arn:aws:iam::{home}:user/{WORKER}")]);
        seeder.role(ROLE, &trust, &[])?;
        seeder.attach_role_policy(ROLE, "arn:aws:iam::aws:policy/AdministratorAccess")?;
    }
    Ok(Some(worker))
}

/// A trust policy that lets these principals in.
pub(crate) fn trust(principals: &[String]) -> String {
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"AWS": principals},
            "Action": "sts:AssumeRole"
        }]
    })
    .to_string()
}

impl Running {
    /// The `[kafka]` and `[aws]` sections of a configuration that fits.
    pub(crate) fn sections(&self) -> String {
        let endpoint = self.aws.endpoint();
        let [first, second] = REGIONS;
        let mut text = format!(
            "[kafka]\nbrokers = \"{}\"\n\n[aws]\nregion = \"{first}\"\n\n[aws.endpoints]\n\
             iam = \"{endpoint}\"\nsts = \"{endpoint}\"\nsecretsmanager = \"{endpoint}\"\n",
            self.kafka.bootstrap(),
        );
        for (number, account) in self.ours.iter().enumerate() {
            // Writing into a String does not fail.
            let _ = write!(
                text,
                "\n[[aws.accounts]]\nid = \"{account}\"\nregions = [\"{first}\", \"{second}\"]\n"
            );
            if number > 0 {
                let _ = writeln!(text, "role_arn = \"arn:aws:iam::{account}:role/{ROLE}\"");
            }
        }
        text
    }
}
