//! Temporary credentials.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::aws::policy::Document;

/// Credentials that STS issued.
pub(crate) struct Session {
    pub(crate) secret: String,
    pub(crate) token: String,
    pub(crate) account: String,
    /// To the second, as `aws:TokenIssueTime` is.
    pub(crate) issued_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) kind: SessionKind,
    /// Issued with an MFA code.
    pub(crate) mfa: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum SessionKind {
    /// `GetSessionToken` by the root user.
    Root,
    /// `GetSessionToken`: the user's own policies.
    User { user: String },
    /// `GetFederationToken`: the user's policies, cut to the session's own.
    Federated { user: String, name: String, policies: Vec<Arc<Document>> },
    /// `AssumeRole`: the role's policies, cut to the session's own where it has any.
    Role { role: String, name: String, policies: Vec<Arc<Document>> },
}
