//! A worker's engine over everything real but AWS, for which the sandbox stands.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use chrono::{DateTime, TimeDelta, Utc};
use severance_aws::{AccountConfig, AwsConfig, AwsProvider, Ports};
use severance_engine::ports::{
    Admission, Arrival, CaseDetail, ClaimRequest, Clock, Coordinates, Entropy, Inbox as _, Ledger,
    Message, NewTask, Observer, PlanCommit, PublishError, Publisher, Queries as _,
};
use severance_engine::{
    AdmissionConfig, Engine, EngineConfig, Gate, Growth, Parts, Rate, Retries, Urgency,
};
use severance_issuers::{Database, KnownIssuers, RandomnessUnavailable, Webhook};
use severance_ledger::{OpenOptions, SqliteLedger};
use severance_lifecycle::case::{CaseState, Closing};
use severance_lifecycle::credential::Target;
use severance_lifecycle::event::{
    CompromiseNotice, Event, Payload, Selector, SelectorTarget, Severity, Trigger,
};
use severance_lifecycle::ids::{CaseId, EventKey, TaskId};
use severance_lifecycle::policy::{Desired, Proof};
use severance_lifecycle::record::Record;
use severance_lifecycle::secret::{Issuer, SecretRef};
use severance_lifecycle::task::{Binding, Lane, Mode, Task, TaskState};
use severance_lifecycle::zone::{ZoneSettings, Zones};
use severance_sandbox::aws::{Sandbox, SandboxConfig, SandboxHandle};
use severance_telemetry::{BuildInfo, Metrics, Telemetry};
use severance_tests::wait::until;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const ACCOUNT: &str = "111111111111";
pub(crate) const REGION: &str = "us-east-1";
const LIMIT: Duration = Duration::from_mins(2);

/// The sandbox's clock, which is the worker's too.
pub(crate) struct SandboxTime(Arc<SandboxHandle>);

#[async_trait]
impl Clock for SandboxTime {
    fn now(&self) -> DateTime<Utc> {
        self.0.clock().now()
    }

    async fn sleep(&self, duration: TimeDelta) {
        tokio::time::sleep(duration.to_std().unwrap_or_default()).await;
    }
}

#[derive(Default)]
struct Numbers(AtomicU64);

impl Entropy for Numbers {
    fn next_u64(&self) -> u64 {
        self.0.fetch_add(1, SeqCst)
    }
}

#[derive(Default)]
struct Sent(Mutex<Vec<Message>>);

#[async_trait]
impl Publisher for Sent {
    async fn publish(&self, message: &Message) -> Result<(), PublishError> {
        self.0.lock().unwrap().push(message.clone());
        Ok(())
    }
}

struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Issuers as the engine is given them.
#[derive(Default)]
pub(crate) struct Beyond {
    pub(crate) database: Option<Database>,
    pub(crate) webhooks: BTreeMap<String, Webhook>,
}

pub(crate) struct Rig {
    pub(crate) aws: Arc<SandboxHandle>,
    pub(crate) clock: Arc<SandboxTime>,
    pub(crate) ledger: Arc<SqliteLedger>,
    pub(crate) secrets: aws_sdk_secretsmanager::Client,
    metrics: Arc<Metrics>,
    sent: Arc<Sent>,
    urgency: Arc<Urgency>,
    engine: Option<Running>,
    _folder: TempDir,
}

impl Rig {
    /// Nothing runs yet.
    pub(crate) async fn new() -> Self {
        let accounts = vec![ACCOUNT.to_owned()];
        let config = SandboxConfig { accounts, ..SandboxConfig::default() };
        let aws = Arc::new(Sandbox::start(config).await.unwrap());
        let key = aws.seed(ACCOUNT).unwrap().administrator("owner").unwrap();
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(aws_sdk_secretsmanager::config::BehaviorVersion::latest())
            .region(aws_sdk_secretsmanager::config::Region::new(REGION))
            .endpoint_url(aws.endpoint())
            .credentials_provider(credentials(&key.access_key_id, &key.secret_access_key))
            .build();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let ledger = SqliteLedger::open(path, OpenOptions::default()).await.unwrap();
        Self {
            clock: Arc::new(SandboxTime(Arc::clone(&aws))),
            aws,
            ledger: Arc::new(ledger),
            secrets: aws_sdk_secretsmanager::Client::from_conf(config),
            metrics: Arc::new(Metrics::new(BuildInfo { version: "test" })),
            sent: Arc::default(),
            urgency: Urgency::new(),
            engine: None,
            _folder: folder,
        }
    }

    /// Starts the engine.
    pub(crate) async fn start(&mut self, beyond: Beyond) {
        let observer: Arc<dyn Observer> = Arc::new(Telemetry::new(Arc::clone(&self.metrics)));
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let config = AdmissionConfig {
            concurrency: 16,
            reserved: 0.25,
            rate: Rate { per_second: 10_000, burst: 1_000 },
            rates: [].into(),
        };
        let gate = Gate::new(config, Arc::clone(&self.urgency), Arc::clone(&clock));
        let admission = gate as Arc<dyn Admission>;
        let toward_aws = Ports {
            admission: Arc::clone(&admission),
            observer: Arc::clone(&observer),
            clock: Arc::clone(&clock),
        };
        let key = self.aws.seed(ACCOUNT).unwrap().administrator("severance").unwrap();
        let credentials = credentials(&key.access_key_id, &key.secret_access_key);
        let credentials = Some(SharedCredentialsProvider::new(credentials));
        let config = self.aws_config();
        let made = AwsProvider::with_credentials(&config, toward_aws, credentials);
        let provider = Arc::new(Box::pin(made).await.unwrap());
        let random =
            |bytes: &mut [u8]| aws_lc_rs::rand::fill(bytes).map_err(|_| RandomnessUnavailable);
        let toward_issuers = severance_issuers::Ports {
            admission,
            observer: Arc::clone(&observer),
            clock: Arc::clone(&clock),
        };
        let issuers =
            KnownIssuers::new(beyond.database, beyond.webhooks, Box::new(random), toward_issuers);
        let parts = Parts {
            ledger: Arc::clone(&self.ledger) as Arc<dyn Ledger>,
            store: Arc::clone(&provider) as _,
            provider,
            issuers: Arc::new(issuers),
            publisher: Arc::clone(&self.sent) as _,
            clock,
            entropy: Arc::<Numbers>::default(),
            observer,
            urgency: Arc::clone(&self.urgency),
        };
        let config = EngineConfig {
            poll: TimeDelta::milliseconds(100),
            // An endpoint that cannot read a version yet refuses it, and is asked again.
            retries: Retries { blocked: Growth::millis(50, 200), ..Retries::default() },
            ..EngineConfig::default()
        };
        let engine = Engine::new(config, zones(), parts);
        self.engine = Some(Running(tokio::spawn(async move {
            engine.run(CancellationToken::new()).await;
        })));
    }

    fn aws_config(&self) -> AwsConfig {
        let account = AccountConfig {
            id: ACCOUNT.to_owned(),
            regions: vec![REGION.to_owned(), "eu-west-1".to_owned()],
            ..AccountConfig::default()
        };
        let mut config = AwsConfig { accounts: vec![account], ..AwsConfig::default() };
        config.endpoints.iam = Some(self.aws.endpoint());
        config.endpoints.sts = Some(self.aws.endpoint());
        config.endpoints.secretsmanager = Some(self.aws.endpoint());
        config
    }

    pub(crate) fn secret(&self, name: &str, value: &str) -> SecretRef {
        let arn = self.aws.seed(ACCOUNT).unwrap().secret(REGION, name, value, &[]).unwrap();
        SecretRef { account: ACCOUNT.into(), region: REGION.into(), arn, name: name.to_owned() }
    }

    /// Opens a case whose one task rotates a secret, for a reason.
    pub(crate) async fn rotate(&self, secret: &SecretRef, issuer: Issuer, why: Why) -> CaseId {
        let now = self.clock.now();
        // Not due yet, so that the engine that runs does not plan it before it is planned here.
        let due = now + TimeDelta::minutes(1);
        let event = event(secret, why, now);
        let case = CaseId::of(&event.key);
        let arrival = Arrival {
            coordinates: Coordinates {
                topic: "credential.rotation".into(),
                partition: 0,
                offset: 0,
                timestamp: now,
            },
            key: None,
            value: None,
            headers: Vec::new(),
            parsed: Ok(event),
            received_at: due,
        };
        self.ledger.accept(vec![arrival]).await.unwrap();
        let request = ClaimRequest {
            now: due,
            until: due + TimeDelta::minutes(1),
            token: 4_711,
            least_urgent: Lane::Rest,
            limit: 1,
        };
        let claimed = self.ledger.claim_cases(&request).await.unwrap().remove(0);
        assert_eq!(claimed.case.id, case);
        let task = task(&case, secret, issuer, why, now);
        let plan = PlanCommit {
            in_portions: false,
            state: CaseState::Open,
            tasks: vec![NewTask { task, next_at: now }],
            resolved: Vec::new(),
            journal: Vec::new(),
            messages: Vec::new(),
            again_at: None,
        };
        self.ledger.commit_plan(&claimed.lease, plan).await.unwrap();
        self.urgency.raise();
        self.urgency.written();
        case
    }

    pub(crate) async fn case(&self, case: &CaseId) -> CaseDetail {
        self.ledger.case(case).await.unwrap()
    }

    /// The task of a case, once something holds of it.
    pub(crate) async fn task_until(
        &self,
        what: &str,
        case: &CaseId,
        holds: impl Fn(&Task) -> bool,
    ) -> Task {
        until(what, LIMIT, async || {
            let task = self.case(case).await.tasks.first().map(|it| it.task.clone());
            task.filter(&holds)
        })
        .await
    }

    /// Waits until the case closed with everything done.
    pub(crate) async fn done(&self, case: &CaseId) -> Task {
        let closed = CaseState::Closed { how: Closing::Done };
        until("the case closes", LIMIT, async || {
            let detail = self.case(case).await;
            if let Some(task) = detail.tasks.first()
                && let TaskState::Blocked { reason } = &task.task.state
            {
                panic!("blocked: {reason}");
            }
            (detail.summary.case.state == closed).then_some(())
        })
        .await;
        self.case(case).await.tasks.remove(0).task
    }

    /// The value that a secret hands out, or that a version of it holds.
    pub(crate) async fn value(&self, secret: &SecretRef, version: Option<&str>) -> String {
        let request = self.secrets.get_secret_value().secret_id(&secret.arn);
        let request = request.set_version_id(version.map(str::to_owned));
        request.send().await.unwrap().secret_string.unwrap()
    }

    /// How many versions a secret has, and the ids of those with a label.
    pub(crate) async fn versions(&self, secret: &SecretRef) -> (usize, Vec<String>) {
        let request = self.secrets.list_secret_version_ids().secret_id(&secret.arn);
        let listed = request.include_deprecated(true).send().await.unwrap();
        let versions = listed.versions.unwrap_or_default();
        let labels = versions.iter().flat_map(|it| it.version_stages.clone().unwrap_or_default());
        (versions.len(), labels.collect())
    }

    /// What was published of a type.
    pub(crate) fn published(&self, event_type: &str) -> Vec<serde_json::Value> {
        let typed = |message: &&Message| {
            message.headers.iter().any(|(name, value)| {
                name == "ce_type" && value.as_deref() == Some(event_type.as_bytes())
            })
        };
        let sent = self.sent.0.lock().unwrap();
        let bodies = sent.iter().filter(typed).filter_map(|message| message.value.as_deref());
        bodies.map(|body| serde_json::from_slice(body).unwrap()).collect()
    }

    /// Everything that was said: the journals and the messages. No secret may be in it.
    pub(crate) async fn said(&self, cases: &[&CaseId]) -> String {
        let mut said = String::new();
        for case in cases {
            let detail = format!("{:?}", self.case(case).await);
            said.push_str(&detail);
        }
        for message in self.sent.0.lock().unwrap().iter() {
            said += &String::from_utf8_lossy(message.value.as_deref().unwrap_or_default());
        }
        said
    }

    /// The value of a metric's line that has these parts.
    pub(crate) fn metric(&self, parts: &[&str]) -> Option<f64> {
        let text = self.metrics.render(None);
        let line = text.lines().find(|line| parts.iter().all(|part| line.contains(part)))?;
        line.rsplit(' ').next()?.parse().ok()
    }
}

/// Why a secret is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Routine,
    Compromise(Severity),
    /// It is not: its contract ends, and it with it.
    End,
}

fn credentials(id: &str, secret: &str) -> Credentials {
    Credentials::new(id, secret, None, None, "test")
}

fn event(secret: &SecretRef, why: Why, at: DateTime<Utc>) -> Event {
    let target = SelectorTarget::Secret(secret.arn.clone());
    let notice = CompromiseNotice {
        credentials: vec![Selector { target, account: None, region: None }],
        discovered_at: at,
        severity: Severity::High,
        reporter: "soc".into(),
        reason: "a test".into(),
        ticket: None,
        evidence_url: None,
    };
    let key = EventKey { source: "/test".into(), id: format!("{why:?} of {}", secret.name) };
    Event { key, time: None, payload: Payload::CompromiseNotice(notice), digest: "d".into() }
}

fn task(case: &CaseId, secret: &SecretRef, issuer: Issuer, why: Why, now: DateTime<Utc>) -> Task {
    let target = Target::Secret { secret: secret.clone(), issuer };
    let (trigger, severity) = match why {
        Why::Routine => (Trigger::Rotation, None),
        Why::Compromise(severity) => (Trigger::CompromiseNotice, Some(severity)),
        Why::End => (Trigger::ContractEnd, None),
    };
    let desired = if why == Why::End { Desired::Revoked } else { Desired::Rotated };
    Task {
        cause: None,
        id: TaskId::of(case, &target.key(), desired.as_str()),
        case: case.clone(),
        desired,
        binding: Binding { zone: "acme".into(), contract: None, owner: None, tier: None },
        trigger,
        severity,
        ticket: None,
        lane: Lane::of(trigger, desired),
        mode: Mode::Enforce,
        noticed_at: now,
        received_at: now,
        planned_at: now,
        deadline: now + TimeDelta::hours(1),
        assumable: Vec::new(),
        leaving: std::collections::BTreeSet::new(),
        credentials: 1,
        counts: true,
        grace: None,
        undoes: None,
        delete_after: None,
        state: TaskState::Open,
        record: Record::default(),
        accepted_at: None,
        verified_at: None,
        target,
    }
}

/// Everything is enforced, and proven in a moment; the grace is short.
fn zones() -> Zones {
    let proof = Proof {
        window: TimeDelta::milliseconds(200),
        interval: TimeDelta::milliseconds(100),
        ..Proof::default()
    };
    let default = ZoneSettings {
        mode: Mode::Enforce,
        proof,
        grace: TimeDelta::seconds(2),
        spread: TimeDelta::milliseconds(100),
        cutoff_margin: TimeDelta::milliseconds(100),
        ..ZoneSettings::default()
    };
    Zones { default, ..Zones::default() }
}
