//! Permissions boundaries of users and roles.

use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::state::{Account, Holder, Spread};
use crate::aws::xml::Xml;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::write(
        "PutUserPermissionsBoundary",
        Target::User,
        &["UserName", "PermissionsBoundary"],
        |call| put(call, Holder::User),
    ),
    Operation::write("DeleteUserPermissionsBoundary", Target::User, &["UserName"], |call| {
        delete(call, Holder::User)
    }),
    Operation::write(
        "PutRolePermissionsBoundary",
        Target::Role,
        &["RoleName", "PermissionsBoundary"],
        |call| put(call, Holder::Role),
    ),
    Operation::write("DeleteRolePermissionsBoundary", Target::Role, &["RoleName"], |call| {
        delete(call, Holder::Role)
    }),
];

/// The `PermissionsBoundary` parameter, where there is one; its policy must exist.
pub(super) fn wanted(call: &Call<'_>) -> Result<Option<String>, AwsError> {
    let Some(arn) = call.params.get("PermissionsBoundary") else {
        return Ok(None);
    };
    if call.world.managed_policy(&call.caller.account, arn).is_none() {
        let message = format!("Scope ARN: {arn} does not exist or is not attachable.");
        return Err(AwsError::no_such_entity(message));
    }
    Ok(Some(arn.to_owned()))
}

fn put(call: &mut Call<'_>, holder: Holder) -> Result<Xml, AwsError> {
    call.params.required("PermissionsBoundary")?;
    let wanted = wanted(call)?;
    set(call, holder, wanted.as_deref())
}

fn delete(call: &mut Call<'_>, holder: Holder) -> Result<Xml, AwsError> {
    let name = call.params.required(holder.parameter())?;
    if boundary_mut(call.account_mut()?, holder, name)?.1.latest().is_none() {
        let message = format!("{} {name} does not have a permissions boundary.", holder.word());
        return Err(AwsError::no_such_entity(message));
    }
    set(call, holder, None)
}

fn set(call: &mut Call<'_>, holder: Holder, next: Option<&str>) -> Result<Xml, AwsError> {
    let name = call.params.required(holder.parameter())?;
    let at = call.at;
    let account = call.account_mut()?;
    if holder == Holder::Role {
        super::roles::refuse_service_linked(account.role(name)?)?;
    }
    let (name, boundary) = boundary_mut(account, holder, name)?;
    let before = boundary.latest().clone();
    boundary.set(next.map(str::to_owned), &at);
    account.note_boundary(holder, &name, before.as_deref(), next);
    Ok(Xml::default())
}

fn boundary_mut<'a>(
    account: &'a mut Account,
    holder: Holder,
    name: &str,
) -> Result<(String, &'a mut Spread<Option<String>>), AwsError> {
    match holder {
        Holder::Role => account.role_mut(name).map(|it| (it.name.clone(), &mut it.boundary)),
        _ => account.user_mut(name).map(|it| (it.name.clone(), &mut it.boundary)),
    }
}

pub(super) fn write(xml: &mut Xml, arn: &str) {
    xml.nest("PermissionsBoundary", |xml| {
        xml.text("PermissionsBoundaryType", "Policy").text("PermissionsBoundaryArn", arn);
    });
}
