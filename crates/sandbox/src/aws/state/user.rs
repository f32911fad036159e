//! IAM users and all they can authenticate with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Tags;
use super::grants::Grants;
use super::key::KeyStatus;
use super::named::HasName;
use super::spread::Spread;

pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) account: String,
    pub(crate) created: DateTime<Utc>,
    pub(crate) tags: Tags,
    pub(crate) grants: Grants,
    pub(crate) boundary: Spread<Option<String>>,
    pub(crate) groups: Spread<Arc<BTreeSet<String>>>,
    /// Ids of the access keys that are not deleted.
    pub(crate) keys: Vec<String>,
    pub(crate) login: Spread<Option<Login>>,
    pub(crate) ssh_keys: BTreeMap<String, SshKey>,
    pub(crate) certificates: BTreeMap<String, Certificate>,
    pub(crate) service_credentials: BTreeMap<String, ServiceCredential>,
    /// Serial numbers of the enabled devices, with the time of their enabling.
    pub(crate) mfa: Spread<Arc<BTreeMap<String, DateTime<Utc>>>>,
    pub(crate) deleted: Spread<bool>,
}

#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) password: String,
    pub(crate) created: DateTime<Utc>,
    pub(crate) reset_required: bool,
}

#[derive(Debug)]
pub(crate) struct SshKey {
    pub(crate) body: String,
    pub(crate) fingerprint: String,
    pub(crate) uploaded: DateTime<Utc>,
    pub(crate) status: Spread<KeyStatus>,
}

#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) body: String,
    pub(crate) uploaded: DateTime<Utc>,
    pub(crate) status: Spread<KeyStatus>,
}

pub(crate) struct ServiceCredential {
    pub(crate) service: String,
    pub(crate) user_name: String,
    pub(crate) password: Spread<String>,
    pub(crate) created: DateTime<Utc>,
    pub(crate) status: Spread<KeyStatus>,
}

impl User {
    pub(crate) fn new(
        account: &str,
        id: String,
        name: &str,
        path: &str,
        created: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            name: name.to_owned(),
            path: path.to_owned(),
            account: account.to_owned(),
            created,
            tags: Tags::new(),
            grants: Grants::default(),
            boundary: Spread::settled(None),
            groups: Spread::settled(Arc::default()),
            keys: Vec::new(),
            login: Spread::settled(None),
            ssh_keys: BTreeMap::new(),
            certificates: BTreeMap::new(),
            service_credentials: BTreeMap::new(),
            mfa: Spread::settled(Arc::default()),
            deleted: Spread::settled(false),
        }
    }

    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:iam::{}:user{}{}", self.account, self.path, self.name)
    }

    /// What must go before the user can be deleted, if anything.
    pub(crate) fn obstacle(&self) -> Option<&'static str> {
        fn any<'a>(mut statuses: impl Iterator<Item = &'a Spread<KeyStatus>>) -> bool {
            statuses.any(|status| *status.latest() != KeyStatus::Gone)
        }
        if !self.keys.is_empty() {
            Some("must delete access keys first")
        } else if self.login.latest().is_some() {
            Some("must delete login profile first")
        } else if any(self.ssh_keys.values().map(|it| &it.status)) {
            Some("must delete SSH public keys first")
        } else if any(self.certificates.values().map(|it| &it.status)) {
            Some("must delete signing certificates first")
        } else if any(self.service_credentials.values().map(|it| &it.status)) {
            Some("must delete service specific credentials first")
        } else if !self.mfa.latest().is_empty() {
            Some("must deactivate MFA devices first")
        } else if !self.grants.inline.latest().is_empty() {
            Some("must delete policies first")
        } else if !self.grants.attached.latest().is_empty() {
            Some("must detach all policies first")
        } else if !self.groups.latest().is_empty() {
            Some("must remove users from group first")
        } else {
            None
        }
    }
}

impl HasName for User {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }
}
