//! MFA devices.

use base64::Engine as _;

use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::ids;
use crate::aws::paging::page_of;
use crate::aws::state::account::MfaDevice;
use crate::aws::xml::Xml;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::write(
        "CreateVirtualMFADevice",
        Target::Mfa,
        &["VirtualMFADeviceName", "Path"],
        create,
    ),
    Operation::write(
        "EnableMFADevice",
        Target::User,
        &["UserName", "SerialNumber", "AuthenticationCode1", "AuthenticationCode2"],
        enable,
    ),
    Operation::read("ListMFADevices", Target::User, &["UserName", "Marker", "MaxItems"], list),
    Operation::write(
        "DeactivateMFADevice",
        Target::User,
        &["UserName", "SerialNumber"],
        deactivate,
    ),
    Operation::write("DeleteVirtualMFADevice", Target::Mfa, &["SerialNumber"], delete),
    Operation::read(
        "ListVirtualMFADevices",
        Target::Any,
        &["AssignmentStatus", "Marker", "MaxItems"],
        list_virtual,
    ),
];

fn create(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.params.required("VirtualMFADeviceName")?;
    super::check_name("virtualMFADeviceName", name, 226)?;
    let path = super::check_path(call.params.get("Path"))?;
    let serial = format!("arn:aws:iam::{}:mfa{path}{name}", call.caller.account);
    let seed = ids::unique_id(&mut call.world.rng, "");
    let account = call.account_mut()?;
    if account.mfa_devices.contains_key(&serial) {
        let message = "MFADevice entity at the same path and name already exists.";
        return Err(AwsError::new(409, "EntityAlreadyExists", message));
    }
    let device = MfaDevice { serial: serial.clone(), enabled: None };
    account.mfa_devices.insert(serial.clone(), device);
    let mut xml = Xml::default();
    xml.nest("VirtualMFADevice", |xml| {
        xml.text("SerialNumber", &serial);
        xml.text("Base32StringSeed", base64::engine::general_purpose::STANDARD.encode(seed));
    });
    Ok(xml)
}

fn enable(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let (user, serial) = (call.params.required("UserName")?, call.params.required("SerialNumber")?);
    for parameter in ["AuthenticationCode1", "AuthenticationCode2"] {
        let code = call.params.required(parameter)?;
        if code.len() != 6 || !code.bytes().all(|it| it.is_ascii_digit()) {
            let message = "Authentication code for device is not valid.";
            return Err(AwsError::new(403, "InvalidAuthenticationCode", message));
        }
    }
    let at = call.at;
    let account = call.account_mut()?;
    let device = account.mfa_devices.get(serial).ok_or_else(|| missing(serial))?;
    if device.enabled.is_some() {
        let message = "MFA Device is already in use.";
        return Err(AwsError::new(409, "EntityAlreadyExists", message));
    }
    account.enable_mfa(user, serial, &at)?;
    Ok(Xml::default())
}

fn list(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.user_name()?;
    let devices = call.account()?.user(name)?.mfa.latest();
    let devices = devices.iter().map(|(serial, at)| (serial.clone(), (serial, *at)));
    let page = page_of(call.params, call.world.settings.page_size, devices)?;
    let mut xml = Xml::default();
    xml.list("MFADevices", &page.items, |xml, (serial, enabled)| {
        xml.text("UserName", name).text("SerialNumber", serial).time("EnableDate", *enabled);
    });
    page.close(&mut xml);
    Ok(xml)
}

fn deactivate(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let serial = call.params.required("SerialNumber")?;
    let name = call.user_name()?.to_owned();
    let at = call.at;
    let account = call.account_mut()?;
    let user = account.user_mut(&name)?;
    let mut next = user.mfa.latest().as_ref().clone();
    if next.remove(serial).is_none() {
        return Err(missing(serial));
    }
    user.mfa.set(std::sync::Arc::new(next), &at);
    if let Some(device) = account.mfa_devices.get_mut(serial) {
        device.enabled = None;
    }
    Ok(Xml::default())
}

fn delete(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let serial = call.params.required("SerialNumber")?;
    let account = call.account_mut()?;
    let device = account.mfa_devices.get(serial).ok_or_else(|| missing(serial))?;
    if device.enabled.is_some() {
        let message = "Device should be deactivated before it can be deleted";
        return Err(AwsError::delete_conflict(message));
    }
    account.mfa_devices.remove(serial);
    Ok(Xml::default())
}

fn list_virtual(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let wanted = match call.params.get("AssignmentStatus") {
        None | Some("Any") => None,
        Some("Assigned") => Some(true),
        Some("Unassigned") => Some(false),
        Some(other) => {
            return Err(AwsError::validation(format!("{other} is no assignment status")));
        }
    };
    let account = call.account()?;
    let devices = account.mfa_devices.values();
    let devices = devices.filter(|it| wanted.is_none_or(|wanted| it.enabled.is_some() == wanted));
    let devices = devices.map(|device| (device.serial.clone(), device));
    let page = page_of(call.params, call.world.settings.page_size, devices)?;
    let mut xml = Xml::default();
    xml.list("VirtualMFADevices", &page.items, |xml, device| {
        xml.text("SerialNumber", &device.serial);
        if let Some((name, at)) = &device.enabled {
            xml.time("EnableDate", *at);
            if let Some(user) = account.users.named(name) {
                xml.nest("User", |xml| super::users::write(xml, user, false));
            }
        }
    });
    page.close(&mut xml);
    Ok(xml)
}

fn missing(serial: &str) -> AwsError {
    let message = format!("VirtualMFADevice with serial number {serial} doesn't exist.");
    AwsError::no_such_entity(message)
}
