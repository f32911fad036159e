//! A sandbox with a worker's identity in it: where every scenario begins.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use severance_sandbox::aws::CallRecord;
use severance_sandbox::aws::control::{SeededUser, UserSeed};
use tempfile::TempDir;

use crate::aws::{Key, config};
use crate::publish::Publisher;
use crate::sandbox::Sandbox;
use crate::settings::Settings;
use crate::wait::until;
use crate::worker::Worker;

/// The account of most tests.
pub const ACCOUNT: &str = "111111111111";
/// What lets a user do everything.
pub const ADMINISTRATOR: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

/// A sandbox, an administrator, and what a worker needs.
pub struct World {
    /// The sandbox.
    pub sandbox: Sandbox,
    /// Publishes to its Kafka.
    pub publisher: Publisher,
    /// The administrator's IAM client: people, Terraform, attackers.
    pub admin: aws_sdk_iam::Client,
    /// The key that the worker has.
    pub worker_key: Key,
    admin_config: aws_config::SdkConfig,
    dir: TempDir,
}

impl World {
    /// A sandbox with one account.
    pub async fn new() -> Self {
        Self::with_accounts(&[ACCOUNT]).await
    }

    /// A sandbox with these accounts; the worker and the administrator are of the first.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn with_accounts(accounts: &[&str]) -> Self {
        let dir = TempDir::with_prefix("severance-").expect("a temporary directory");
        let sandbox = Sandbox::start(dir.path(), accounts).await;
        let publisher = Publisher::new(&sandbox.brokers);
        let admin = UserSeed {
            access_keys: 1,
            policies: vec![ADMINISTRATOR.to_owned()],
            ..user("admin", &[])
        };
        let made = sandbox.control.seed(accounts[0], vec![admin]).await;
        let admin_config = config(&sandbox.endpoint, &key_of(&made[0])).await;
        let admin = aws_sdk_iam::Client::new(&admin_config);
        Self {
            publisher,
            admin,
            admin_config,
            worker_key: sandbox.worker_key.clone(),
            sandbox,
            dir,
        }
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Settings of a worker here.
    pub fn settings(&self) -> Settings {
        let Sandbox { brokers, endpoint, .. } = &self.sandbox;
        Settings::new(self.dir.path(), brokers, endpoint, ACCOUNT)
    }

    /// A worker that is not waited for.
    pub fn start(&self, settings: &Settings) -> Worker {
        Worker::start(self.dir.path(), "worker", settings, &self.worker_key)
    }

    /// A worker that is ready.
    pub async fn worker(&self, settings: &Settings) -> Worker {
        let mut worker = self.start(settings);
        worker.ready().await;
        worker
    }

    /// Makes users in the account.
    pub async fn seed(&self, users: Vec<UserSeed>) -> Vec<SeededUser> {
        self.sandbox.control.seed(ACCOUNT, users).await
    }

    /// Makes one user with one key.
    pub async fn seed_one(&self, user: UserSeed) -> (SeededUser, Key) {
        let user = self.seed(vec![user]).await.remove(0);
        let key = key_of(&user);
        (user, key)
    }

    /// The administrator's client for secrets.
    pub fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.admin_config)
    }

    /// Tags each user's secret with the id of the key that it holds, so that the worker need not read
    /// all secrets to find one.
    ///
    /// # Panics
    /// When a secret cannot be tagged.
    pub async fn name_keys_of_secrets(&self, users: &[SeededUser]) {
        let client = self.secrets();
        for user in users {
            let Some(arn) = &user.secret_arn else { continue };
            let tag = aws_sdk_secretsmanager::types::Tag::builder();
            let tag = tag.key("severance:access-key-id").value(key_of(user).id).build();
            client.tag_resource().secret_id(arn).tags(tag).send().await.expect("a tagged secret");
        }
    }

    /// Waits until the worker has listed the account once.
    ///
    /// # Panics
    /// When it does not.
    pub async fn inventory_done(&self, worker: &Worker) {
        until("the first inventory", Duration::from_mins(1), async || {
            let listed = |line: &str| line.starts_with("severance_inventory_identities{");
            worker.api.metrics().await.lines().any(listed).then_some(())
        })
        .await;
    }

    /// What the worker changed so far.
    pub async fn worker_changes(&self) -> Vec<CallRecord> {
        let mut changes = self.sandbox.control.changes_after(0).await;
        changes.retain(|call| call.access_key_id == self.worker_key.id);
        changes
    }
}

/// A user without a key.
pub fn user(name: &str, tags: &[(&str, &str)]) -> UserSeed {
    let tags: BTreeMap<String, String> =
        tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    UserSeed {
        name: name.to_owned(),
        tags,
        access_keys: 0,
        policies: Vec::new(),
        secret: None,
        secret_region: "us-east-1".to_owned(),
    }
}

/// A user with one key whose secret half is in a secret, so that it can be probed. It may do
/// everything, so that nothing but its end keeps it from anything.
pub fn probeable(name: &str, tags: &[(&str, &str)]) -> UserSeed {
    let mut seed = user(name, tags);
    seed.tags.insert("severance:holds".to_owned(), "access-key".to_owned());
    UserSeed { access_keys: 1, secret: Some(format!("{name}/key")), ..seed }
}

/// The first key of a seeded user.
///
/// # Panics
/// When it has none.
pub fn key_of(user: &SeededUser) -> Key {
    let (id, secret) = user.access_keys.first().expect("a user with a key");
    Key::new(id, secret)
}
