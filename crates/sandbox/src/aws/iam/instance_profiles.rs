//! Instance profiles: how EC2 takes a role.

use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::ids;
use crate::aws::paging::page_of;
use crate::aws::state::account::InstanceProfile;
use crate::aws::xml::Xml;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::write(
        "CreateInstanceProfile",
        Target::InstanceProfile,
        &["InstanceProfileName", "Path"],
        create,
    ),
    Operation::write(
        "AddRoleToInstanceProfile",
        Target::InstanceProfile,
        &["InstanceProfileName", "RoleName"],
        add_role,
    ),
    Operation::write(
        "RemoveRoleFromInstanceProfile",
        Target::InstanceProfile,
        &["InstanceProfileName", "RoleName"],
        remove_role,
    ),
    Operation::write(
        "DeleteInstanceProfile",
        Target::InstanceProfile,
        &["InstanceProfileName"],
        delete,
    ),
    Operation::read(
        "ListInstanceProfilesForRole",
        Target::Role,
        &["RoleName", "Marker", "MaxItems"],
        list_for_role,
    ),
];

fn create(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.params.required("InstanceProfileName")?;
    super::check_name("instanceProfileName", name, 128)?;
    let path = super::check_path(call.params.get("Path"))?;
    if call.account()?.instance_profiles.contains_key(name) {
        let message = format!("Instance Profile {name} already exists.");
        return Err(AwsError::new(409, "EntityAlreadyExists", message));
    }
    let profile = InstanceProfile {
        id: ids::unique_id(&mut call.world.rng, "AIPA"),
        arn: format!("arn:aws:iam::{}:instance-profile{path}{name}", call.caller.account),
        name: name.to_owned(),
        path,
        created: call.at.now,
        roles: Vec::new(),
    };
    let mut xml = Xml::default();
    xml.nest("InstanceProfile", |xml| write(xml, call, &profile));
    call.account_mut()?.instance_profiles.insert(name.to_owned(), profile);
    Ok(xml)
}

fn add_role(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let role = call.account()?.role(call.params.required("RoleName")?)?.name.clone();
    let profile = profile_mut(call)?;
    if !profile.roles.is_empty() {
        let message = "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1";
        return Err(AwsError::limit(message));
    }
    profile.roles.push(role);
    Ok(Xml::default())
}

fn remove_role(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let role = call.account()?.role(call.params.required("RoleName")?)?.name.clone();
    let profile = profile_mut(call)?;
    if !profile.roles.contains(&role) {
        return Err(AwsError::no_such("role", &role));
    }
    profile.roles.retain(|it| *it != role);
    Ok(Xml::default())
}

fn delete(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let profile = profile_mut(call)?;
    if !profile.roles.is_empty() {
        let message = "Cannot delete entity, must remove roles from instance profile first.";
        return Err(AwsError::delete_conflict(message));
    }
    let name = profile.name.clone();
    call.account_mut()?.instance_profiles.remove(&name);
    Ok(Xml::default())
}

fn list_for_role(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let account = call.account()?;
    let role = account.role(call.params.required("RoleName")?)?;
    let profiles = account.instance_profiles.values().filter(|it| it.roles.contains(&role.name));
    let profiles = profiles.map(|profile| (profile.name.clone(), profile));
    let page = page_of(call.params, call.world.settings.page_size, profiles)?;
    let mut xml = Xml::default();
    xml.list("InstanceProfiles", &page.items, |xml, profile| {
        write(xml, call, profile);
    });
    page.close(&mut xml);
    Ok(xml)
}

fn profile_mut<'c>(call: &'c mut Call<'_>) -> Result<&'c mut InstanceProfile, AwsError> {
    let name = call.params.required("InstanceProfileName")?;
    let found = call.account_mut()?.instance_profiles.get_mut(name);
    found.ok_or_else(|| {
        AwsError::no_such_entity(format!("Instance Profile {name} cannot be found."))
    })
}

fn write(xml: &mut Xml, call: &Call<'_>, profile: &InstanceProfile) {
    xml.text("InstanceProfileName", &profile.name).text("InstanceProfileId", &profile.id);
    xml.text("Arn", &profile.arn).text("Path", &profile.path);
    xml.time("CreateDate", profile.created);
    let roles = profile.roles.iter().filter_map(|name| call.account().ok()?.roles.named(name));
    xml.list("Roles", roles, |xml, role| {
        super::roles::write(xml, call.world, role, false);
    });
}
