//! Managed policies of the account.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{check_name, check_path};
use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::ids;
use crate::aws::paging::page;
use crate::aws::policy::{Document, Kind};
use crate::aws::state::managed_policy::Version;
use crate::aws::state::{Account, Holder, ManagedPolicy, Spread};
use crate::aws::xml::Xml;

/// How many characters a managed policy may have. AWS: "IAM and AWS STS quotas".
pub(super) const SIZE_QUOTA: usize = 6_144;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::write(
        "CreatePolicy",
        Target::NewPolicy,
        &["PolicyName", "Path", "PolicyDocument", "Description", "Tags"],
        create,
    ),
    Operation::read("GetPolicy", Target::Policy, &["PolicyArn"], get),
    Operation::read(
        "ListPolicies",
        Target::Any,
        &["Scope", "OnlyAttached", "PathPrefix", "PolicyUsageFilter", "Marker", "MaxItems"],
        list,
    ),
    Operation::write("DeletePolicy", Target::Policy, &["PolicyArn"], delete),
    Operation::read(
        "ListEntitiesForPolicy",
        Target::Policy,
        &["PolicyArn", "EntityFilter", "PathPrefix", "PolicyUsageFilter", "Marker", "MaxItems"],
        entities,
    ),
];

fn create(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.params.required("PolicyName")?;
    check_name("policyName", name, 128)?;
    let path = check_path(call.params.get("Path"))?;
    let document = read_document(call.params.required("PolicyDocument")?)?;
    let arn = format!("arn:aws:iam::{}:policy{path}{name}", call.caller.account);
    if call.account()?.policies.values().any(|it| it.name.eq_ignore_ascii_case(name)) {
        let message =
            format!("A policy called {name} already exists. Duplicate names are not allowed.");
        return Err(AwsError::new(409, "EntityAlreadyExists", message));
    }
    let version = Version { document: document.clone(), created: call.at.now };
    let policy = ManagedPolicy {
        id: ids::unique_id(&mut call.world.rng, "ANPA"),
        arn: arn.clone(),
        name: name.to_owned(),
        path,
        description: call.params.get("Description").map(str::to_owned),
        created: call.at.now,
        updated: call.at.now,
        tags: call.params.tags()?,
        versions: BTreeMap::from([(1, version)]),
        default_version: 1,
        next_version: 2,
        document: Spread::settled(document),
    };
    let mut xml = Xml::default();
    let account = call.account_mut()?;
    xml.nest("Policy", |xml| write(xml, account, &policy, true));
    account.policies.insert(arn, policy);
    Ok(xml)
}

pub(super) fn read_document(text: &str) -> Result<Arc<Document>, AwsError> {
    let document = Document::parse(text, Kind::Identity)?;
    if Document::counted_size(text) > SIZE_QUOTA {
        return Err(AwsError::limit(format!("Cannot exceed quota for PolicySize: {SIZE_QUOTA}")));
    }
    Ok(Arc::new(document))
}

fn get(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let policy = find(call, call.params.required("PolicyArn")?)?;
    let account = call.account()?;
    let mut xml = Xml::default();
    xml.nest("Policy", |xml| write(xml, account, policy, true));
    Ok(xml)
}

/// The policy, the account's or AWS's.
pub(super) fn find<'c>(call: &'c Call<'_>, arn: &str) -> Result<&'c ManagedPolicy, AwsError> {
    let found = call.world.managed_policy(&call.caller.account, arn);
    found.ok_or_else(|| missing(arn))
}

pub(super) fn missing(arn: &str) -> AwsError {
    AwsError::no_such_entity(format!("Policy {arn} was not found."))
}

fn list(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let scope = call.params.get("Scope").unwrap_or("All");
    let (aws, local) = match scope {
        "All" => (true, true),
        "AWS" => (true, false),
        "Local" => (false, true),
        other => return Err(AwsError::validation(format!("{other} is not a Scope"))),
    };
    let prefix = call.params.get("PathPrefix").unwrap_or("/");
    let only_attached = call.params.flag("OnlyAttached");
    let usage = call.params.get("PolicyUsageFilter");
    let account = call.account()?;
    let all = call.world.aws_policies.iter().filter(|_| aws);
    let mut all: Vec<_> = all.chain(account.policies.iter().filter(|_| local)).collect();
    all.retain(|(arn, policy)| {
        let (attached, bounds) = (account.attachment_count(arn), account.boundary_count(arn));
        let used = match usage {
            Some("PermissionsPolicy") => attached > 0,
            Some("PermissionsBoundary") => bounds > 0,
            _ => !only_attached || attached + bounds > 0,
        };
        used && policy.path.starts_with(prefix)
    });
    all.sort_by(|left, right| left.0.cmp(right.0));
    let page = page(call.params, call.world.settings.page_size, |after| {
        let from = after.map_or(0, |after| all.partition_point(|(arn, _)| arn.as_str() <= after));
        let rest: Vec<_> = all[from..].iter().map(|(arn, it)| ((*arn).clone(), *it)).collect();
        rest.into_iter()
    })?;
    let mut xml = Xml::default();
    xml.list("Policies", &page.items, |xml, policy| {
        write(xml, account, policy, false);
    });
    page.close(&mut xml);
    Ok(xml)
}

fn delete(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let arn = call.params.required("PolicyArn")?;
    let account = call.account_mut()?;
    let policy = account.policies.get(arn).ok_or_else(|| missing(arn))?;
    let versions = policy.versions.len();
    if account.attachment_count(arn) + account.boundary_count(arn) > 0 {
        return Err(AwsError::delete_conflict("Cannot delete a policy attached to entities."));
    }
    if versions > 1 {
        let message = "This policy has more than one version. Before you delete a policy, you \
                       must delete the policy's versions. The default version is deleted with the \
                       policy.";
        return Err(AwsError::delete_conflict(message));
    }
    account.policies.remove(arn);
    Ok(Xml::default())
}

fn entities(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let arn = call.params.required("PolicyArn")?;
    find(call, arn)?;
    let account = call.account()?;
    let (attached, bounds) = match call.params.get("PolicyUsageFilter") {
        None => (true, true),
        Some("PermissionsPolicy") => (true, false),
        Some("PermissionsBoundary") => (false, true),
        Some(other) => return Err(AwsError::validation(format!("{other} is no usage filter"))),
    };
    let wanted = call.params.get("EntityFilter");
    let of = |holders: &std::collections::HashMap<String, std::collections::BTreeSet<_>>,
              on: bool| {
        holders.get(arn).filter(|_| on).cloned().unwrap_or_default()
    };
    let mut holders = of(&account.attachments, attached);
    holders.extend(of(&account.boundaries, bounds));
    holders.retain(|(holder, _): &(Holder, String)| wanted.is_none_or(|it| it == holder.word()));
    let entries = holders
        .into_iter()
        .map(|(holder, name)| (format!("{}/{name}", holder as u8), (holder, name)));
    let page = crate::aws::paging::page_of(call.params, call.world.settings.page_size, entries)?;
    let mut xml = Xml::default();
    for (element, kind) in [
        ("PolicyGroups", Holder::Group),
        ("PolicyUsers", Holder::User),
        ("PolicyRoles", Holder::Role),
    ] {
        let names = page.items.iter().filter(|(holder, _)| *holder == kind);
        xml.list(element, names, |xml, (holder, name)| {
            xml.text(holder.parameter(), name);
            xml.maybe(&format!("{}Id", holder.word()), account.id_of(*holder, name));
        });
    }
    page.close(&mut xml);
    Ok(xml)
}

pub(super) fn write(xml: &mut Xml, account: &Account, policy: &ManagedPolicy, whole: bool) {
    xml.text("PolicyName", &policy.name).text("PolicyId", &policy.id).text("Arn", &policy.arn);
    xml.text("Path", &policy.path).text("DefaultVersionId", format!("v{}", policy.default_version));
    xml.number("AttachmentCount", account.attachment_count(&policy.arn));
    xml.number("PermissionsBoundaryUsageCount", account.boundary_count(&policy.arn));
    xml.flag("IsAttachable", true);
    xml.time("CreateDate", policy.created).time("UpdateDate", policy.updated);
    if whole {
        xml.maybe("Description", policy.description.as_deref());
        if !policy.tags.is_empty() {
            super::tags::write(xml, &policy.tags);
        }
    }
}
