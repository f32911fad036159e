//! Inline policies of users, roles and groups.

use std::sync::Arc;

use super::encoded;
use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::paging::page_of;
use crate::aws::policy::{Document, Kind};
use crate::aws::state::Holder;
use crate::aws::xml::Xml;

const PUT_USER: &[&str] = &["UserName", "PolicyName", "PolicyDocument"];
const PUT_ROLE: &[&str] = &["RoleName", "PolicyName", "PolicyDocument"];
const PUT_GROUP: &[&str] = &["GroupName", "PolicyName", "PolicyDocument"];
const LIST_USER: &[&str] = &["UserName", "Marker", "MaxItems"];
const LIST_ROLE: &[&str] = &["RoleName", "Marker", "MaxItems"];
const LIST_GROUP: &[&str] = &["GroupName", "Marker", "MaxItems"];

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::write("PutUserPolicy", Target::User, PUT_USER, |it| put(it, Holder::User)),
    Operation::write("PutRolePolicy", Target::Role, PUT_ROLE, |it| put(it, Holder::Role)),
    Operation::write("PutGroupPolicy", Target::Group, PUT_GROUP, |it| put(it, Holder::Group)),
    Operation::read("GetUserPolicy", Target::User, &["UserName", "PolicyName"], |it| {
        get(it, Holder::User)
    }),
    Operation::read("GetRolePolicy", Target::Role, &["RoleName", "PolicyName"], |it| {
        get(it, Holder::Role)
    }),
    Operation::read("GetGroupPolicy", Target::Group, &["GroupName", "PolicyName"], |it| {
        get(it, Holder::Group)
    }),
    Operation::read("ListUserPolicies", Target::User, LIST_USER, |it| list(it, Holder::User)),
    Operation::read("ListRolePolicies", Target::Role, LIST_ROLE, |it| list(it, Holder::Role)),
    Operation::read("ListGroupPolicies", Target::Group, LIST_GROUP, |it| list(it, Holder::Group)),
    Operation::write("DeleteUserPolicy", Target::User, &["UserName", "PolicyName"], |it| {
        delete(it, Holder::User)
    }),
    Operation::write("DeleteRolePolicy", Target::Role, &["RoleName", "PolicyName"], |it| {
        delete(it, Holder::Role)
    }),
    Operation::write("DeleteGroupPolicy", Target::Group, &["GroupName", "PolicyName"], |it| {
        delete(it, Holder::Group)
    }),
];

fn put(call: &mut Call<'_>, holder: Holder) -> Result<Xml, AwsError> {
    let name = call.params.required(holder.parameter())?;
    let policy = call.params.required("PolicyName")?.to_owned();
    super::check_name("policyName", &policy, 128)?;
    let text = call.params.required("PolicyDocument")?;
    let at = call.at;
    let account = call.account_mut()?;
    if holder == Holder::Role {
        super::roles::refuse_service_linked(account.role(name)?)?;
    }
    let grants = account.grants_mut(holder, name)?;
    let document = Document::parse(text, Kind::Identity)?;
    let others = grants.inline.latest().iter().filter(|(it, _)| **it != policy);
    let size: usize = others.map(|(_, it)| Document::counted_size(&it.text)).sum();
    let quota = holder.inline_quota();
    if size + Document::counted_size(text) > quota {
        let holder = holder.word().to_ascii_lowercase();
        let message = format!("Maximum policy size of {quota} bytes exceeded for {holder} {name}");
        return Err(AwsError::limit(message));
    }
    grants.change_inline(&at, |inline| {
        inline.insert(policy, Arc::new(document));
    });
    Ok(Xml::default())
}

fn get(call: &mut Call<'_>, holder: Holder) -> Result<Xml, AwsError> {
    let name = call.params.required(holder.parameter())?;
    let policy = call.params.required("PolicyName")?;
    let inline = call.account()?.grants(holder, name)?.inline.latest();
    let document = inline.get(policy).ok_or_else(|| missing(holder, policy))?;
    let mut xml = Xml::default();
    xml.text(holder.parameter(), name).text("PolicyName", policy);
    xml.text("PolicyDocument", encoded(&document.text));
    Ok(xml)
}

fn list(call: &mut Call<'_>, holder: Holder) -> Result<Xml, AwsError> {
    let name = call.params.required(holder.parameter())?;
    let inline = call.account()?.grants(holder, name)?.inline.latest().clone();
    let names = inline.keys().map(|name| (name.clone(), name));
    let page = page_of(call.params, call.world.settings.page_size, names)?;
    let mut xml = Xml::default();
    xml.strings("PolicyNames", &page.items);
    page.close(&mut xml);
    Ok(xml)
}

fn delete(call: &mut Call<'_>, holder: Holder) -> Result<Xml, AwsError> {
    let name = call.params.required(holder.parameter())?;
    let policy = call.params.required("PolicyName")?;
    let at = call.at;
    let account = call.account_mut()?;
    if holder == Holder::Role {
        super::roles::refuse_service_linked(account.role(name)?)?;
    }
    let grants = account.grants_mut(holder, name)?;
    if !grants.inline.latest().contains_key(policy) {
        return Err(missing(holder, policy));
    }
    grants.change_inline(&at, |inline| {
        inline.remove(policy);
    });
    Ok(Xml::default())
}

fn missing(holder: Holder, policy: &str) -> AwsError {
    let holder = holder.word().to_ascii_lowercase();
    AwsError::no_such_entity(format!("The {holder} policy with name {policy} cannot be found."))
}
