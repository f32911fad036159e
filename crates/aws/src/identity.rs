//! IAM's users and roles as identities of the inventory.

use std::collections::BTreeMap;

use aws_sdk_iam::types::{Role, Tag, User};
use serde_json::Value;
use severance_lifecycle::failure::Failure;
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::plan::{Identity, IdentityDetail};

use crate::calls::Calls;
use crate::document;
use crate::reads::{Holder, time};

/// The longest session that any role can have (AWS: IAM API reference, `MaxSessionDuration`), for a
/// role whose own is not known.
pub(crate) const LONGEST_SESSION: u32 = 43_200;

/// How much of a user's credentials is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// Access keys alone: one call, and enough for a task of one key.
    Keys,
    /// Every kind that authenticates. MFA devices are no way in by themselves.
    All,
}

impl Calls<'_> {
    /// A user with all that the inventory keeps of it.
    pub(crate) async fn identity_of_user(
        &self,
        user: User,
        count: Count,
    ) -> Result<Identity, Failure> {
        let holder = Holder::User(&user.user_name);
        let (inline, attached, credentials) = futures::try_join!(
            self.inline_policies(holder),
            self.attached_policies(holder),
            self.credentials(&user.user_name, count)
        )?;
        let policies = inline.into_iter().chain(attached).collect();
        Ok(Identity {
            account: self.id().clone(),
            arn: user.arn,
            name: user.user_name,
            unique_id: user.user_id,
            created: time(&user.create_date),
            tags: tags(user.tags.unwrap_or_default()),
            detail: credentials.detail(policies),
        })
    }

    /// A user's access keys and how many credentials it has.
    pub(crate) async fn credentials(
        &self,
        user: &str,
        count: Count,
    ) -> Result<Credentials, Failure> {
        let keys = async {
            let keys = self.access_keys(user).await?;
            Ok::<Vec<String>, Failure>(
                keys.into_iter().filter_map(|key| key.access_key_id).collect(),
            )
        };
        if count == Count::Keys {
            let access_keys = keys.await?;
            let count = access_keys.len();
            return Ok(Credentials { access_keys, count });
        }
        let (access_keys, login, side) =
            futures::try_join!(keys, self.login_profile(user), self.side_credentials(user))?;
        let count = access_keys.len() + usize::from(login.is_some()) + side.len();
        Ok(Credentials { access_keys, count })
    }
}

/// A user's access keys and how many credentials it has.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    pub(crate) access_keys: Vec<String>,
    pub(crate) count: usize,
}

impl Credentials {
    pub(crate) fn detail(self, policies: Vec<String>) -> IdentityDetail {
        IdentityDetail::User { access_keys: self.access_keys, policies, credentials: self.count }
    }
}

/// A role as `GetRole` answers it.
pub(crate) fn of_role(account: &AccountId, role: Role) -> Identity {
    let trust = role.assume_role_policy_document.as_deref().and_then(document::read);
    Identity {
        account: account.clone(),
        detail: role_detail(trust, max_session(role.max_session_duration), &role.path),
        arn: role.arn,
        name: role.role_name,
        unique_id: role.role_id,
        created: time(&role.create_date),
        tags: tags(role.tags.unwrap_or_default()),
    }
}

pub(crate) fn role_detail(
    trust: Option<Value>,
    max_session_seconds: u32,
    path: &str,
) -> IdentityDetail {
    IdentityDetail::Role {
        trust: trust.unwrap_or_default(),
        max_session_seconds,
        service_linked: is_service_linked(path),
    }
}

/// AWS: IAM User Guide, "Service-linked roles": their path is reserved.
pub(crate) fn is_service_linked(path: &str) -> bool {
    path.starts_with("/aws-service-role/")
}

pub(crate) fn max_session(seconds: Option<i32>) -> u32 {
    seconds.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(LONGEST_SESSION)
}

pub(crate) fn tags(tags: Vec<Tag>) -> BTreeMap<String, String> {
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}
