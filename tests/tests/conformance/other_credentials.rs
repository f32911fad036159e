//! Passwords, SSH keys, certificates, service-specific credentials and MFA devices.

use aws_sdk_iam::types::StatusType;

use crate::Check;
use crate::server::{Server, ok, refused, same, shaped};

crate::behaviours! {
    "iam", "a login profile that is not there is NoSuchEntity" => no_login;
    "iam", "a second login profile is EntityAlreadyExists" => second_login;
    "iam", "a deleted login profile is gone" => deleted_login;
    "iam", "an SSH key is uploaded, deactivated and listed as inactive" => ssh_key;
    "iam", "a sixth SSH key is refused with LimitExceeded" => sixth_ssh_key;
    "iam", "a signing certificate is uploaded, deactivated and listed as inactive" => certificate;
    "iam", "a third signing certificate is refused with LimitExceeded" => third_certificate;
    "iam", "a service-specific credential is made, deactivated and listed as inactive" => service_credential;
    "iam", "a third service-specific credential of a service is refused with LimitExceeded" => third_service_credential;
    "iam", "a reset service-specific credential has another password" => reset_service_credential;
    "iam", "an MFA device is enabled, listed and deactivated" => mfa;
    "iam", "an enabled virtual MFA device cannot be deleted: DeleteConflict" => delete_enabled_mfa;
}

const CODECOMMIT: &str = "codecommit.amazonaws.com";

fn ssh_body(number: usize) -> String {
    // The key's form is checked, its mathematics are not: a 2,048 bit modulus of one repeated digit.
    let digits = "ABCDEFGHIJ".chars().nth(number).unwrap_or('Z').to_string().repeat(342);
    format!("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC{digits}== test-{number}")
}

fn certificate_body(number: usize) -> String {
    let line = "MIIB".chars().cycle().take(60 + number).collect::<String>();
    format!("-----BEGIN CERTIFICATE-----\n{line}\n-----END CERTIFICATE-----")
}

async fn no_login(server: Server) -> Check {
    let name = server.user().await?;
    let asked = server.admin().iam.get_login_profile().user_name(name).send().await;
    refused(asked, "NoSuchEntity", 404)
}

async fn second_login(server: Server) -> Check {
    let (name, iam) = (server.user().await?, server.admin().iam);
    let create = || iam.create_login_profile().user_name(&name).password("Correct-h0rse").send();
    ok(create().await)?;
    refused(create().await, "EntityAlreadyExists", 409)
}

async fn deleted_login(server: Server) -> Check {
    let (name, iam) = (server.user().await?, server.admin().iam);
    let create = iam.create_login_profile().user_name(&name).password("Correct-h0rse");
    ok(create.send().await)?;
    ok(iam.get_login_profile().user_name(&name).send().await)?;
    ok(iam.delete_login_profile().user_name(&name).send().await)?;
    refused(iam.get_login_profile().user_name(&name).send().await, "NoSuchEntity", 404)
}

async fn ssh_key(server: Server) -> Check {
    let (name, iam) = (server.user().await?, server.admin().iam);
    let upload = iam.upload_ssh_public_key().user_name(&name).ssh_public_key_body(ssh_body(0));
    let made = ok(upload.send().await)?;
    let id = made.ssh_public_key().ok_or("no key in the answer")?.ssh_public_key_id().to_owned();
    shaped(&id, "APKA", 21)?;
    let update = iam.update_ssh_public_key().user_name(&name).ssh_public_key_id(&id);
    ok(update.status(StatusType::Inactive).send().await)?;
    let list = ok(iam.list_ssh_public_keys().user_name(&name).send().await)?;
    let found: Vec<_> = list.ssh_public_keys().iter().map(|it| it.status().clone()).collect();
    same(found, vec![StatusType::Inactive])
}

async fn sixth_ssh_key(server: Server) -> Check {
    let (name, iam) = (server.user().await?, server.admin().iam);
    let upload = |number| {
        iam.upload_ssh_public_key().user_name(&name).ssh_public_key_body(ssh_body(number)).send()
    };
    for number in 0..5 {
        ok(upload(number).await)?;
    }
    refused(upload(5).await, "LimitExceeded", 409)
}

async fn certificate(server: Server) -> Check {
    let (name, iam) = (server.user().await?, server.admin().iam);
    let upload = iam.upload_signing_certificate().user_name(&name);
    let made = ok(upload.certificate_body(certificate_body(0)).send().await)?;
    let id = made.certificate().ok_or("no certificate in the answer")?.certificate_id().to_owned();
    let update = iam.update_signing_certificate().user_name(&name).certificate_id(&id);
    ok(update.status(StatusType::Inactive).send().await)?;
    let list = ok(iam.list_signing_certificates().user_name(&name).send().await)?;
    let found: Vec<_> = list.certificates().iter().map(|it| it.status().clone()).collect();
    same(found, vec![StatusType::Inactive])
}

async fn third_certificate(server: Server) -> Check {
    let (name, iam) = (server.user().await?, server.admin().iam);
    let upload = |number| {
        let upload = iam.upload_signing_certificate().user_name(&name);
        upload.certificate_body(certificate_body(number)).send()
    };
    ok(upload(0).await)?;
    ok(upload(1).await)?;
    refused(upload(2).await, "LimitExceeded", 409)
}

async fn service_credential(server: Server) -> Check {
    let (name, iam) = (server.user().await?, server.admin().iam);
    let create = iam.create_service_specific_credential().user_name(&name);
    let made = ok(create.service_name(CODECOMMIT).send().await)?;
    let made = made.service_specific_credential().ok_or("no credential in the answer")?;
    let id = made.service_specific_credential_id();
    shaped(id, "ACCA", 21)?;
    let update = iam.update_service_specific_credential().user_name(&name);
    let update = update.service_specific_credential_id(id).status(StatusType::Inactive);
    ok(update.send().await)?;
    let list = ok(iam.list_service_specific_credentials().user_name(&name).send().await)?;
    let found = list.service_specific_credentials().iter();
    same(found.map(|it| it.status().clone()).collect(), vec![StatusType::Inactive])
}

async fn third_service_credential(server: Server) -> Check {
    let (name, iam) = (server.user().await?, server.admin().iam);
    let create = || {
        let create = iam.create_service_specific_credential().user_name(&name);
        create.service_name(CODECOMMIT).send()
    };
    ok(create().await)?;
    ok(create().await)?;
    refused(create().await, "LimitExceeded", 409)
}

async fn reset_service_credential(server: Server) -> Check {
    let (name, iam) = (server.user().await?, server.admin().iam);
    let create = iam.create_service_specific_credential().user_name(&name);
    let made = ok(create.service_name(CODECOMMIT).send().await)?;
    let made = made.service_specific_credential().ok_or("no credential in the answer")?;
    let reset = iam.reset_service_specific_credential().user_name(&name);
    let reset = reset.service_specific_credential_id(made.service_specific_credential_id());
    let reset = ok(reset.send().await)?;
    let after = reset.service_specific_credential().map(|it| it.service_password().to_owned());
    same(after.as_deref() == Some(made.service_password()), false)
}

async fn device(server: &Server) -> Result<(String, String), String> {
    let (name, iam) = (server.user().await?, server.admin().iam);
    let create = iam.create_virtual_mfa_device().virtual_mfa_device_name(server.name("phone"));
    let made = ok(create.send().await)?;
    let made = made.virtual_mfa_device().ok_or("no device in the answer")?;
    let serial = made.serial_number().to_owned();
    let enable = iam.enable_mfa_device().user_name(&name).serial_number(&serial);
    let enable = enable.authentication_code1("123456").authentication_code2("234567");
    ok(enable.send().await)?;
    Ok((name, serial))
}

async fn mfa(server: Server) -> Check {
    let (name, serial) = device(&server).await?;
    let iam = server.admin().iam;
    let list = ok(iam.list_mfa_devices().user_name(&name).send().await)?;
    let found: Vec<_> = list.mfa_devices().iter().map(|it| it.serial_number()).collect();
    same(found, vec![serial.as_str()])?;
    let off = iam.deactivate_mfa_device().user_name(&name).serial_number(&serial);
    ok(off.send().await)?;
    let list = ok(iam.list_mfa_devices().user_name(&name).send().await)?;
    same(list.mfa_devices().len(), 0)
}

async fn delete_enabled_mfa(server: Server) -> Check {
    let (_, serial) = device(&server).await?;
    let delete = server.admin().iam.delete_virtual_mfa_device().serial_number(serial);
    refused(delete.send().await, "DeleteConflict", 409)
}
