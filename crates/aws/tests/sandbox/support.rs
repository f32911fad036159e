//! A sandbox with two accounts, a provider into both through roles, and what it admitted and told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use chrono::{DateTime, TimeDelta, Utc};
use severance_aws::{AccountConfig, AwsConfig, AwsProvider, Ports};
use severance_engine::ports::{
    Admission, Api, Applied, Clock, EngineEvent, Look, Observer, Permit, Provider, SecretLook,
};
use severance_lifecycle::action::{
    Action, DenyHandle, DenyOrder, DenyPlace, DenyPurpose, DenyScope,
};
use severance_lifecycle::credential::{RoleRef, Target, UserRef};
use severance_lifecycle::failure::Failure;
use severance_lifecycle::ids::{AccountId, CaseId};
use severance_lifecycle::observe::{KeyView, RoleView, UserView, View};
use severance_lifecycle::task::Lane;
use severance_sandbox::aws::{KeyPair, Sandbox, SandboxConfig, SandboxHandle, Seeder};
use tokio::sync::Notify;

pub(crate) const HOME: &str = "111111111111";
pub(crate) const OTHER: &str = "222222222222";
pub(crate) const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];
const ADMINISTRATOR: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

/// What the provider asked for and told.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) admitted: AtomicUsize,
    pub(crate) throttled: AtomicUsize,
    /// Which APIs throttled, with their regions.
    pub(crate) throttling: Mutex<Vec<(String, Option<String>)>>,
    pub(crate) called: Mutex<Vec<(String, String)>>,
    /// The number of a call that is not admitted until it is let go.
    held: Mutex<Option<(usize, Arc<Notify>)>>,
}

impl Recorder {
    /// Holds up the call that comes after `more` others, so that somebody else can act before it.
    pub(crate) fn hold_after(&self, more: usize) -> Hold<'_> {
        let number = self.admitted.load(Ordering::SeqCst) + more + 1;
        let gate = Arc::new(Notify::new());
        *self.held.lock().unwrap() = Some((number, gate.clone()));
        Hold { recorder: self, number, gate }
    }
}

/// A call that is held up.
pub(crate) struct Hold<'a> {
    recorder: &'a Recorder,
    number: usize,
    gate: Arc<Notify>,
}

impl Hold<'_> {
    /// Waits until the call is due.
    pub(crate) async fn due(&self) {
        let due = || self.recorder.admitted.load(Ordering::SeqCst) >= self.number;
        eventually("the call that is held up is due", due).await;
    }

    /// Lets it go.
    pub(crate) fn release(self) {
        self.gate.notify_one();
    }
}

#[async_trait]
impl Admission for Recorder {
    async fn admit(&self, _: &AccountId, _: Lane) -> Permit {
        let number = self.admitted.fetch_add(1, Ordering::SeqCst) + 1;
        let held = self.held.lock().unwrap().clone();
        if let Some((_, gate)) = held.filter(|(held, _)| *held == number) {
            gate.notified().await;
        }
        Permit::free()
    }

    fn throttled(&self, _: &AccountId) {
        self.throttled.fetch_add(1, Ordering::SeqCst);
    }

    fn throttled_at(&self, account: &AccountId, api: Api<'_>) {
        let api = (api.service.to_owned(), api.region.map(str::to_owned));
        self.throttling.lock().unwrap().push(api);
        self.throttled(account);
    }
}

impl Observer for Recorder {
    fn on(&self, event: &EngineEvent<'_>) {
        if let EngineEvent::Called { operation, code, .. } = event {
            self.called.lock().unwrap().push(((*operation).to_owned(), (*code).to_owned()));
        }
    }
}

/// The sandbox's own clock.
struct SandboxTime(Arc<SandboxHandle>);

#[async_trait]
impl Clock for SandboxTime {
    fn now(&self) -> DateTime<Utc> {
        self.0.clock().now()
    }

    async fn sleep(&self, duration: TimeDelta) {
        tokio::time::sleep(duration.to_std().unwrap_or_default()).await;
    }
}

pub(crate) struct World {
    pub(crate) aws: Arc<SandboxHandle>,
    pub(crate) provider: AwsProvider,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) config: AwsConfig,
    base: KeyPair,
}

pub(crate) async fn world() -> World {
    let accounts = vec![HOME.to_owned(), OTHER.to_owned()];
    let config = SandboxConfig { accounts, ..SandboxConfig::default() };
    let aws = Arc::new(Sandbox::start(config).await.unwrap());
    let base = aws.seed(HOME).unwrap().administrator("severance-base").unwrap();
    let trust = trust(&format!("arn:aws:iam::{HOME}:user/severance-base"));
    for account in [HOME, OTHER] {
        let seed = aws.seed(account).unwrap();
        seed.role("severance", &trust, &[]).unwrap();
        seed.attach_role_policy("severance", ADMINISTRATOR).unwrap();
    }
    let account = |id: &str| AccountConfig {
        id: id.to_owned(),
        role_arn: Some(format!("arn:aws:iam::{id}:role/severance")),
        regions: REGIONS.map(str::to_owned).to_vec(),
        ..AccountConfig::default()
    };
    let mut config =
        AwsConfig { accounts: vec![account(HOME), account(OTHER)], ..AwsConfig::default() };
    config.endpoints.iam = Some(aws.endpoint());
    config.endpoints.sts = Some(aws.endpoint());
    config.endpoints.secretsmanager = Some(aws.endpoint());
    let recorder = Arc::new(Recorder::default());
    let provider = provider(&aws, &config, &recorder, &base).await;
    World { aws, provider, recorder, config, base }
}

async fn provider(
    aws: &Arc<SandboxHandle>,
    config: &AwsConfig,
    recorder: &Arc<Recorder>,
    base: &KeyPair,
) -> AwsProvider {
    let ports = Ports {
        admission: recorder.clone(),
        observer: recorder.clone(),
        clock: Arc::new(SandboxTime(aws.clone())),
    };
    let credentials = SharedCredentialsProvider::new(credentials(base));
    AwsProvider::with_credentials(config, ports, Some(credentials)).await.unwrap()
}

pub(crate) fn credentials(key: &KeyPair) -> Credentials {
    Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "test")
}

impl World {
    /// The same world with a provider that is configured differently.
    pub(crate) async fn configured(mut self, change: impl FnOnce(&mut AwsConfig)) -> Self {
        change(&mut self.config);
        let made = provider(&self.aws, &self.config, &self.recorder, &self.base);
        self.provider = Box::pin(made).await;
        self
    }

    pub(crate) fn seed(&self) -> Seeder<'_> {
        self.aws.seed(HOME).unwrap()
    }

    /// Somebody else with every right: an owner, Terraform, an attacker.
    pub(crate) fn somebody(&self) -> aws_sdk_iam::Client {
        let config = aws_sdk_iam::Config::builder()
            .behavior_version(aws_sdk_iam::config::BehaviorVersion::latest())
            .region(aws_sdk_iam::config::Region::new(REGIONS[0]))
            .endpoint_url(self.aws.endpoint())
            .credentials_provider(credentials(&self.aws.root_key(HOME).unwrap()))
            .build();
        aws_sdk_iam::Client::from_conf(config)
    }

    pub(crate) fn user(&self, name: &str) -> UserRef {
        let id = self.seed().user(name, &[("severance:zone", "acme")]).unwrap();
        UserRef { account: HOME.into(), name: name.to_owned(), id }
    }

    pub(crate) fn key(&self, user: &UserRef) -> KeyPair {
        self.seed().access_key(&user.name).unwrap()
    }

    pub(crate) fn role(&self, name: &str, trust: &str) -> RoleRef {
        let id = self.seed().role(name, trust, &[]).unwrap();
        RoleRef { account: HOME.into(), name: name.to_owned(), id }
    }

    /// A look at a target; what the user had before is not known.
    pub(crate) fn look(&self, target: Target) -> Look {
        Look {
            target,
            case: case(),
            assumable: Vec::new(),
            exposed_since: self.aws.clock().now(),
            known: None,
            old_key: None,
            secret: SecretLook::default(),
            lane: Lane::Compromise,
        }
    }

    pub(crate) async fn key_view(&self, key: &KeyPair, user: &UserRef) -> KeyView {
        let key_id = key.access_key_id.clone();
        let look = self.look(Target::AccessKey { key_id, user: user.clone() });
        self.key_view_of(&look).await
    }

    pub(crate) async fn key_view_of(&self, look: &Look) -> KeyView {
        match self.provider.observe(look).await.unwrap().view {
            View::AccessKey(view) => view,
            other => panic!("not of a key: {other:?}"),
        }
    }

    pub(crate) async fn user_view(&self, user: &UserRef) -> UserView {
        let look = self.look(Target::User { user: user.clone() });
        match self.provider.observe(&look).await.unwrap().view {
            View::User(view) => view,
            other => panic!("not of a user: {other:?}"),
        }
    }

    pub(crate) async fn role_view(&self, role: &RoleRef) -> RoleView {
        let look = self.look(Target::Role { role: role.clone() });
        match self.provider.observe(&look).await.unwrap().view {
            View::Role(view) => view,
            other => panic!("not of a role: {other:?}"),
        }
    }

    pub(crate) async fn act(&self, action: Action) -> Result<Applied, Failure> {
        self.provider.act(&action, Lane::Compromise).await
    }

    pub(crate) async fn deactivate(&self, user: &UserRef, key: &KeyPair) {
        let key_id = key.access_key_id.clone();
        self.act(Action::DeactivateKey { user: user.clone(), key_id }).await.unwrap();
    }

    pub(crate) async fn deny_user(
        &self,
        user: &UserRef,
        deny: DenyOrder,
    ) -> Result<Applied, Failure> {
        self.act(Action::DenyUser { user: user.clone(), deny }).await
    }

    pub(crate) async fn allow_user(
        &self,
        user: &UserRef,
        deny: DenyHandle,
    ) -> Result<Applied, Failure> {
        self.act(Action::AllowUser { user: user.clone(), deny }).await
    }

    /// Whether a request signed with these credentials may list secrets; the refusal's code where not.
    pub(crate) async fn try_with(&self, credentials: Credentials) -> Result<(), String> {
        // Not IAM: it takes no sessions of GetSessionToken (AWS: STS API reference).
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(aws_sdk_secretsmanager::config::BehaviorVersion::latest())
            .region(aws_sdk_secretsmanager::config::Region::new(REGIONS[0]))
            .endpoint_url(self.aws.endpoint())
            .credentials_provider(credentials)
            .build();
        let client = aws_sdk_secretsmanager::Client::from_conf(config);
        client.list_secrets().send().await.map(drop).map_err(|refused| {
            refused.into_service_error().meta().code().unwrap_or("none").to_owned()
        })
    }

    /// A session of the key's user.
    pub(crate) async fn session(&self, key: &KeyPair) -> Credentials {
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(aws_sdk_sts::config::BehaviorVersion::latest())
            .region(aws_sdk_sts::config::Region::new(REGIONS[0]))
            .endpoint_url(self.aws.endpoint())
            .credentials_provider(credentials(key))
            .build();
        let answer = aws_sdk_sts::Client::from_conf(config).get_session_token().send().await;
        let session = answer.unwrap().credentials.unwrap();
        let token = Some(session.session_token);
        Credentials::new(session.access_key_id, session.secret_access_key, token, None, "test")
    }

    /// How often an operation was called by anyone.
    pub(crate) fn calls(&self, operation: &str) -> usize {
        self.aws.log().calls().iter().filter(|call| call.operation == operation).count()
    }

    /// How often an operation changed something.
    pub(crate) fn changes(&self, operation: &str) -> usize {
        self.aws.log().changes().iter().filter(|call| call.operation == operation).count()
    }
}

pub(crate) fn case() -> CaseId {
    CaseId::from("c-0123456789abcdef")
}

pub(crate) fn everything(place: DenyPlace) -> DenyOrder {
    let handle = DenyHandle { case: case(), purpose: DenyPurpose::Everything, place };
    DenyOrder { handle, scope: DenyScope::Everything }
}

pub(crate) fn sessions(place: DenyPlace, cutoff: &str) -> DenyOrder {
    let handle = DenyHandle { case: case(), purpose: DenyPurpose::Sessions, place };
    DenyOrder { handle, scope: DenyScope::SessionsBefore(cutoff.parse().unwrap()) }
}

/// A trust policy for one principal.
pub(crate) fn trust(principal: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"}}]}}"#
    )
}

/// A policy with one statement.
pub(crate) fn policy(effect: &str, action: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Action":"{action}","Resource":"*"}}]}}"#
    )
}

/// Waits until something holds; a minute is long enough on any machine to say that it never will.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_mins(1), waiting).await;
    assert!(waited.is_ok(), "never: {what}");
}
