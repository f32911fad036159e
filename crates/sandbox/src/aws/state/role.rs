//! IAM roles and their trust.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Tags;
use super::grants::Grants;
use super::named::HasName;
use super::spread::Spread;
use crate::aws::policy::Document;

#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) account: String,
    pub(crate) created: DateTime<Utc>,
    pub(crate) description: Option<String>,
    /// In seconds.
    pub(crate) max_session: i64,
    pub(crate) tags: Tags,
    pub(crate) grants: Grants,
    pub(crate) boundary: Spread<Option<String>>,
    /// `None` before the role exists for those who would take it.
    pub(crate) trust: Spread<Option<Arc<Trust>>>,
    pub(crate) service_linked: bool,
    pub(crate) deleted: Spread<bool>,
    pub(crate) last_used: Option<(DateTime<Utc>, String)>,
}

/// A trust policy (or a secret's resource policy), its users and roles tied to their unique ids.
#[derive(Debug)]
pub(crate) struct Trust {
    pub(crate) document: Document,
    /// Each ARN named in the text, with the id of whom it meant when it was put.
    pub(crate) bindings: Vec<(String, String)>,
}

impl Role {
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:iam::{}:role{}{}", self.account, self.path, self.name)
    }

    pub(crate) fn session_arn(&self, session: &str) -> String {
        format!("arn:aws:sts::{}:assumed-role/{}/{session}", self.account, self.name)
    }
}

impl HasName for Role {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }
}
