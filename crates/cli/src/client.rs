//! The commands' side of the worker's local API.

use std::path::Path;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use severance_console::{ErrorBody, Released, Retried, Summary, Token};
use severance_engine::ports::{CaseDetail, CaseFilter, CaseSummary, TaskDetail, TaskFilter};

use crate::args::{Global, url_of};
use crate::config::{Config, DEFAULT_FILE, HttpSection};
use crate::error::{Doing, Failure, Outcome};

/// Talks to one worker.
#[derive(Debug)]
pub(crate) struct Client {
    base: String,
    token: Option<Token>,
    http: reqwest::Client,
}

impl Client {
    /// From the flags, and where they say nothing from the configuration, where there is one.
    pub(crate) fn new(global: &Global) -> Outcome<Self> {
        let config = configured(global)?;
        let base = match (&global.api, &config) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, Some(config)) => url_of(config.http.listen),
            (None, None) => url_of(HttpSection::default().listen),
        };
        let token = match (&global.token, &config) {
            (Some(text), _) => Some(
                Token::new(text.clone())
                    .ok_or_else(|| Failure::new("the token is shorter than 32 characters"))?,
            ),
            (None, Some(config)) => read_token(&config.http.token_path(&config.ledger.path)),
            (None, None) => None,
        };
        Self::to(base, token)
    }

    /// To a worker at a known place.
    pub(crate) fn to(base: String, token: Option<Token>) -> Outcome<Self> {
        let http = reqwest::Client::builder()
            .timeout(std::time::Duration::from_secs(30))
            // The API is on this machine; a proxy would see the token.
            .no_proxy()
            // Nor does it speak TLS: a system without CA certificates is no reason to fail.
            .tls_certs_only([])
            .build()
            .doing("cannot set up HTTP")?;
        Ok(Self { base, token, http })
    }

    pub(crate) async fn cases(&self, filter: &CaseFilter) -> Outcome<Vec<CaseSummary>> {
        self.send(self.get("/api/v1/cases").query(filter)).await
    }

    pub(crate) async fn case(&self, id: &str) -> Outcome<CaseDetail> {
        self.send(self.get(&format!("/api/v1/cases/{id}"))).await
    }

    /// A case that may not be there yet.
    pub(crate) async fn case_if_known(&self, id: &str) -> Outcome<Option<CaseDetail>> {
        let (status, body) = self.answer(self.get(&format!("/api/v1/cases/{id}"))).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        read(status, &body).map(Some)
    }

    pub(crate) async fn summary(&self) -> Outcome<Summary> {
        self.send(self.get("/api/v1/summary")).await
    }

    pub(crate) async fn tasks(&self, filter: &TaskFilter) -> Outcome<Vec<TaskDetail>> {
        self.send(self.get("/api/v1/tasks").query(filter)).await
    }

    pub(crate) async fn retry(&self, task: Option<&str>) -> Outcome<Retried> {
        let path = match task {
            Some(id) => format!("/api/v1/tasks/{id}/retry"),
            None => "/api/v1/tasks/retry".to_owned(),
        };
        self.send(self.post(&path)?).await
    }

    pub(crate) async fn release(&self, case: &str) -> Outcome<Released> {
        self.send(self.post(&format!("/api/v1/cases/{case}/release"))?).await
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.http.request(Method::GET, format!("{}{path}", self.base))
    }

    fn post(&self, path: &str) -> Outcome<RequestBuilder> {
        let token = self.token.as_ref().ok_or_else(|| {
            Failure::new(
                "this needs the worker's token: give --token, or --config so that its token file \
                 is found",
            )
        })?;
        let request = self.http.request(Method::POST, format!("{}{path}", self.base));
        Ok(request.bearer_auth(token.expose()))
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Outcome<T> {
        let (status, body) = self.answer(request).await?;
        read(status, &body)
    }

    async fn answer(&self, request: RequestBuilder) -> Outcome<(StatusCode, Vec<u8>)> {
        let response = request.send().await.doing(format!(
            "cannot reach the worker at {}: is `severance run` running there? (--api says where)",
            self.base
        ))?;
        let status = response.status();
        let body = response.bytes().await.doing("the worker's answer broke off")?;
        Ok((status, body.into()))
    }
}

fn read<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Outcome<T> {
    if status.is_success() {
        return serde_json::from_slice(body).doing("the worker's answer cannot be read");
    }
    Err(refusal(status, body))
}

fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(body) => Failure::new(body.error),
        Err(_) => Failure::new(format!("the worker answered {status}")),
    }
}

/// The configuration that was named, or the default file where there is one.
pub(crate) fn configured(global: &Global) -> Outcome<Option<Config>> {
    match &global.config {
        Some(path) => load(path).map(Some),
        None if Path::new(DEFAULT_FILE).exists() => load(Path::new(DEFAULT_FILE)).map(Some),
        None => Ok(None),
    }
}

/// The configuration that a command cannot do without.
pub(crate) fn required(global: &Global) -> Outcome<Config> {
    let path = global.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
    load(path)
}

fn load(path: &Path) -> Outcome<Config> {
    Config::load(path).doing(format!("the configuration {} cannot be used", path.display()))
}

fn read_token(path: &Path) -> Option<Token> {
    std::fs::read_to_string(path).ok().and_then(Token::new)
}
