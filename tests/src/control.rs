//! The sandbox's controls over HTTP; see `severance_sandbox::aws::control`.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use severance_sandbox::aws::control::{SeedRequest, SeededUser, Settings, SettingsPatch, UserSeed};
use severance_sandbox::aws::{Attempt, CallRecord, FaultRule, KeyState, Verdict};

/// Users that are seeded with one request.
const SEED_CHUNK: usize = 1_000;
/// Records that are read with one request.
const LOG_CHUNK: usize = 10_000;

/// Talks to one sandbox.
#[derive(Debug, Clone)]
pub struct Control {
    base: String,
    http: reqwest::Client,
}

impl Control {
    /// `endpoint` is the sandbox's AWS endpoint.
    pub fn new(endpoint: &str) -> Self {
        Self { base: format!("{endpoint}/_sandbox"), http: reqwest::Client::new() }
    }

    /// Whether it serves.
    pub async fn is_up(&self) -> bool {
        let answer = self.http.get(format!("{}/health", self.base)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// The id and the secret half of an account's root key.
    ///
    /// # Panics
    /// When there is no such account.
    pub async fn root_key(&self, account: &str) -> (String, String) {
        let accounts: Vec<Value> = self.get("accounts").await;
        let found = accounts.iter().find(|it| it["account"] == account).expect("the account");
        let text = |key: &str| found[key].as_str().expect("a root key").to_owned();
        (text("root_access_key_id"), text("root_secret_access_key"))
    }

    /// Makes users with their keys, in the order given.
    pub async fn seed(&self, account: &str, users: Vec<UserSeed>) -> Vec<SeededUser> {
        let mut made = Vec::with_capacity(users.len());
        for chunk in users.chunks(SEED_CHUNK) {
            let request = SeedRequest { account: account.to_owned(), users: chunk.to_vec() };
            let answer: Value = self.post("seed", &request).await;
            let users: Vec<SeededUser> = read(answer["users"].clone());
            made.extend(users);
        }
        made
    }

    /// Changes settings.
    pub async fn set(&self, patch: &SettingsPatch) -> Settings {
        let request = self.http.patch(format!("{}/settings", self.base)).json(patch);
        receive(request).await
    }

    /// How long each call takes from now on, in milliseconds.
    pub async fn set_latency(&self, millis: u64) {
        self.set(&SettingsPatch { latency_ms: Some(millis), ..SettingsPatch::default() }).await;
    }

    /// Puts a fault in force; returns its id.
    pub async fn fault(&self, rule: &FaultRule) -> u64 {
        let answer: Value = self.post("faults", rule).await;
        answer["id"].as_u64().expect("the fault's id")
    }

    /// Takes all faults away.
    pub async fn clear_faults(&self) {
        let request = self.http.delete(format!("{}/faults", self.base));
        request.send().await.expect("the sandbox").error_for_status().expect("cleared");
    }

    /// All calls after that sequence number, oldest first.
    pub async fn calls_after(&self, after: u64) -> Vec<CallRecord> {
        self.log("calls", after).await
    }

    /// The calls after that sequence number that changed something, oldest first.
    pub async fn changes_after(&self, after: u64) -> Vec<CallRecord> {
        self.log("changes", after).await
    }

    /// Forgets both logs.
    pub async fn clear_log(&self) {
        let request = self.http.delete(format!("{}/log", self.base));
        request.send().await.expect("the sandbox").error_for_status().expect("cleared");
    }

    /// How keys stand, in the order given.
    pub async fn keys(&self, ids: &[String]) -> Vec<KeyState> {
        self.post("keys", &json!({ "ids": ids })).await
    }

    /// Tries a credential that signs no requests.
    pub async fn attempt(&self, what: &Attempt) -> Verdict {
        self.post("try", what).await
    }

    async fn log(&self, which: &str, mut after: u64) -> Vec<CallRecord> {
        let mut records = Vec::new();
        loop {
            let path = format!("{which}?after={after}&limit={LOG_CHUNK}");
            let page: Vec<CallRecord> = self.get(&path).await;
            let Some(last) = page.last() else { return records };
            after = last.sequence;
            let full = page.len() == LOG_CHUNK;
            records.extend(page);
            if !full {
                return records;
            }
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        receive(self.http.get(format!("{}/{path}", self.base))).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> T {
        receive(self.http.post(format!("{}/{path}", self.base)).json(body)).await
    }
}

async fn receive<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> T {
    let answer = request.send().await.expect("the sandbox's answer");
    let status = answer.status();
    let body = answer.bytes().await.expect("the sandbox's whole answer");
    assert!(status.is_success(), "the sandbox: {status}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).expect("what the sandbox's controls answer")
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("what the sandbox's controls answer")
}
