//! Managed policies on users, roles and groups.

use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::paging::page_of;
use crate::aws::state::grants::ATTACHED_QUOTA;
use crate::aws::state::{Holder, World};
use crate::aws::xml::Xml;

const LIST_USER: &[&str] = &["UserName", "PathPrefix", "Marker", "MaxItems"];
const LIST_ROLE: &[&str] = &["RoleName", "PathPrefix", "Marker", "MaxItems"];
const LIST_GROUP: &[&str] = &["GroupName", "PathPrefix", "Marker", "MaxItems"];

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::write("AttachUserPolicy", Target::User, &["UserName", "PolicyArn"], |it| {
        attach(it, Holder::User)
    }),
    Operation::write("AttachRolePolicy", Target::Role, &["RoleName", "PolicyArn"], |it| {
        attach(it, Holder::Role)
    }),
    Operation::write("AttachGroupPolicy", Target::Group, &["GroupName", "PolicyArn"], |it| {
        attach(it, Holder::Group)
    }),
    Operation::write("DetachUserPolicy", Target::User, &["UserName", "PolicyArn"], |it| {
        detach(it, Holder::User)
    }),
    Operation::write("DetachRolePolicy", Target::Role, &["RoleName", "PolicyArn"], |it| {
        detach(it, Holder::Role)
    }),
    Operation::write("DetachGroupPolicy", Target::Group, &["GroupName", "PolicyArn"], |it| {
        detach(it, Holder::Group)
    }),
    Operation::read("ListAttachedUserPolicies", Target::User, LIST_USER, |it| {
        list(it, Holder::User)
    }),
    Operation::read("ListAttachedRolePolicies", Target::Role, LIST_ROLE, |it| {
        list(it, Holder::Role)
    }),
    Operation::read("ListAttachedGroupPolicies", Target::Group, LIST_GROUP, |it| {
        list(it, Holder::Group)
    }),
];

fn attach(call: &mut Call<'_>, holder: Holder) -> Result<Xml, AwsError> {
    let name = call.params.required(holder.parameter())?;
    let arn = call.params.required("PolicyArn")?;
    let at = call.at;
    call.account()?.grants(holder, name)?;
    if call.world.managed_policy(&call.caller.account, arn).is_none() {
        let message = format!("Policy {arn} does not exist or is not attachable.");
        return Err(AwsError::no_such_entity(message));
    }
    let name = checked_name(call, holder, name)?;
    let account = call.account_mut()?;
    let grants = account.grants_mut(holder, &name)?;
    if grants.attached.latest().contains(arn) {
        return Ok(Xml::default());
    }
    if grants.attached.latest().len() >= ATTACHED_QUOTA {
        let holder = holder.word();
        let message = format!("Cannot exceed quota for PoliciesPer{holder}: {ATTACHED_QUOTA}");
        return Err(AwsError::limit(message));
    }
    grants.change_attached(&at, |attached| {
        attached.insert(arn.to_owned());
    });
    account.note_attachment(holder, &name, None, Some(arn));
    Ok(Xml::default())
}

fn detach(call: &mut Call<'_>, holder: Holder) -> Result<Xml, AwsError> {
    let name = call.params.required(holder.parameter())?;
    let arn = call.params.required("PolicyArn")?;
    let at = call.at;
    let name = checked_name(call, holder, name)?;
    let account = call.account_mut()?;
    let grants = account.grants_mut(holder, &name)?;
    if !grants.attached.latest().contains(arn) {
        return Err(AwsError::no_such_entity(format!("Policy {arn} was not found.")));
    }
    grants.change_attached(&at, |attached| {
        attached.remove(arn);
    });
    account.note_attachment(holder, &name, Some(arn), None);
    Ok(Xml::default())
}

fn list(call: &mut Call<'_>, holder: Holder) -> Result<Xml, AwsError> {
    let name = call.params.required(holder.parameter())?;
    let prefix = call.params.get("PathPrefix").unwrap_or("/");
    let attached = call.account()?.grants(holder, name)?.attached.latest();
    let arns = attached.iter().filter(|arn| path_of(arn).starts_with(prefix));
    let arns = arns.map(|arn| (arn.clone(), arn));
    let page = page_of(call.params, call.world.settings.page_size, arns)?;
    let mut xml = Xml::default();
    write(&mut xml, call.world, &call.caller.account, page.items.iter().map(|it| it.as_str()));
    page.close(&mut xml);
    Ok(xml)
}

/// The holder's name as it was made (names are found whatever their case); a service-linked
/// role is refused.
fn checked_name(call: &Call<'_>, holder: Holder, name: &str) -> Result<String, AwsError> {
    let account = call.account()?;
    match holder {
        Holder::User => account.user(name).map(|it| it.name.clone()),
        Holder::Group => account.group(name).map(|it| it.name.clone()),
        Holder::Role => {
            let role = account.role(name)?;
            super::roles::refuse_service_linked(role)?;
            Ok(role.name.clone())
        }
    }
}

/// The `AttachedPolicies` element.
pub(super) fn write<'a>(
    xml: &mut Xml,
    world: &World,
    account: &str,
    arns: impl Iterator<Item = &'a str>,
) {
    let element = "AttachedPolicies";
    write_as(element, xml, world, account, arns);
}

/// As [`write`], under another name.
pub(super) fn write_as<'a>(
    element: &str,
    xml: &mut Xml,
    world: &World,
    account: &str,
    arns: impl Iterator<Item = &'a str>,
) {
    xml.list(element, arns, |xml, arn| {
        let policy = world.managed_policy(account, arn);
        let name = policy.map_or_else(|| arn.rsplit('/').next().unwrap_or(arn), |it| &it.name);
        xml.text("PolicyName", name).text("PolicyArn", arn);
    });
}

/// The path inside a policy's ARN.
fn path_of(arn: &str) -> &str {
    let rest = arn.split_once(":policy").map_or("/", |(_, rest)| rest);
    rest.rfind('/').map_or("/", |end| &rest[..=end])
}
