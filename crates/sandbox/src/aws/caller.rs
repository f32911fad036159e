//! Who is calling, once the signature has been checked.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::policy::Document;

/// An authenticated caller.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) account: String,
    pub(crate) key_id: String,
    pub(crate) region: String,
    pub(crate) identity: Identity,
    /// Present when temporary credentials were used.
    pub(crate) session: Option<SessionFacts>,
}

#[derive(Debug, Clone)]
pub(crate) struct SessionFacts {
    pub(crate) issued_at: DateTime<Utc>,
    pub(crate) mfa: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Identity {
    Root,
    User { id: String, name: String, arn: String },
    Federated { user: String, name: String, policies: Vec<Arc<Document>> },
    Role { id: String, name: String, arn: String, session: String, policies: Vec<Arc<Document>> },
}

impl Caller {
    /// The caller's ARN, as `GetCallerIdentity` tells it.
    pub(crate) fn arn(&self) -> String {
        let account = &self.account;
        match &self.identity {
            Identity::Root => format!("arn:aws:iam::{account}:root"),
            Identity::User { arn, .. } => arn.clone(),
            Identity::Federated { name, .. } => {
                format!("arn:aws:sts::{account}:federated-user/{name}")
            }
            Identity::Role { name, session, .. } => {
                format!("arn:aws:sts::{account}:assumed-role/{name}/{session}")
            }
        }
    }

    /// The caller's id, as `GetCallerIdentity` tells it and `aws:userid` has it.
    pub(crate) fn user_id(&self) -> String {
        match &self.identity {
            Identity::Root => self.account.clone(),
            Identity::User { id, .. } => id.clone(),
            Identity::Federated { name, .. } => format!("{}:{name}", self.account),
            Identity::Role { id, session, .. } => format!("{id}:{session}"),
        }
    }

    /// The unique id of the user or role behind the call (empty for root).
    pub(crate) fn principal_id(&self) -> &str {
        match &self.identity {
            Identity::Root => "",
            Identity::User { id, .. } | Identity::Role { id, .. } => id,
            Identity::Federated { user, .. } => user,
        }
    }

    /// The user that the caller is, for operations that default to it.
    pub(crate) fn user_name(&self) -> Option<&str> {
        match &self.identity {
            Identity::User { name, .. } => Some(name),
            _ => None,
        }
    }
}
