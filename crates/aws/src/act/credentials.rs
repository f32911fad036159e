//! Switching credentials off and on, and deleting them.
//!
//! Keys and certificates are named by ids of their own, which a user made again under an old name does
//! not have. The password is named by the user alone, and a virtual MFA device by a name that may be
//! given again (AWS: IAM User Guide, "IAM identifiers", `mfa/NAME`): there the user's id is asked first.

use aws_sdk_iam::types::StatusType;
use severance_lifecycle::action::SideCredential;
use severance_lifecycle::credential::UserRef;
use severance_lifecycle::failure::Failure;

use super::same_user;
use crate::calls::Calls;

fn status(active: bool) -> StatusType {
    if active { StatusType::Active } else { StatusType::Inactive }
}

pub(super) async fn switch_key(
    calls: &Calls<'_>,
    user: &UserRef,
    key_id: &str,
    active: bool,
) -> Result<(), Failure> {
    let request = calls.account.iam().update_access_key();
    let request = request.user_name(&user.name).access_key_id(key_id).status(status(active));
    calls.call("iam:UpdateAccessKey", request.send()).await.map(drop)
}

pub(crate) async fn delete_key(
    calls: &Calls<'_>,
    user: &UserRef,
    key_id: &str,
) -> Result<(), Failure> {
    let request = calls.account.iam().delete_access_key();
    let request = request.user_name(&user.name).access_key_id(key_id);
    calls.call("iam:DeleteAccessKey", request.send()).await.map(drop)
}

pub(super) async fn delete_login_profile(calls: &Calls<'_>, user: &UserRef) -> Result<(), Failure> {
    same_user(calls, user).await?;
    let request = calls.account.iam().delete_login_profile().user_name(&user.name);
    calls.call("iam:DeleteLoginProfile", request.send()).await.map(drop)
}

pub(super) async fn deactivate_mfa(
    calls: &Calls<'_>,
    user: &UserRef,
    serial: &str,
) -> Result<(), Failure> {
    same_user(calls, user).await?;
    let request = calls.account.iam().deactivate_mfa_device();
    let request = request.user_name(&user.name).serial_number(serial);
    calls.call("iam:DeactivateMFADevice", request.send()).await.map(drop)
}

pub(super) async fn switch(
    calls: &Calls<'_>,
    user: &UserRef,
    kind: SideCredential,
    id: &str,
    active: bool,
) -> Result<(), Failure> {
    let iam = calls.account.iam();
    let (name, status) = (&user.name, status(active));
    match kind {
        SideCredential::SshKey => {
            let request = iam.update_ssh_public_key().user_name(name).ssh_public_key_id(id);
            calls.call("iam:UpdateSSHPublicKey", request.status(status).send()).await.map(drop)
        }
        SideCredential::SigningCertificate => {
            let request = iam.update_signing_certificate().user_name(name).certificate_id(id);
            let request = request.status(status).send();
            calls.call("iam:UpdateSigningCertificate", request).await.map(drop)
        }
        SideCredential::ServiceCredential => {
            let request = iam.update_service_specific_credential().user_name(name);
            let request = request.service_specific_credential_id(id).status(status).send();
            calls.call("iam:UpdateServiceSpecificCredential", request).await.map(drop)
        }
    }
}

pub(super) async fn delete(
    calls: &Calls<'_>,
    user: &UserRef,
    kind: SideCredential,
    id: &str,
) -> Result<(), Failure> {
    let iam = calls.account.iam();
    let name = &user.name;
    match kind {
        SideCredential::SshKey => {
            let request = iam.delete_ssh_public_key().user_name(name).ssh_public_key_id(id).send();
            calls.call("iam:DeleteSSHPublicKey", request).await.map(drop)
        }
        SideCredential::SigningCertificate => {
            let request = iam.delete_signing_certificate().user_name(name).certificate_id(id);
            calls.call("iam:DeleteSigningCertificate", request.send()).await.map(drop)
        }
        SideCredential::ServiceCredential => {
            let request = iam.delete_service_specific_credential().user_name(name);
            let request = request.service_specific_credential_id(id).send();
            calls.call("iam:DeleteServiceSpecificCredential", request).await.map(drop)
        }
    }
}
