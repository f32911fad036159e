//! Users.

use super::{check_name, check_path};
use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::ids;
use crate::aws::paging::page;
use crate::aws::state::named::HasName as _;
use crate::aws::state::{Holder, User};
use crate::aws::xml::Xml;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::write(
        "CreateUser",
        Target::User,
        &["UserName", "Path", "Tags", "PermissionsBoundary"],
        create,
    ),
    Operation::read("GetUser", Target::User, &["UserName"], get),
    Operation::read("ListUsers", Target::Any, &["PathPrefix", "Marker", "MaxItems"], list),
    Operation::write("UpdateUser", Target::User, &["UserName", "NewPath", "NewUserName"], update),
    Operation::write("DeleteUser", Target::User, &["UserName"], delete),
];

fn create(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.params.required("UserName")?.to_owned();
    check_name("userName", &name, 64)?;
    let path = check_path(call.params.get("Path"))?;
    let tags = call.params.tags()?;
    if call.account()?.users.contains(&name) {
        return Err(AwsError::exists("User", &name));
    }
    let boundary = super::boundaries::wanted(call)?;
    let id = ids::unique_id(&mut call.world.rng, "AIDA");
    let mut user = User::new(&call.caller.account, id, &name, &path, call.at.now);
    user.tags = tags;
    let account = call.account_mut()?;
    if let Some(arn) = boundary {
        account.note_boundary(Holder::User, &name, None, Some(&arn));
        user.boundary = crate::aws::state::Spread::settled(Some(arn));
    }
    let mut xml = Xml::default();
    xml.nest("User", |xml| write(xml, &user, true));
    account.users.insert(user);
    Ok(xml)
}

fn get(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let mut xml = Xml::default();
    if call.params.get("UserName").is_none() && call.caller.user_name().is_none() {
        let (account, arn) = (call.caller.account.clone(), call.caller.arn());
        xml.nest("User", |xml| {
            xml.text("UserId", &account).text("Arn", &arn);
            xml.time("CreateDate", chrono::DateTime::UNIX_EPOCH);
        });
        return Ok(xml);
    }
    let user = call.account()?.user(call.user_name()?)?;
    xml.nest("User", |xml| write(xml, user, true));
    Ok(xml)
}

fn list(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let prefix = call.params.get("PathPrefix").unwrap_or("/");
    let account = call.account()?;
    let page = page(call.params, call.world.settings.page_size, |after| {
        let users = account.users.after(after).filter(|user| user.path.starts_with(prefix));
        users.map(|user| (user.name.to_ascii_lowercase(), user))
    })?;
    let mut xml = Xml::default();
    // As AWS: a listing leaves out tags and the boundary.
    xml.list("Users", &page.items, |xml, user| write(xml, user, false));
    page.close(&mut xml);
    Ok(xml)
}

fn update(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.params.required("UserName")?;
    let new_path = call.params.get("NewPath").map(|path| check_path(Some(path))).transpose()?;
    let new_name = call.params.get("NewUserName");
    if let Some(new_name) = new_name {
        check_name("newUserName", new_name, 64)?;
    }
    let account = call.account_mut()?;
    account.user(name)?;
    if let Some(to) = new_name.filter(|to| !to.eq_ignore_ascii_case(name))
        && account.users.contains(to)
    {
        return Err(AwsError::exists("User", to));
    }
    let to = new_name.unwrap_or(name);
    let user = account.users.rename(name, to).ok_or_else(|| AwsError::no_such("user", name))?;
    to.clone_into(&mut user.name);
    if let Some(path) = new_path {
        user.path = path;
    }
    account.user_renamed(name, to);
    Ok(Xml::default())
}

fn delete(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.params.required("UserName")?;
    let at = call.at;
    let account = call.account_mut()?;
    let user = account.user(name)?;
    if let Some(obstacle) = user.obstacle() {
        return Err(AwsError::delete_conflict(format!("Cannot delete entity, {obstacle}.")));
    }
    let (name, boundary) = (user.name().to_owned(), user.boundary.latest().clone());
    account.note_boundary(Holder::User, &name, boundary.as_deref(), None);
    if let Some(user) = account.users.remove(&name) {
        user.deleted.set(true, &at);
    }
    Ok(Xml::default())
}

pub(super) fn write(xml: &mut Xml, user: &User, whole: bool) {
    xml.text("Path", &user.path).text("UserName", &user.name).text("UserId", &user.id);
    xml.text("Arn", user.arn()).time("CreateDate", user.created);
    if whole {
        if let Some(boundary) = user.boundary.latest() {
            super::boundaries::write(xml, boundary);
        }
        if !user.tags.is_empty() {
            super::tags::write(xml, &user.tags);
        }
    }
}
