//! Service-specific credentials: a user name and a password for one service.

use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::ids;
use crate::aws::paging::page_of;
use crate::aws::state::user::{ServiceCredential, User};
use crate::aws::state::{KeyStatus, Spread};
use crate::aws::xml::Xml;

/// Of one service. AWS: "IAM and AWS STS quotas".
const MOST_PER_SERVICE: usize = 2;

/// The services that have them. AWS: IAM API Reference, `CreateServiceSpecificCredential`.
const SERVICES: [&str; 3] =
    ["codecommit.amazonaws.com", "cassandra.amazonaws.com", "bedrock.amazonaws.com"];

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::write(
        "CreateServiceSpecificCredential",
        Target::User,
        &["UserName", "ServiceName"],
        create,
    ),
    Operation::read(
        "ListServiceSpecificCredentials",
        Target::User,
        &["UserName", "ServiceName", "Marker", "MaxItems"],
        list,
    ),
    Operation::write(
        "UpdateServiceSpecificCredential",
        Target::User,
        &["UserName", "ServiceSpecificCredentialId", "Status"],
        update,
    ),
    Operation::write(
        "ResetServiceSpecificCredential",
        Target::User,
        &["UserName", "ServiceSpecificCredentialId"],
        reset,
    ),
    Operation::write(
        "DeleteServiceSpecificCredential",
        Target::User,
        &["UserName", "ServiceSpecificCredentialId"],
        delete,
    ),
];

fn create(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.user_name()?.to_owned();
    let service = call.params.required("ServiceName")?;
    if !SERVICES.contains(&service) {
        let message =
            format!("No such service {service} is supported for Service Specific Credentials");
        return Err(AwsError::new(404, "NotSupportedService", message));
    }
    let at = call.at;
    let id = ids::unique_id(&mut call.world.rng, "ACCA");
    let password = ids::secret_access_key(&mut call.world.rng);
    let account = call.caller.account.clone();
    let user = call.account_mut()?.user_mut(&name)?;
    let of_service = present(user).filter(|(_, it)| it.service == service).count();
    if of_service >= MOST_PER_SERVICE {
        let message = "Cannot exceed quota for ServiceSpecificCredentialsPerUser: 2";
        return Err(AwsError::limit(message));
    }
    let ordinal = if of_service == 0 { String::new() } else { format!("+{of_service}") };
    let credential = ServiceCredential {
        service: service.to_owned(),
        user_name: format!("{name}{ordinal}-at-{account}"),
        password: Spread::settled(password.clone()),
        created: at.now,
        status: Spread::appearing(KeyStatus::Gone, KeyStatus::Active, &at),
    };
    let mut xml = Xml::default();
    xml.nest("ServiceSpecificCredential", |xml| {
        write(xml, &name, &id, &credential);
        xml.text("ServicePassword", &password);
    });
    user.service_credentials.insert(id, credential);
    Ok(xml)
}

fn list(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.user_name()?;
    let service = call.params.get("ServiceName");
    let user = call.account()?.user(name)?;
    let found = present(user).filter(|(_, it)| service.is_none_or(|wanted| it.service == wanted));
    let found = found.map(|(id, credential)| (id.clone(), (id, credential)));
    let page = page_of(call.params, call.world.settings.page_size, found)?;
    let mut xml = Xml::default();
    xml.list("ServiceSpecificCredentials", &page.items, |xml, (id, credential)| {
        write(xml, name, id, credential);
    });
    page.close(&mut xml);
    Ok(xml)
}

fn update(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let word = call.params.required("Status")?;
    let status = KeyStatus::parse(word)
        .ok_or_else(|| AwsError::validation(format!("{word} is not a status")))?;
    let at = call.at;
    find(call)?.2.status.set(status, &at);
    Ok(Xml::default())
}

fn reset(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let password = ids::secret_access_key(&mut call.world.rng);
    let at = call.at;
    let (name, id, credential) = find(call)?;
    credential.password.set(password.clone(), &at);
    let mut xml = Xml::default();
    xml.nest("ServiceSpecificCredential", |xml| {
        write(xml, &name, &id, credential);
        xml.text("ServicePassword", &password);
    });
    Ok(xml)
}

fn delete(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let at = call.at;
    find(call)?.2.status.set(KeyStatus::Gone, &at);
    Ok(Xml::default())
}

fn present(user: &User) -> impl Iterator<Item = (&String, &ServiceCredential)> {
    user.service_credentials.iter().filter(|(_, it)| *it.status.latest() != KeyStatus::Gone)
}

/// The user's name, and the credential's id and itself.
fn find<'c>(
    call: &'c mut Call<'_>,
) -> Result<(String, String, &'c mut ServiceCredential), AwsError> {
    let id = call.params.required("ServiceSpecificCredentialId")?;
    let name = call.user_name()?.to_owned();
    let user = call.account_mut()?.user_mut(&name)?;
    let found = user.service_credentials.get_mut(id);
    let found = found.filter(|it| *it.status.latest() != KeyStatus::Gone);
    let missing = || {
        AwsError::no_such_entity(format!("The Service Specific Credential {id} cannot be found."))
    };
    Ok((name, id.to_owned(), found.ok_or_else(missing)?))
}

fn write(xml: &mut Xml, user: &str, id: &str, credential: &ServiceCredential) {
    xml.text("UserName", user).text("Status", credential.status.latest().word());
    xml.text("ServiceUserName", &credential.user_name).time("CreateDate", credential.created);
    xml.text("ServiceSpecificCredentialId", id).text("ServiceName", &credential.service);
}
