//! `severance check`

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use severance_aws::{AwsProvider, PermissionReport, Ports, RequiredPermission};
use severance_engine::ports::{Admission, Clock, Permit};
use severance_issuers::database::AdministratorRights;
use severance_issuers::{Administrator, KnownIssuers};
use severance_kafka::KafkaConfig;
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::task::Lane;
use severance_telemetry::Chain;

use crate::args::Global;
use crate::client::required;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::error::{Failure, Outcome};
use crate::output::{self, Format};

/// How long Kafka has for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// One thing that was checked.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    ok: bool,
    detail: String,
}

impl Finding {
    fn new(what: impl Into<String>, ok: bool, detail: impl Into<String>) -> Self {
        Self { what: what.into(), ok, detail: detail.into() }
    }
}

/// Checks the configuration, Kafka and every account; fails where anything is missing.
pub(crate) async fn run(global: &Global, format: Format) -> Outcome {
    let config = required(global)?;
    let mut findings = vec![Finding::new("configuration", true, "valid")];
    findings.extend(zones(&config));
    findings.extend(kafka(config.kafka.clone()).await);
    findings.extend(accounts(&config).await);
    findings.extend(issuers(&config).await);
    match format {
        Format::Json => output::json(&findings),
        Format::Human => {
            for Finding { what, ok, detail } in &findings {
                output::line(format!("{}  {what}: {detail}", if *ok { "ok  " } else { "FAIL" }));
            }
        }
    }
    match findings.iter().filter(|finding| !finding.ok).count() {
        0 => Ok(()),
        1 => Err(Failure::new("1 check failed")),
        n => Err(Failure::new(format!("{n} checks failed"))),
    }
}

/// Says which zones may change anything: the mistake to catch is in either direction.
fn zones(config: &Config) -> Vec<Finding> {
    let zones = config.zones();
    let mode = |mode| match mode {
        severance_lifecycle::task::Mode::Enforce => "enforce",
        severance_lifecycle::task::Mode::Observe => "observe: nothing in it is changed",
    };
    let mut findings = vec![Finding::new("zone (every other)", true, mode(zones.default.mode))];
    for (name, settings) in &zones.named {
        findings.push(Finding::new(format!("zone {name}"), true, mode(settings.mode)));
    }
    let warnings = config.zones.warnings().into_iter();
    findings.extend(warnings.map(|it| Finding::new(it.key, true, format!("warning: {}", it.why))));
    findings
}

async fn kafka(config: KafkaConfig) -> Vec<Finding> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let brokers = config.brokers.clone();
    let asked =
        tokio::task::spawn_blocking(move || severance_kafka::reach(&config, clock, PATIENCE)).await;
    match asked {
        Err(panicked) => vec![Finding::new("kafka", false, panicked.to_string())],
        Ok(Err(error)) => vec![Finding::new("kafka", false, Chain(&error).to_string())],
        Ok(Ok(reached)) => {
            let count = reached.brokers;
            let mut findings =
                vec![Finding::new("kafka", true, format!("{count} brokers at {brokers}"))];
            findings.extend(reached.topics.into_iter().map(|topic| {
                let what = format!("topic {}", topic.name);
                match topic.partitions {
                    Ok(partitions) => Finding::new(what, true, format!("{partitions} partitions")),
                    Err(why) => Finding::new(what, false, why),
                }
            }));
            findings
        }
    }
}

/// Nothing else calls while this command runs: every call may start.
struct Everyone;

#[async_trait::async_trait]
impl Admission for Everyone {
    async fn admit(&self, _: &AccountId, _: Lane) -> Permit {
        Permit::free()
    }

    fn throttled(&self, _: &AccountId) {}
}

/// Each endpoint is asked about a version that no secret has: whoever answers that knows our key.
async fn issuers(config: &Config) -> Vec<Finding> {
    let ports = severance_issuers::Ports {
        admission: Arc::new(Everyone),
        observer: Arc::new(()),
        clock: Arc::new(SystemClock),
    };
    let issuers = match crate::worker::known_issuers(&config.issuers, ports) {
        Ok(issuers) => issuers,
        Err(failure) => return vec![Finding::new("issuers", false, failure.to_string())],
    };
    let reached = issuers.reach_webhooks().await.into_iter().map(|(name, reached)| {
        let what = format!("webhook {name}");
        match reached {
            Ok(()) => Finding::new(what, true, "answers, and knows the signing key"),
            Err(failure) => Finding::new(what, false, failure.to_string()),
        }
    });
    let mut findings: Vec<_> = reached.collect();
    if config.issuers.database.as_ref().is_some_and(|it| !it.administrators().is_empty()) {
        findings.extend(administrators(config, &issuers).await);
    }
    findings
}

/// Each is logged in as: whether it may do what is asked of it would else show in an emergency.
async fn administrators(config: &Config, issuers: &KnownIssuers) -> Vec<Finding> {
    let provider = match AwsProvider::new(&config.aws, ports()).await {
        Ok(provider) => provider,
        Err(error) => return vec![Finding::new("aws", false, Chain(&error).to_string())],
    };
    let reached = issuers.reach_administrators(&provider).await.into_iter();
    let told = reached.map(|(Administrator { host, port, secret }, rights)| {
        let what = format!("administrator of {host}:{port}");
        let with = format!("with secret {}", secret.arn);
        match rights {
            Err(failure) => Finding::new(what, false, format!("{with}: {failure}")),
            Ok(AdministratorRights { username, missing }) if missing.is_empty() => Finding::new(
                what,
                true,
                format!("logs in as {username}, and may do what is needed {with}"),
            ),
            Ok(AdministratorRights { username, missing }) => {
                let missing = missing.join(", ");
                Finding::new(what, false, format!("{with}: {username} lacks {missing}"))
            }
        }
    });
    told.collect()
}

fn ports() -> Ports {
    Ports { admission: Arc::new(Everyone), observer: Arc::new(()), clock: Arc::new(SystemClock) }
}

async fn accounts(config: &Config) -> Vec<Finding> {
    let provider = match AwsProvider::new(&config.aws, ports()).await {
        Ok(provider) => provider,
        Err(error) => return vec![Finding::new("aws", false, Chain(&error).to_string())],
    };
    let mut findings = Vec::new();
    for account in &config.aws.accounts {
        let what = format!("account {}", account.id);
        let id = AccountId(account.id.clone());
        match provider.check_permissions(&id).await {
            Err(failure) => findings.push(Finding::new(what, false, failure.to_string())),
            Ok(report) => findings.extend(permissions(&what, &report)),
        }
    }
    findings
}

fn permissions(what: &str, report: &PermissionReport) -> Vec<Finding> {
    let mut findings = vec![Finding::new(what, true, format!("reached as {}", report.identity))];
    let need = |permission: &RequiredPermission| {
        format!("{} (for {})", permission.action, permission.purpose)
    };
    findings.extend(report.missing.iter().map(|permission| {
        Finding::new(what, false, format!("permission missing: {}", need(permission)))
    }));
    if !report.unchecked.is_empty() {
        let actions: Vec<_> = report.unchecked.iter().map(|p| p.action).collect();
        let detail = format!(
            "could not be told without iam:SimulatePrincipalPolicy: {}",
            actions.join(", ")
        );
        findings.push(Finding::new(what, true, detail));
    }
    findings
}
