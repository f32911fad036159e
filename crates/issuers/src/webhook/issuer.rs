//! Calling an endpoint: once a call, signed, with everything about the answer bounded.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response, StatusCode, redirect, retry};
use severance_engine::ports::Clock;

use super::answer::{Answer, AnswerError, answer};
use super::call::Call;
use super::endpoint::Endpoint;
use super::error::WebhookError;
use crate::tls::{Trust, TrustError, client_config};

/// Bytes of an answer that are read.
const LARGEST: usize = 64 * 1024;

/// How endpoints are reached; the same for all of them.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// Whose certificates are believed.
    pub trust: Trust,
    /// For name, connection and TLS.
    pub connect_timeout: Duration,
    /// For the whole call, with its answer.
    pub timeout: Duration,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            trust: Trust::System,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
        }
    }
}

/// Calls owners' endpoints.
pub struct WebhookIssuer {
    client: Client,
    clock: Arc<dyn Clock>,
}

/// Why no calls can be made.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// Nobody to trust.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The HTTP client refused its settings.
    #[error("the HTTP client cannot be set up")]
    Client(#[from] reqwest::Error),
}

impl WebhookIssuer {
    /// Reads the CA file; connects nowhere. `clock` dates the signatures.
    ///
    /// # Errors
    /// Where nothing that could be trusted is found.
    pub fn new(settings: &WebhookSettings, clock: Arc<dyn Clock>) -> Result<Self, SetUpError> {
        let client = Client::builder()
            .tls_backend_preconfigured(client_config(&settings.trust)?)
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout)
            .redirect(redirect::Policy::none())
            // One attempt a call: the engine repeats, after it has looked again.
            .retry(retry::never())
            .pool_max_idle_per_host(0)
            .no_proxy()
            .user_agent(concat!("severance/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, clock })
    }

    /// Makes one call. May be repeated: the endpoint knows a repetition by its idempotency key.
    ///
    /// # Errors
    /// Where there is no answer, or one that is not as documented.
    pub async fn call(&self, endpoint: &Endpoint, call: &Call) -> Result<Answer, WebhookError> {
        if let Some(field) = call.bad_field() {
            return Err(WebhookError::BadCall(field));
        }
        let body = serde_json::to_vec(call).map_err(|_| WebhookError::BadCall("body"))?;
        let timestamp = self.clock.now().timestamp().to_string();
        let signature = endpoint.key().signature(&timestamp, &body);
        let request = self
            .client
            .post(endpoint.url().clone())
            .header(CONTENT_TYPE, "application/json")
            .header("severance-timestamp", timestamp)
            .header("severance-signature", signature)
            .header("idempotency-key", call.idempotency_key())
            .body(body);
        let broken = |source| WebhookError::of(endpoint.to_string(), source);
        let response = request.send().await.map_err(broken)?;
        refuse_other_codes(endpoint, response.status())?;
        let body = bounded_body(response).await.map_err(broken)?;
        let nonsense = |source| WebhookError::Nonsense { endpoint: endpoint.to_string(), source };
        let body = body.ok_or_else(|| nonsense(AnswerError::TooLarge))?;
        answer(call.call, &body).map_err(nonsense)
    }
}

fn refuse_other_codes(endpoint: &Endpoint, status: StatusCode) -> Result<(), WebhookError> {
    let endpoint = endpoint.to_string();
    let code = status.as_u16();
    Err(match status {
        StatusCode::OK => return Ok(()),
        StatusCode::TOO_MANY_REQUESTS => WebhookError::Throttled { endpoint },
        StatusCode::REQUEST_TIMEOUT => WebhookError::Unavailable { endpoint, code },
        _ if status.is_server_error() => WebhookError::Unavailable { endpoint, code },
        _ if status.is_redirection() => {
            WebhookError::Nonsense { endpoint, source: AnswerError::Redirect(code) }
        }
        _ => WebhookError::Nonsense { endpoint, source: AnswerError::Code(code) },
    })
}

/// `None` where there is more than is read, whatever the headers announce.
async fn bounded_body(mut response: Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LARGEST {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}
