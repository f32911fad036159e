//! The permissions that Severance needs, and which of them are missing.

use aws_sdk_iam::types::PolicyEvaluationDecisionType;
use severance_lifecycle::failure::{Failure, FailureClass};

use crate::assumable::simulate;
use crate::calls::Calls;
use crate::own;

/// One permission and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequiredPermission {
    /// The action, for example `iam:UpdateAccessKey`.
    pub action: &'static str,
    /// What Severance does with it.
    pub purpose: &'static str,
}

const fn need(action: &'static str, purpose: &'static str) -> RequiredPermission {
    RequiredPermission { action, purpose }
}

const INVENTORY: &str = "inventory";
const LOCATE: &str = "finding whose a key is";
const LOOK: &str = "looking at an identity";
const KEYS: &str = "access keys";
const PASSWORD: &str = "passwords and MFA devices";
const SIDE: &str = "SSH keys, certificates and service-specific credentials";
const INLINE: &str = "denies as inline policies";
const MANAGED: &str = "denies as managed policies";
const BOUNDARY: &str = "denies as permissions boundaries";
const TRUST: &str = "trust policies";
const ROLES: &str = "roles that a user could assume";
const PROBE: &str = "probes";
const SECRETS: &str = "looking at a secret";
const ROTATE: &str = "rotating a secret";
const READERS: &str = "denying a secret to those who leave";
const HIDE: &str = "deleting a secret that nobody needs";

/// Everything that the adapter calls, each with what it is for. (`sts:GetCallerIdentity` needs no
/// permission.)
pub const REQUIRED_PERMISSIONS: &[RequiredPermission] = &[
    need("iam:GetAccountAuthorizationDetails", INVENTORY),
    need("iam:ListUsers", INVENTORY),
    need("iam:ListRoles", INVENTORY),
    need("iam:ListUserTags", INVENTORY),
    need("iam:ListRoleTags", INVENTORY),
    need("sts:GetAccessKeyInfo", LOCATE),
    need("iam:GetAccessKeyLastUsed", LOCATE),
    need("iam:GetUser", LOOK),
    need("iam:GetRole", LOOK),
    need("iam:ListAccessKeys", LOOK),
    need("iam:GetLoginProfile", LOOK),
    need("iam:ListSSHPublicKeys", LOOK),
    need("iam:ListSigningCertificates", LOOK),
    need("iam:ListServiceSpecificCredentials", LOOK),
    need("iam:ListMFADevices", LOOK),
    need("iam:ListGroupsForUser", LOOK),
    need("iam:ListUserPolicies", LOOK),
    need("iam:GetUserPolicy", LOOK),
    need("iam:ListAttachedUserPolicies", LOOK),
    need("iam:ListRolePolicies", LOOK),
    need("iam:GetRolePolicy", LOOK),
    need("iam:ListAttachedRolePolicies", LOOK),
    need("iam:GetPolicy", LOOK),
    need("iam:GetPolicyVersion", LOOK),
    need("iam:UpdateAccessKey", KEYS),
    need("iam:DeleteAccessKey", KEYS),
    need("iam:DeleteLoginProfile", PASSWORD),
    need("iam:DeactivateMFADevice", PASSWORD),
    need("iam:UpdateSSHPublicKey", SIDE),
    need("iam:DeleteSSHPublicKey", SIDE),
    need("iam:UpdateSigningCertificate", SIDE),
    need("iam:DeleteSigningCertificate", SIDE),
    need("iam:UpdateServiceSpecificCredential", SIDE),
    need("iam:DeleteServiceSpecificCredential", SIDE),
    need("iam:PutUserPolicy", INLINE),
    need("iam:DeleteUserPolicy", INLINE),
    need("iam:PutRolePolicy", INLINE),
    need("iam:DeleteRolePolicy", INLINE),
    need("iam:CreatePolicy", MANAGED),
    need("iam:DeletePolicy", MANAGED),
    need("iam:CreatePolicyVersion", MANAGED),
    need("iam:DeletePolicyVersion", MANAGED),
    need("iam:ListPolicyVersions", MANAGED),
    need("iam:AttachUserPolicy", MANAGED),
    need("iam:DetachUserPolicy", MANAGED),
    need("iam:AttachRolePolicy", MANAGED),
    need("iam:DetachRolePolicy", MANAGED),
    need("iam:PutUserPermissionsBoundary", BOUNDARY),
    need("iam:DeleteUserPermissionsBoundary", BOUNDARY),
    need("iam:UpdateAssumeRolePolicy", TRUST),
    need("iam:SimulatePrincipalPolicy", ROLES),
    need("secretsmanager:ListSecrets", INVENTORY),
    need("secretsmanager:GetSecretValue", PROBE),
    need("secretsmanager:DescribeSecret", SECRETS),
    need("secretsmanager:ListSecretVersionIds", SECRETS),
    need("secretsmanager:GetResourcePolicy", SECRETS),
    need("iam:CreateAccessKey", ROTATE),
    need("secretsmanager:PutSecretValue", ROTATE),
    need("secretsmanager:UpdateSecretVersionStage", ROTATE),
    need("secretsmanager:RotateSecret", ROTATE),
    need("secretsmanager:PutResourcePolicy", READERS),
    need("secretsmanager:DeleteResourcePolicy", READERS),
    need("secretsmanager:DeleteSecret", HIDE),
    need("secretsmanager:RestoreSecret", HIDE),
    need("secretsmanager:RemoveRegionsFromReplication", HIDE),
];

/// What our identity may do in an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PermissionReport {
    /// Who we are there.
    pub identity: String,
    /// What is denied, or allowed by nothing.
    pub missing: Vec<RequiredPermission>,
    /// What could not be told without changing something, because the simulation itself is denied.
    pub unchecked: Vec<RequiredPermission>,
}

/// Which of [`REQUIRED_PERMISSIONS`] our identity lacks: asked of IAM's simulation of its policies or,
/// where that is denied, tried with reads that change nothing.
///
/// A simulation knows the identity's policies and boundary, not an organization's every condition or
/// the secrets' keys: it finds what is missing, and does not promise that the rest works.
pub(crate) async fn check(calls: &Calls<'_>) -> Result<PermissionReport, Failure> {
    calls.verify().await?;
    let identity = own::identity(calls).await?;
    let mut report = PermissionReport { identity, ..PermissionReport::default() };
    // The account's root may do everything, and has no policies to simulate.
    if report.identity.ends_with(":root") {
        return Ok(report);
    }
    let actions: Vec<&str> = REQUIRED_PERMISSIONS.iter().map(|it| it.action).collect();
    match simulate(calls, &report.identity, &actions, &[]).await {
        Ok(results) => {
            let allowed: Vec<&str> = results
                .iter()
                .filter(|it| it.eval_decision == PolicyEvaluationDecisionType::Allowed)
                .map(|it| it.eval_action_name.as_str())
                .collect();
            let missing = REQUIRED_PERMISSIONS.iter().filter(|it| !has(&allowed, it.action));
            report.missing = missing.copied().collect();
        }
        Err(failure) if failure.class == FailureClass::Cannot => {
            by_trying(calls, &mut report).await?;
        }
        Err(failure) => return Err(failure),
    }
    Ok(report)
}

fn has(allowed: &[&str], action: &str) -> bool {
    allowed.iter().any(|it| it.eq_ignore_ascii_case(action))
}

/// Tries what lists and changes nothing.
async fn by_trying(calls: &Calls<'_>, report: &mut PermissionReport) -> Result<(), Failure> {
    let iam = calls.account.iam();
    let details = iam.get_account_authorization_details().max_items(1).send();
    let tried = [
        ("iam:SimulatePrincipalPolicy", true),
        (
            "iam:GetAccountAuthorizationDetails",
            denied(calls.call("iam:GetAccountAuthorizationDetails", details).await)?,
        ),
        (
            "iam:ListUsers",
            denied(calls.call("iam:ListUsers", iam.list_users().max_items(1).send()).await)?,
        ),
        (
            "iam:ListRoles",
            denied(calls.call("iam:ListRoles", iam.list_roles().max_items(1).send()).await)?,
        ),
        (
            "secretsmanager:ListSecrets",
            denied(
                calls
                    .call(
                        ("secretsmanager:ListSecrets", 0),
                        calls.account.secretsmanager(0).list_secrets().max_results(1).send(),
                    )
                    .await,
            )?,
        ),
    ];
    for permission in REQUIRED_PERMISSIONS {
        match tried.iter().find(|(action, _)| *action == permission.action) {
            Some((_, true)) => report.missing.push(*permission),
            Some((_, false)) => {}
            None => report.unchecked.push(*permission),
        }
    }
    Ok(())
}

fn denied<T>(answer: Result<T, Failure>) -> Result<bool, Failure> {
    match answer {
        Ok(_) => Ok(false),
        Err(failure) if failure.class == FailureClass::Cannot => Ok(true),
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_stands_once() {
        let mut actions: Vec<&str> = REQUIRED_PERMISSIONS.iter().map(|it| it.action).collect();
        actions.sort_unstable();
        let all = actions.len();
        actions.dedup();
        assert_eq!(actions.len(), all);
    }

    /// The table is what a person grants: a call that is missing from it would be denied in production.
    #[test]
    fn every_operation_that_the_source_calls_is_in_the_table() {
        let sources = [
            include_str!("reads.rs"),
            include_str!("act/credentials.rs"),
            include_str!("act/deny.rs"),
            include_str!("act/managed.rs"),
            include_str!("act/trust.rs"),
            include_str!("assumable.rs"),
            include_str!("inventory.rs"),
            include_str!("locate.rs"),
            include_str!("probe.rs"),
            include_str!("renamed.rs"),
            include_str!("secret/act.rs"),
            include_str!("secret/observe.rs"),
            include_str!("secret/replicas.rs"),
            include_str!("secret/store.rs"),
            include_str!("secret/unlisted.rs"),
            include_str!("secret/user_keys.rs"),
            include_str!("secret/value.rs"),
            include_str!("secret_index/holders.rs"),
            include_str!("secret_index/search.rs"),
        ];
        let mut called = 0;
        for text in sources.iter().flat_map(|source| source.split('"').skip(1).step_by(2)) {
            let service = ["iam:", "sts:", "secretsmanager:"].iter().any(|it| text.starts_with(it));
            if !service || text.starts_with("sts:GetCallerIdentity") || text == "sts:AssumeRole" {
                continue;
            }
            called += 1;
            assert!(
                has(&REQUIRED_PERMISSIONS.iter().map(|it| it.action).collect::<Vec<_>>(), text),
                "{text}"
            );
        }
        assert!(called > 40, "the sources are read: {called}");
    }
}
