//! Versions of managed policies.

use super::encoded;
use super::managed_policies::{find, missing, read_document};
use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::paging::page_of;
use crate::aws::state::ManagedPolicy;
use crate::aws::state::managed_policy::Version;
use crate::aws::xml::Xml;

/// AWS: "IAM and AWS STS quotas".
const MOST_VERSIONS: usize = 5;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::write(
        "CreatePolicyVersion",
        Target::Policy,
        &["PolicyArn", "PolicyDocument", "SetAsDefault"],
        create,
    ),
    Operation::read("GetPolicyVersion", Target::Policy, &["PolicyArn", "VersionId"], get),
    Operation::read(
        "ListPolicyVersions",
        Target::Policy,
        &["PolicyArn", "Marker", "MaxItems"],
        list,
    ),
    Operation::write("DeletePolicyVersion", Target::Policy, &["PolicyArn", "VersionId"], delete),
    Operation::write(
        "SetDefaultPolicyVersion",
        Target::Policy,
        &["PolicyArn", "VersionId"],
        set_default,
    ),
];

fn create(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let document = read_document(call.params.required("PolicyDocument")?)?;
    let default = call.params.flag("SetAsDefault");
    let at = call.at;
    let policy = owned(call)?;
    if policy.versions.len() >= MOST_VERSIONS {
        let message = "A managed policy can have up to 5 versions. Before you create a new \
                       version, you must delete an existing version.";
        return Err(AwsError::limit(message));
    }
    let number = policy.next_version;
    policy.next_version += 1;
    let version = Version { document: document.clone(), created: at.now };
    policy.versions.insert(number, version.clone());
    if default {
        policy.default_version = number;
        policy.document.set(document, &at);
        policy.updated = at.now;
    }
    let mut xml = Xml::default();
    xml.nest("PolicyVersion", |xml| {
        write(xml, number, &version, default, false);
    });
    Ok(xml)
}

fn get(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let policy = find(call, call.params.required("PolicyArn")?)?;
    let (number, version) = version(policy, call.params.required("VersionId")?)?;
    let mut xml = Xml::default();
    let default = number == policy.default_version;
    xml.nest("PolicyVersion", |xml| {
        write(xml, number, version, default, true);
    });
    Ok(xml)
}

fn list(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let policy = find(call, call.params.required("PolicyArn")?)?;
    let entries = policy
        .versions
        .iter()
        .map(|(number, version)| (format!("{number:010}"), (*number, version)));
    let page = page_of(call.params, call.world.settings.page_size, entries)?;
    let mut xml = Xml::default();
    xml.list("Versions", &page.items, |xml, (number, version)| {
        write(xml, *number, version, *number == policy.default_version, false);
    });
    page.close(&mut xml);
    Ok(xml)
}

fn delete(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let id = call.params.required("VersionId")?;
    let policy = owned(call)?;
    let (number, _) = version(policy, id)?;
    if number == policy.default_version {
        return Err(AwsError::delete_conflict("Cannot delete the default version of a policy."));
    }
    policy.versions.remove(&number);
    Ok(Xml::default())
}

fn set_default(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let id = call.params.required("VersionId")?;
    let at = call.at;
    let policy = owned(call)?;
    let (number, document) =
        version(policy, id).map(|(it, version)| (it, version.document.clone()))?;
    policy.default_version = number;
    policy.document.set(document, &at);
    policy.updated = at.now;
    Ok(Xml::default())
}

/// The policy of `PolicyArn`, where it is the account's own to change.
fn owned<'c>(call: &'c mut Call<'_>) -> Result<&'c mut ManagedPolicy, AwsError> {
    let arn = call.params.required("PolicyArn")?;
    if call.world.aws_policies.contains_key(arn) {
        return Err(AwsError::access_denied(format!("{arn} is managed by AWS")));
    }
    call.account_mut()?.policies.get_mut(arn).ok_or_else(|| missing(arn))
}

fn version<'p>(policy: &'p ManagedPolicy, id: &str) -> Result<(u32, &'p Version), AwsError> {
    let number = id.strip_prefix('v').and_then(|it| it.parse().ok());
    let found = number.and_then(|number| Some((number, policy.versions.get(&number)?)));
    found.ok_or_else(|| {
        let message =
            format!("Policy {} version {id} does not exist or is not attachable.", policy.arn);
        AwsError::no_such_entity(message)
    })
}

fn write(xml: &mut Xml, number: u32, version: &Version, default: bool, document: bool) {
    if document {
        xml.text("Document", encoded(&version.document.text));
    }
    xml.text("VersionId", format!("v{number}")).flag("IsDefaultVersion", default);
    xml.time("CreateDate", version.created);
}

/// All versions with their documents, as the account's details show them.
pub(super) fn write_all(xml: &mut Xml, policy: &ManagedPolicy) {
    xml.list("PolicyVersionList", &policy.versions, |xml, (number, version)| {
        write(xml, *number, version, *number == policy.default_version, true);
    });
}
