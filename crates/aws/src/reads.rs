//! Single reads of IAM: one question each, all pages.

use aws_sdk_iam::types::{AccessKeyMetadata, LoginProfile, Role, StatusType, User};
use chrono::{DateTime, Utc};
use serde_json::Value;
use severance_lifecycle::action::SideCredential;
use severance_lifecycle::failure::Failure;
use severance_lifecycle::observe::{KeyStatus, SideState};

use crate::calls::Calls;
use crate::document;
use crate::failure::present;

/// Whose policies are meant, by name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Holder<'a> {
    User(&'a str),
    Role(&'a str),
}

/// A customer managed policy with its default version.
#[derive(Clone, Debug)]
pub(crate) struct ManagedPolicy {
    pub(crate) description: String,
    pub(crate) document: Value,
}

/// Reads every page of a listing that has `Marker` and `IsTruncated`.
macro_rules! all_pages {
    ($calls:expr, $operation:literal, $request:expr, |$page:ident| $entries:expr) => {
        $calls
            .pages($operation, |marker| async move {
                let mut $page = $calls.call($operation, $request.set_marker(marker).send()).await?;
                let next = $page.marker.take().filter(|_| $page.is_truncated);
                Ok(($entries, next))
            })
            .await
    };
}
pub(crate) use all_pages;

impl Calls<'_> {
    /// The user of that name.
    pub(crate) async fn user(&self, name: &str) -> Result<Option<User>, Failure> {
        let request = self.account.iam().get_user().user_name(name).send();
        Ok(present(self.call("iam:GetUser", request).await)?.and_then(|answer| answer.user))
    }

    /// The role of that name.
    pub(crate) async fn role(&self, name: &str) -> Result<Option<Role>, Failure> {
        let request = self.account.iam().get_role().role_name(name).send();
        Ok(present(self.call("iam:GetRole", request).await)?.and_then(|answer| answer.role))
    }

    pub(crate) async fn access_keys(&self, user: &str) -> Result<Vec<AccessKeyMetadata>, Failure> {
        let iam = self.account.iam();
        all_pages!(self, "iam:ListAccessKeys", iam.list_access_keys().user_name(user), |page| {
            page.access_key_metadata
        })
    }

    pub(crate) async fn login_profile(&self, user: &str) -> Result<Option<LoginProfile>, Failure> {
        let request = self.account.iam().get_login_profile().user_name(user).send();
        let answer = present(self.call("iam:GetLoginProfile", request).await)?;
        Ok(answer.and_then(|answer| answer.login_profile))
    }

    /// SSH keys, signing certificates and service-specific credentials.
    pub(crate) async fn side_credentials(&self, user: &str) -> Result<Vec<SideState>, Failure> {
        let (mut all, certificates, services) = futures::try_join!(
            self.ssh_keys(user),
            self.signing_certificates(user),
            self.service_credentials(user)
        )?;
        all.extend(certificates);
        all.extend(services);
        Ok(all)
    }

    async fn ssh_keys(&self, user: &str) -> Result<Vec<SideState>, Failure> {
        let iam = self.account.iam();
        let keys = all_pages!(
            self,
            "iam:ListSSHPublicKeys",
            iam.list_ssh_public_keys().user_name(user),
            |page| page.ssh_public_keys.unwrap_or_default()
        )?;
        let state = |key: aws_sdk_iam::types::SshPublicKeyMetadata| SideState {
            kind: SideCredential::SshKey,
            id: key.ssh_public_key_id,
            active: key.status == StatusType::Active,
            created: time(&key.upload_date),
        };
        Ok(keys.into_iter().map(state).collect())
    }

    async fn signing_certificates(&self, user: &str) -> Result<Vec<SideState>, Failure> {
        let iam = self.account.iam();
        let certificates = all_pages!(
            self,
            "iam:ListSigningCertificates",
            iam.list_signing_certificates().user_name(user),
            |page| page.certificates
        )?;
        let state = |certificate: aws_sdk_iam::types::SigningCertificate| SideState {
            kind: SideCredential::SigningCertificate,
            id: certificate.certificate_id,
            active: certificate.status == StatusType::Active,
            created: certificate.upload_date.as_ref().map(time).unwrap_or_default(),
        };
        Ok(certificates.into_iter().map(state).collect())
    }

    async fn service_credentials(&self, user: &str) -> Result<Vec<SideState>, Failure> {
        let iam = self.account.iam();
        let credentials = all_pages!(
            self,
            "iam:ListServiceSpecificCredentials",
            iam.list_service_specific_credentials().user_name(user),
            |page| page.service_specific_credentials.unwrap_or_default()
        )?;
        let state = |it: aws_sdk_iam::types::ServiceSpecificCredentialMetadata| SideState {
            kind: SideCredential::ServiceCredential,
            id: it.service_specific_credential_id,
            active: it.status == StatusType::Active,
            created: time(&it.create_date),
        };
        Ok(credentials.into_iter().map(state).collect())
    }

    /// Serial numbers of MFA devices.
    pub(crate) async fn mfa_devices(&self, user: &str) -> Result<Vec<String>, Failure> {
        let iam = self.account.iam();
        let devices = all_pages!(
            self,
            "iam:ListMFADevices",
            iam.list_mfa_devices().user_name(user),
            |page| page.mfa_devices
        )?;
        Ok(devices.into_iter().map(|device| device.serial_number).collect())
    }

    /// Names of the groups that a user is in.
    pub(crate) async fn groups(&self, user: &str) -> Result<Vec<String>, Failure> {
        let iam = self.account.iam();
        let groups = all_pages!(
            self,
            "iam:ListGroupsForUser",
            iam.list_groups_for_user().user_name(user),
            |page| page.groups
        )?;
        Ok(groups.into_iter().map(|group| group.group_name).collect())
    }

    /// Names of inline policies.
    pub(crate) async fn inline_policies(&self, of: Holder<'_>) -> Result<Vec<String>, Failure> {
        let iam = self.account.iam();
        match of {
            Holder::User(name) => {
                all_pages!(
                    self,
                    "iam:ListUserPolicies",
                    iam.list_user_policies().user_name(name),
                    |page| page.policy_names
                )
            }
            Holder::Role(name) => {
                all_pages!(
                    self,
                    "iam:ListRolePolicies",
                    iam.list_role_policies().role_name(name),
                    |page| page.policy_names
                )
            }
        }
    }

    /// ARNs of attached managed policies.
    pub(crate) async fn attached_policies(&self, of: Holder<'_>) -> Result<Vec<String>, Failure> {
        let iam = self.account.iam();
        let attached = match of {
            Holder::User(name) => all_pages!(
                self,
                "iam:ListAttachedUserPolicies",
                iam.list_attached_user_policies().user_name(name),
                |page| page.attached_policies.unwrap_or_default()
            ),
            Holder::Role(name) => all_pages!(
                self,
                "iam:ListAttachedRolePolicies",
                iam.list_attached_role_policies().role_name(name),
                |page| page.attached_policies.unwrap_or_default()
            ),
        }?;
        Ok(attached.into_iter().filter_map(|policy| policy.policy_arn).collect())
    }

    /// An inline policy; `Null` where it is there and cannot be read as JSON.
    pub(crate) async fn inline_document(
        &self,
        of: Holder<'_>,
        policy: &str,
    ) -> Result<Option<Value>, Failure> {
        let iam = self.account.iam();
        let text = match of {
            Holder::User(name) => {
                let request = iam.get_user_policy().user_name(name).policy_name(policy).send();
                let answer = self.call("iam:GetUserPolicy", request).await;
                present(answer)?.map(|answer| answer.policy_document)
            }
            Holder::Role(name) => {
                let request = iam.get_role_policy().role_name(name).policy_name(policy).send();
                let answer = self.call("iam:GetRolePolicy", request).await;
                present(answer)?.map(|answer| answer.policy_document)
            }
        };
        Ok(text.map(|text| document::read(&text).unwrap_or_default()))
    }

    /// A managed policy with the document of its default version.
    pub(crate) async fn managed_policy(&self, arn: &str) -> Result<Option<ManagedPolicy>, Failure> {
        let iam = self.account.iam();
        let request = iam.get_policy().policy_arn(arn).send();
        let answer = present(self.call("iam:GetPolicy", request).await)?;
        let Some(policy) = answer.and_then(|answer| answer.policy) else {
            return Ok(None);
        };
        let version = policy.default_version_id.unwrap_or_default();
        let request = iam.get_policy_version().policy_arn(arn).version_id(version).send();
        let answer = present(self.call("iam:GetPolicyVersion", request).await)?;
        let document = answer
            .and_then(|answer| answer.policy_version)
            .and_then(|version| version.document)
            .and_then(|text| document::read(&text));
        Ok(document.map(|document| ManagedPolicy {
            description: policy.description.unwrap_or_default(),
            document,
        }))
    }
}

pub(crate) fn key_status(status: Option<&StatusType>) -> KeyStatus {
    match status {
        Some(StatusType::Inactive) => KeyStatus::Inactive,
        Some(StatusType::Expired) => KeyStatus::Expired,
        // A status that we do not know may sign: it is taken for one that does.
        _ => KeyStatus::Active,
    }
}

pub(crate) fn time(moment: &aws_smithy_types::DateTime) -> DateTime<Utc> {
    DateTime::from_timestamp(moment.secs(), moment.subsec_nanos()).unwrap_or_default()
}

pub(crate) fn key_created(key: &AccessKeyMetadata) -> DateTime<Utc> {
    key.create_date.as_ref().map(time).unwrap_or_default()
}
