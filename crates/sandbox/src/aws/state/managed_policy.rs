//! Managed policies: the account's own, and a few of AWS's.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Tags;
use super::spread::Spread;
use crate::aws::policy::{Document, Kind};

#[derive(Debug)]
pub(crate) struct ManagedPolicy {
    pub(crate) id: String,
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) description: Option<String>,
    pub(crate) created: DateTime<Utc>,
    pub(crate) updated: DateTime<Utc>,
    pub(crate) tags: Tags,
    pub(crate) versions: BTreeMap<u32, Version>,
    pub(crate) default_version: u32,
    /// Version numbers are never used again.
    pub(crate) next_version: u32,
    /// The default version's document, as it spreads.
    pub(crate) document: Spread<Arc<Document>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) document: Arc<Document>,
    pub(crate) created: DateTime<Utc>,
}

/// AWS's own policies that the sandbox knows. An ARN that is not here is `NoSuchEntity`, rather
/// than a policy made up under a real name.
const AWS_MANAGED: &[(&str, &str)] = &[
    (
        "AdministratorAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
    ),
    (
        "AWSDenyAll",
        r#"{"Version":"2012-10-17","Statement":[{"Sid":"DenyAll","Effect":"Deny","Action":["*"],"Resource":"*"}]}"#,
    ),
    (
        "IAMFullAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:*","organizations:DescribeAccount","organizations:DescribeOrganization","organizations:DescribeOrganizationalUnit","organizations:DescribePolicy","organizations:ListChildren","organizations:ListParents","organizations:ListPoliciesForTarget","organizations:ListRoots","organizations:ListPolicies","organizations:ListTargetsForPolicy"],"Resource":"*"}]}"#,
    ),
    (
        "IAMReadOnlyAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GenerateCredentialReport","iam:GenerateServiceLastAccessedDetails","iam:Get*","iam:List*","iam:SimulateCustomPolicy","iam:SimulatePrincipalPolicy"],"Resource":"*"}]}"#,
    ),
    (
        "IAMUserChangePassword",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:ChangePassword"],"Resource":["arn:aws:iam::*:user/${aws:username}"]},{"Effect":"Allow","Action":["iam:GetAccountPasswordPolicy"],"Resource":"*"}]}"#,
    ),
];

/// AWS's own policies, by ARN.
pub(crate) fn aws_managed(created: DateTime<Utc>) -> BTreeMap<String, ManagedPolicy> {
    AWS_MANAGED
        .iter()
        .enumerate()
        .filter_map(|(place, (name, text))| {
            let document = Arc::new(Document::parse(text, Kind::Identity).ok()?);
            let arn = format!("arn:aws:iam::aws:policy/{name}");
            let version = Version { document: document.clone(), created };
            let policy = ManagedPolicy {
                id: format!("ANPAAWSMANAGED{place:07}"),
                arn: arn.clone(),
                name: (*name).to_owned(),
                path: "/".to_owned(),
                description: None,
                created,
                updated: created,
                tags: Tags::new(),
                versions: BTreeMap::from([(1, version)]),
                default_version: 1,
                next_version: 2,
                document: Spread::settled(document),
            };
            Some((arn, policy))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_of_aws_that_is_listed_can_be_read() {
        assert_eq!(aws_managed(DateTime::UNIX_EPOCH).len(), AWS_MANAGED.len());
    }
}
