//! X.509 signing certificates.

use super::certificate_id;
use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::paging::page_of;
use crate::aws::state::user::Certificate;
use crate::aws::state::{KeyStatus, Spread};
use crate::aws::xml::Xml;

/// AWS: "IAM and AWS STS quotas".
const MOST_CERTIFICATES: usize = 2;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::write(
        "UploadSigningCertificate",
        Target::User,
        &["UserName", "CertificateBody"],
        upload,
    ),
    Operation::read(
        "ListSigningCertificates",
        Target::User,
        &["UserName", "Marker", "MaxItems"],
        list,
    ),
    Operation::write(
        "UpdateSigningCertificate",
        Target::User,
        &["UserName", "CertificateId", "Status"],
        update,
    ),
    Operation::write(
        "DeleteSigningCertificate",
        Target::User,
        &["UserName", "CertificateId"],
        delete,
    ),
];

fn upload(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.user_name()?.to_owned();
    let body = call.params.required("CertificateBody")?;
    if !body.trim_start().starts_with("-----BEGIN CERTIFICATE-----") {
        let message =
            "Unable to parse certificate. Please ensure the certificate is in PEM format.";
        return Err(AwsError::new(400, "MalformedCertificate", message));
    }
    let at = call.at;
    let id = certificate_id(&mut call.world.rng);
    let user = call.account_mut()?.user_mut(&name)?;
    let present = user.certificates.values().filter(|it| *it.status.latest() != KeyStatus::Gone);
    if present.clone().any(|it| it.body == body) {
        let message = "The certificate already exists.";
        return Err(AwsError::new(409, "DuplicateCertificate", message));
    }
    if present.count() >= MOST_CERTIFICATES {
        return Err(AwsError::limit("Cannot exceed quota for SigningCertificatesPerUser: 2"));
    }
    let certificate = Certificate {
        body: body.to_owned(),
        uploaded: at.now,
        status: Spread::appearing(KeyStatus::Gone, KeyStatus::Active, &at),
    };
    let mut xml = Xml::default();
    xml.nest("Certificate", |xml| write(xml, &name, &id, &certificate));
    user.certificates.insert(id, certificate);
    Ok(xml)
}

fn list(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.user_name()?;
    let user = call.account()?.user(name)?;
    let present = user.certificates.iter().filter(|(_, it)| *it.status.latest() != KeyStatus::Gone);
    let present = present.map(|(id, it)| (id.clone(), (id, it)));
    let page = page_of(call.params, call.world.settings.page_size, present)?;
    let mut xml = Xml::default();
    xml.list("Certificates", &page.items, |xml, (id, certificate)| {
        write(xml, name, id, certificate);
    });
    page.close(&mut xml);
    Ok(xml)
}

fn update(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let word = call.params.required("Status")?;
    let status = KeyStatus::parse(word)
        .ok_or_else(|| AwsError::validation(format!("{word} is not a status")))?;
    set(call, status)
}

fn delete(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    set(call, KeyStatus::Gone)
}

fn set(call: &mut Call<'_>, status: KeyStatus) -> Result<Xml, AwsError> {
    let id = call.params.required("CertificateId")?;
    let name = call.user_name()?.to_owned();
    let at = call.at;
    let user = call.account_mut()?.user_mut(&name)?;
    let found = user.certificates.get_mut(id).filter(|it| *it.status.latest() != KeyStatus::Gone);
    let missing =
        || AwsError::no_such_entity(format!("The Certificate with id {id} cannot be found."));
    found.ok_or_else(missing)?.status.set(status, &at);
    Ok(Xml::default())
}

fn write(xml: &mut Xml, user: &str, id: &str, certificate: &Certificate) {
    xml.text("UserName", user).text("CertificateId", id);
    xml.text("CertificateBody", &certificate.body);
    xml.text("Status", certificate.status.latest().word());
    xml.time("UploadDate", certificate.uploaded);
}
