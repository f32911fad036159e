//! `severance run` as a process of its own, and its local API.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use severance_engine::ports::{CaseDetail, CaseSummary, Counts, TaskDetail};

use crate::aws::Key;
use crate::binary::severance;
use crate::process::Process;
use crate::settings::Settings;
use crate::wait::until;

/// How long a worker may take until it is ready. A killed one's Kafka membership has to run out.
const READY: Duration = Duration::from_mins(1);

/// How long a drain may take: the worker's own deadline, and some.
const DRAIN: Duration = Duration::from_secs(40);

/// A worker.
#[derive(Debug)]
pub struct Worker {
    /// The process.
    pub process: Process,
    /// Its local API.
    pub api: Api,
    command: Launch,
}

#[derive(Debug, Clone)]
struct Launch {
    config: PathBuf,
    log: PathBuf,
    key: (String, String),
}

impl Worker {
    /// Starts one with this configuration and these credentials; does not wait until it is ready.
    ///
    /// # Panics
    /// When the configuration cannot be written.
    pub fn start(dir: &Path, name: &str, settings: &Settings, key: &Key) -> Self {
        let config = dir.join(format!("{name}.toml"));
        std::fs::write(&config, settings.toml()).expect("the configuration is written");
        let log = dir.join(format!("{name}.log"));
        let command = Launch { config, log, key: (key.id.clone(), key.secret.clone()) };
        let mut token = settings.ledger.clone().into_os_string();
        token.push(".token");
        let api = Api {
            base: format!("http://{}", settings.listen),
            token: token.into(),
            http: reqwest::Client::new(),
        };
        Self { process: command.start(), api, command }
    }

    /// Waits until every part of it is ready.
    ///
    /// # Panics
    /// When it ends, or does not get ready.
    pub async fn ready(&mut self) {
        let Self { process, api, .. } = self;
        until("a ready worker", READY, async || {
            assert!(process.has_ended().is_none(), "the worker ended:\n{}", process.tail());
            api.is_ready().await.then_some(())
        })
        .await;
    }

    /// SIGKILL; nothing of it runs when this returns.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM, and waits until it has drained.
    ///
    /// # Panics
    /// When it does not end, or not well.
    pub async fn stop(&mut self) {
        self.process.terminate();
        let status = self.process.ended(DRAIN).await;
        assert!(status.success(), "the worker ended with {status}:\n{}", self.process.tail());
    }

    /// Starts it again with the same configuration. It must have ended.
    pub fn restart(&mut self) {
        self.process = self.command.start();
    }

    /// What `severance check --json` says of its configuration.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn check(&self) -> Output {
        let mut command = self.command.command("check");
        command.arg("--json").output().expect("the command runs")
    }

    /// Resident memory in bytes.
    ///
    /// # Panics
    /// Where there is no `/proc`.
    pub fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).expect("the process's status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).expect("KiB");
        kib * 1024
    }
}

impl Launch {
    fn start(&self) -> Process {
        Process::start("the worker", self.command("run"), &self.log)
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(severance());
        command
            .args([name, "--config"])
            .arg(&self.config)
            .env("AWS_ACCESS_KEY_ID", &self.key.0)
            .env("AWS_SECRET_ACCESS_KEY", &self.key.1)
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }
}

/// The local API of a worker.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    token: PathBuf,
    http: reqwest::Client,
}

impl Api {
    /// Whether every part is ready.
    pub async fn is_ready(&self) -> bool {
        let answer = self.http.get(format!("{}/readyz", self.base)).send().await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    }

    /// The metrics, as text; empty while the worker does not answer.
    pub async fn metrics(&self) -> String {
        match self.http.get(format!("{}/metrics", self.base)).send().await {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// How many of everything; `None` while the worker does not answer.
    pub async fn counts(&self) -> Option<Counts> {
        let summary: serde_json::Value = self.get("summary").await?;
        serde_json::from_value(summary["counts"].clone()).ok()
    }

    /// Cases of an event.
    ///
    /// # Panics
    /// When the worker does not answer.
    pub async fn cases_of(&self, event_id: &str) -> Vec<CaseSummary> {
        self.get(&format!("cases?event_id={event_id}")).await.expect("the worker's cases")
    }

    /// All cases, at most `limit`.
    ///
    /// # Panics
    /// When the worker does not answer.
    pub async fn cases(&self, limit: usize) -> Vec<CaseSummary> {
        self.get(&format!("cases?limit={limit}")).await.expect("the worker's cases")
    }

    /// The one case of an event, with everything, once it exists and fits.
    ///
    /// # Panics
    /// When there is none within `limit`.
    pub async fn case_when(
        &self,
        event_id: &str,
        limit: Duration,
        fits: impl Fn(&CaseDetail) -> bool,
    ) -> CaseDetail {
        let what = format!("the case of {event_id}");
        let mut last = None;
        let found = tokio::time::timeout(
            limit,
            until(&what, limit * 2, async || {
                let summaries: Vec<CaseSummary> =
                    self.get(&format!("cases?event_id={event_id}")).await?;
                let case = &summaries.first()?.case;
                let detail: CaseDetail = self.get(&format!("cases/{}", case.id)).await?;
                let fit = fits(&detail);
                last = Some(detail.clone());
                fit.then_some(detail)
            }),
        )
        .await;
        found.unwrap_or_else(|_| panic!("waited {limit:?} in vain for {what}; it is {last:#?}"))
    }

    /// The one case of an event, once it is closed.
    pub async fn closed(&self, event_id: &str, limit: Duration) -> CaseDetail {
        self.case_when(event_id, limit, |detail| detail.summary.case.state.as_str() == "closed")
            .await
    }

    /// Tasks.
    ///
    /// # Panics
    /// When the worker does not answer.
    pub async fn tasks(&self, state: &str, limit: usize) -> Vec<TaskDetail> {
        let path = format!("tasks?state={state}&limit={limit}");
        self.get(&path).await.expect("the worker's tasks")
    }

    /// Lets a held case go.
    ///
    /// # Panics
    /// When the worker refuses.
    pub async fn release(&self, case: &str) {
        self.post(&format!("cases/{case}/release")).await;
    }

    /// Runs blocked tasks now.
    ///
    /// # Panics
    /// When the worker refuses.
    pub async fn retry_all(&self) {
        self.post("tasks/retry").await;
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        let answer = self.http.get(format!("{}/api/v1/{path}", self.base)).send().await.ok()?;
        let answer = answer.error_for_status().ok()?;
        let body = answer.bytes().await.ok()?;
        Some(serde_json::from_slice(&body).expect("what the worker's API answers"))
    }

    async fn post(&self, path: &str) {
        let token = std::fs::read_to_string(&self.token).expect("the worker's token");
        let request = self.http.post(format!("{}/api/v1/{path}", self.base));
        let answer = request.bearer_auth(token.trim()).send().await.expect("the worker");
        let status = answer.status();
        let body = answer.text().await.unwrap_or_default();
        assert!(status.is_success(), "{path}: {status}: {body}");
    }
}
