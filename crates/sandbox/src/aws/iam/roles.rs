//! Roles.

use std::sync::Arc;

use super::{check_name, check_path, encoded, trust};
use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::ids;
use crate::aws::paging::page;
use crate::aws::policy::{Document, Kind};
use crate::aws::state::{Grants, Holder, Role, Spread, World};
use crate::aws::xml::Xml;

const CREATE: &[&str] = &[
    "RoleName",
    "Path",
    "AssumeRolePolicyDocument",
    "Description",
    "MaxSessionDuration",
    "PermissionsBoundary",
    "Tags",
];
const UPDATE: &[&str] = &["RoleName", "Description", "MaxSessionDuration"];

/// How many characters a trust policy may have. AWS: "IAM and AWS STS quotas" (2,048 by default,
/// 4,096 at most).
const TRUST_QUOTA: usize = 2_048;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::write("CreateRole", Target::Role, CREATE, create),
    Operation::write(
        "CreateServiceLinkedRole",
        Target::Any,
        &["AWSServiceName", "Description", "CustomSuffix"],
        create_service_linked,
    ),
    Operation::read("GetRole", Target::Role, &["RoleName"], get),
    Operation::read("ListRoles", Target::Any, &["PathPrefix", "Marker", "MaxItems"], list),
    Operation::write("UpdateRole", Target::Role, UPDATE, update),
    Operation::write(
        "UpdateAssumeRolePolicy",
        Target::Role,
        &["RoleName", "PolicyDocument"],
        update_trust,
    ),
    Operation::write("DeleteRole", Target::Role, &["RoleName"], delete),
];

fn create(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.params.required("RoleName")?.to_owned();
    check_name("roleName", &name, 64)?;
    let path = check_path(call.params.get("Path"))?;
    if call.account()?.roles.contains(&name) {
        return Err(AwsError::exists("Role", &name));
    }
    let trust =
        trust::tie(call.world, call.params.required("AssumeRolePolicyDocument")?, Kind::Trust)?;
    let boundary = super::boundaries::wanted(call)?;
    let role = Role {
        id: ids::unique_id(&mut call.world.rng, "AROA"),
        path,
        account: call.caller.account.clone(),
        created: call.at.now,
        description: call.params.get("Description").map(str::to_owned),
        max_session: max_session(call)?.unwrap_or(3_600),
        tags: call.params.tags()?,
        grants: Grants::default(),
        boundary: Spread::settled(boundary.clone()),
        trust: Spread::appearing(None, Some(Arc::new(trust)), &call.at),
        service_linked: false,
        deleted: Spread::settled(false),
        last_used: None,
        name,
    };
    call.account_mut()?.note_boundary(Holder::Role, &role.name, None, boundary.as_deref());
    keep(call, role)
}

fn create_service_linked(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let service = call.params.required("AWSServiceName")?.to_owned();
    let (stem, _) = service.split_once('.').ok_or_else(|| {
        AwsError::new(400, "InvalidInput", format!("{service} is not an AWS service"))
    })?;
    let suffix = call.params.get("CustomSuffix").map_or(String::new(), |it| format!("_{it}"));
    let mut letters = stem.chars();
    let stem: String =
        letters.next().map(|it| it.to_ascii_uppercase()).into_iter().chain(letters).collect();
    let name = format!("AWSServiceRoleFor{stem}{suffix}");
    if call.account()?.roles.contains(&name) {
        let message = format!(
            "Service role name {name} has been taken in this account, please try a different suffix."
        );
        return Err(AwsError::new(400, "InvalidInput", message));
    }
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Action":["sts:AssumeRole"],"Effect":"Allow","Principal":{{"Service":["{service}"]}}}}]}}"#
    );
    let trust = trust::tie(call.world, &text, Kind::Trust)?;
    let role = Role {
        id: ids::unique_id(&mut call.world.rng, "AROA"),
        name,
        path: format!("/aws-service-role/{service}/"),
        account: call.caller.account.clone(),
        created: call.at.now,
        description: call.params.get("Description").map(str::to_owned),
        max_session: 3_600,
        tags: crate::aws::state::Tags::new(),
        grants: Grants::default(),
        boundary: Spread::settled(None),
        trust: Spread::appearing(None, Some(Arc::new(trust)), &call.at),
        service_linked: true,
        deleted: Spread::settled(false),
        last_used: None,
    };
    keep(call, role)
}

fn keep(call: &mut Call<'_>, role: Role) -> Result<Xml, AwsError> {
    let mut xml = Xml::default();
    xml.nest("Role", |xml| write(xml, call.world, &role, true));
    call.account_mut()?.roles.insert(role);
    Ok(xml)
}

fn get(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let role = call.account()?.role(call.params.required("RoleName")?)?;
    let mut xml = Xml::default();
    xml.nest("Role", |xml| write(xml, call.world, role, true));
    Ok(xml)
}

fn list(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let prefix = call.params.get("PathPrefix").unwrap_or("/");
    let account = call.account()?;
    let page = page(call.params, call.world.settings.page_size, |after| {
        let roles = account.roles.after(after).filter(|role| role.path.starts_with(prefix));
        roles.map(|role| (role.name.to_ascii_lowercase(), role))
    })?;
    let mut xml = Xml::default();
    xml.list("Roles", &page.items, |xml, role| {
        write(xml, call.world, role, false);
    });
    page.close(&mut xml);
    Ok(xml)
}

fn update(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let max_session = max_session(call)?;
    let description = call.params.get("Description").map(str::to_owned);
    let name = call.params.required("RoleName")?;
    let role = call.account_mut()?.role_mut(name)?;
    refuse_service_linked(role)?;
    role.max_session = max_session.unwrap_or(role.max_session);
    role.description = description.or(role.description.take());
    Ok(Xml::default())
}

fn update_trust(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.params.required("RoleName")?;
    refuse_service_linked(call.account()?.role(name)?)?;
    let trust = trust::tie(call.world, call.params.required("PolicyDocument")?, Kind::Trust)?;
    let size = Document::counted_size(&trust.document.text);
    if size > TRUST_QUOTA {
        let message = format!("Cannot exceed quota for ACLSizePerRole: {TRUST_QUOTA}");
        return Err(AwsError::limit(message));
    }
    let at = call.at;
    call.account_mut()?.role_mut(name)?.trust.set(Some(Arc::new(trust)), &at);
    Ok(Xml::default())
}

fn delete(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.params.required("RoleName")?;
    let at = call.at;
    let account = call.account_mut()?;
    let role = account.role(name)?;
    refuse_service_linked(role)?;
    let (name, boundary) = (role.name.clone(), role.boundary.latest().clone());
    let obstacle = if !role.grants.inline.latest().is_empty() {
        Some("must delete policies first")
    } else if !role.grants.attached.latest().is_empty() {
        Some("must detach all policies first")
    } else if account.instance_profiles.values().any(|it| it.roles.contains(&name)) {
        Some("must remove roles from instance profile first")
    } else {
        None
    };
    if let Some(obstacle) = obstacle {
        return Err(AwsError::delete_conflict(format!("Cannot delete entity, {obstacle}.")));
    }
    account.note_boundary(Holder::Role, &name, boundary.as_deref(), None);
    if let Some(role) = account.roles.remove(&name) {
        role.deleted.set(true, &at);
    }
    Ok(Xml::default())
}

/// Service-linked roles are changed by their service alone.
pub(super) fn refuse_service_linked(role: &Role) -> Result<(), AwsError> {
    if role.service_linked {
        let message = format!(
            "Cannot perform the operation on the protected role '{}' - this role is only \
             modifiable by AWS",
            role.name
        );
        return Err(AwsError::new(400, "UnmodifiableEntity", message));
    }
    Ok(())
}

fn max_session(call: &Call<'_>) -> Result<Option<i64>, AwsError> {
    match call.params.number("MaxSessionDuration")? {
        Some(seconds) if !(3_600..=43_200).contains(&seconds) => Err(AwsError::validation(
            "1 validation error detected: Value at 'maxSessionDuration' failed to satisfy \
             constraint: Member must be between 3600 and 43200",
        )),
        wanted => Ok(wanted),
    }
}

pub(super) fn write(xml: &mut Xml, world: &World, role: &Role, whole: bool) {
    xml.text("Path", &role.path).text("RoleName", &role.name).text("RoleId", &role.id);
    xml.text("Arn", role.arn()).time("CreateDate", role.created);
    if let Some(trust) = role.trust.latest() {
        xml.text("AssumeRolePolicyDocument", encoded(&trust::shown(world, trust)));
    }
    xml.maybe("Description", role.description.as_deref());
    xml.number("MaxSessionDuration", role.max_session);
    if whole {
        if let Some(boundary) = role.boundary.latest() {
            super::boundaries::write(xml, boundary);
        }
        if !role.tags.is_empty() {
            super::tags::write(xml, &role.tags);
        }
        xml.nest("RoleLastUsed", |xml| {
            if let Some((at, region)) = &role.last_used {
                xml.time("LastUsedDate", *at).text("Region", region);
            }
        });
    }
}
