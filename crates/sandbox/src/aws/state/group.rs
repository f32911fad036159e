//! IAM groups.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::grants::Grants;
use super::named::HasName;

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) account: String,
    pub(crate) created: DateTime<Utc>,
    pub(crate) grants: Grants,
    /// Names of its users, as the control plane shows them.
    pub(crate) members: BTreeSet<String>,
}

impl Group {
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:iam::{}:group{}{}", self.account, self.path, self.name)
    }
}

impl HasName for Group {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }
}
