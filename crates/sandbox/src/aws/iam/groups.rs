//! Groups and who is in them.

use super::{check_name, check_path};
use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::ids;
use crate::aws::paging::{page, page_of};
use crate::aws::state::{Grants, Group};
use crate::aws::xml::Xml;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::write("CreateGroup", Target::Group, &["GroupName", "Path"], create),
    Operation::read("GetGroup", Target::Group, &["GroupName", "Marker", "MaxItems"], get),
    Operation::read("ListGroups", Target::Any, &["PathPrefix", "Marker", "MaxItems"], list),
    Operation::write("DeleteGroup", Target::Group, &["GroupName"], delete),
    Operation::write("AddUserToGroup", Target::Group, &["GroupName", "UserName"], add),
    Operation::write("RemoveUserFromGroup", Target::Group, &["GroupName", "UserName"], remove),
    Operation::read(
        "ListGroupsForUser",
        Target::User,
        &["UserName", "Marker", "MaxItems"],
        list_for_user,
    ),
];

fn create(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.params.required("GroupName")?.to_owned();
    check_name("groupName", &name, 128)?;
    let path = check_path(call.params.get("Path"))?;
    if call.account()?.groups.contains(&name) {
        return Err(AwsError::exists("Group", &name));
    }
    let group = Group {
        id: ids::unique_id(&mut call.world.rng, "AGPA"),
        name,
        path,
        account: call.caller.account.clone(),
        created: call.at.now,
        grants: Grants::default(),
        members: std::collections::BTreeSet::new(),
    };
    let mut xml = Xml::default();
    xml.nest("Group", |xml| write(xml, &group));
    call.account_mut()?.groups.insert(group);
    Ok(xml)
}

fn get(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let account = call.account()?;
    let group = account.group(call.params.required("GroupName")?)?;
    let members = group.members.iter().filter_map(|name| account.users.named(name));
    let members = members.map(|user| (user.name.clone(), user));
    let page = page_of(call.params, call.world.settings.page_size, members)?;
    let mut xml = Xml::default();
    xml.nest("Group", |xml| write(xml, group));
    xml.list("Users", &page.items, |xml, user| {
        super::users::write(xml, user, false);
    });
    page.close(&mut xml);
    Ok(xml)
}

fn list(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let prefix = call.params.get("PathPrefix").unwrap_or("/");
    let account = call.account()?;
    let page = page(call.params, call.world.settings.page_size, |after| {
        let groups = account.groups.after(after).filter(|group| group.path.starts_with(prefix));
        groups.map(|group| (group.name.to_ascii_lowercase(), group))
    })?;
    let mut xml = Xml::default();
    xml.list("Groups", &page.items, |xml, group| write(xml, group));
    page.close(&mut xml);
    Ok(xml)
}

fn delete(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.params.required("GroupName")?;
    let account = call.account_mut()?;
    let group = account.group(name)?;
    let obstacle = if !group.members.is_empty() {
        Some("must remove users from group first")
    } else if !group.grants.is_empty() {
        Some("must delete policies first")
    } else {
        None
    };
    if let Some(obstacle) = obstacle {
        return Err(AwsError::delete_conflict(format!("Cannot delete entity, {obstacle}.")));
    }
    account.groups.remove(name);
    Ok(Xml::default())
}

fn add(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let (group, user) = (call.params.required("GroupName")?, call.params.required("UserName")?);
    let at = call.at;
    call.account_mut()?.join(group, user, &at)?;
    Ok(Xml::default())
}

fn remove(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let (group, user) = (call.params.required("GroupName")?, call.params.required("UserName")?);
    let at = call.at;
    call.account_mut()?.leave(group, user, &at)?;
    Ok(Xml::default())
}

fn list_for_user(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let account = call.account()?;
    let user = account.user(call.params.required("UserName")?)?;
    let groups = user.groups.latest().iter().filter_map(|name| account.groups.named(name));
    let groups = groups.map(|group| (group.name.clone(), group));
    let page = page_of(call.params, call.world.settings.page_size, groups)?;
    let mut xml = Xml::default();
    xml.list("Groups", &page.items, |xml, group| write(xml, group));
    page.close(&mut xml);
    Ok(xml)
}

fn write(xml: &mut Xml, group: &Group) {
    xml.text("Path", &group.path).text("GroupName", &group.name).text("GroupId", &group.id);
    xml.text("Arn", group.arn()).time("CreateDate", group.created);
}
