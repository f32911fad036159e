//! What every client of ours has in common: its log lines, its errors, its tokens.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use severance_engine::ports::Clock;

use crate::config::KafkaConfig;
use crate::oauth::{self, TokenSource};

/// The context of a client.
#[derive(Clone)]
pub(crate) struct Context {
    purpose: Arc<str>,
    tokens: TokenSource,
    clock: Arc<dyn Clock>,
    /// What is wrong and was told, until something works again.
    told: Arc<Mutex<BTreeSet<i32>>>,
}

impl Context {
    pub(crate) fn new(purpose: &str, config: &KafkaConfig, clock: Arc<dyn Clock>) -> Self {
        let tokens = TokenSource::of(config);
        Self { purpose: purpose.into(), tokens, clock, told: Arc::default() }
    }

    pub(crate) fn purpose(&self) -> Arc<str> {
        Arc::clone(&self.purpose)
    }

    /// Something came from the brokers or got to them: told where they were away.
    pub(crate) fn works(&self) {
        let mut told = self.told();
        if !told.is_empty() {
            told.clear();
            tracing::info!(client = &*self.purpose, "Kafka answers again");
        }
    }

    /// Whether this kind of trouble is new. The library repeats it at each attempt, for each broker.
    pub(crate) fn is_new(&self, error: &KafkaError) -> bool {
        let code = error.rdkafka_error_code().map_or(i32::MAX, |code| code as i32);
        self.told().insert(code)
    }

    fn told(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    /// Asked for only where the mechanism is OAUTHBEARER.
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        let client = &*self.purpose;
        match level {
            // A broker that is away is told by `error` below; the library repeats it at each attempt.
            // One set of properties serves consumers and producers; each warns of the other's.
            _ if matches!(facility, "FAIL" | "CONFWARN") => {
                tracing::debug!(client, facility, "{line}");
            }
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => tracing::error!(client, facility, "{line}"),
            RDKafkaLogLevel::Warning => tracing::warn!(client, facility, "{line}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(client, facility, "{line}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(client, facility, "{line}"),
        }
    }

    fn stats(&self, _: Statistics) {}

    fn stats_raw(&self, _: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a partition is reported as an error; it is none.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        let client = &*self.purpose;
        if self.is_new(&error) {
            tracing::warn!(client, %error, "Kafka: {reason}");
        } else {
            tracing::debug!(client, %error, "Kafka: {reason}");
        }
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        oauth::token(&self.tokens, config, self.clock.now())
    }
}

/// For looking at the cluster without a group.
impl ConsumerContext for Context {}
