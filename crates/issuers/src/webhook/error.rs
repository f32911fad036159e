//! What can go wrong at an endpoint, and what that means for what comes next.

use severance_lifecycle::failure::{Failure, FailureClass};

use super::answer::AnswerError;
use crate::chain::chain;
use crate::tls::is_certificate_refused;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// A call that cannot be sent.
    #[error("the call's {0} cannot be sent")]
    BadCall(&'static str),
    /// The endpoint answers, but not as documented. Nothing is repeated until a person has looked.
    #[error("{endpoint} answers nonsense")]
    Nonsense {
        /// Scheme, host and port.
        endpoint: String,
        /// What was wrong.
        source: AnswerError,
    },
    /// HTTP 429.
    #[error("{endpoint} asks for fewer calls")]
    Throttled {
        /// Scheme, host and port.
        endpoint: String,
    },
    /// HTTP 5xx, or 408.
    #[error("{endpoint} is not available (HTTP {code})")]
    Unavailable {
        /// Scheme, host and port.
        endpoint: String,
        /// The code.
        code: u16,
    },
    /// No answer in time. Whether it was done is unknown.
    #[error("{endpoint} does not answer in time")]
    Timeout {
        /// Scheme, host and port.
        endpoint: String,
    },
    /// The endpoint's certificate is not believed.
    #[error("the certificate of {endpoint} is not trusted")]
    Certificate {
        /// Scheme, host and port.
        endpoint: String,
        /// What is wrong with it; without the address.
        source: reqwest::Error,
    },
    /// No connection, or one that broke. Whether it was done is unknown.
    #[error("no usable answer of {endpoint}")]
    Connection {
        /// Scheme, host and port.
        endpoint: String,
        /// Why; without the address.
        source: reqwest::Error,
    },
}

impl WebhookError {
    /// Sorts what the client library says; its words would repeat the address.
    pub(super) fn of(endpoint: String, source: reqwest::Error) -> Self {
        let source = source.without_url();
        if source.is_timeout() {
            Self::Timeout { endpoint }
        } else if is_certificate_refused(&source) {
            Self::Certificate { endpoint, source }
        } else {
            Self::Connection { endpoint, source }
        }
    }

    /// What to do about it.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Throttled { .. } => FailureClass::Throttled,
            Self::Unavailable { .. } | Self::Timeout { .. } | Self::Connection { .. } => {
                FailureClass::RetrySoon
            }
            Self::BadCall(_) | Self::Nonsense { .. } | Self::Certificate { .. } => {
                FailureClass::Cannot
            }
        }
    }

    /// As the engine knows failures; `operation` is the caller's name for what it asked.
    pub fn failure(&self, operation: &str) -> Failure {
        let code = match self {
            Self::BadCall(_) => "BadCall",
            Self::Nonsense { .. } => "Nonsense",
            Self::Throttled { .. } => "TooManyRequests",
            Self::Unavailable { .. } => "Unavailable",
            Self::Timeout { .. } => "Timeout",
            Self::Certificate { .. } => "CertificateNotTrusted",
            Self::Connection { .. } => "NoAnswer",
        };
        Failure {
            class: self.class(),
            operation: operation.to_owned(),
            code: code.to_owned(),
            message: chain(self),
            request_id: None,
        }
    }
}
