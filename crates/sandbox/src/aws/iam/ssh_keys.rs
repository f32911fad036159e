//! SSH public keys.

use super::ssh_fingerprint;
use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::ids;
use crate::aws::paging::page_of;
use crate::aws::state::user::SshKey;
use crate::aws::state::{KeyStatus, Spread};
use crate::aws::xml::Xml;

/// AWS: "IAM and AWS STS quotas".
const MOST_KEYS: usize = 5;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::write("UploadSSHPublicKey", Target::User, &["UserName", "SSHPublicKeyBody"], upload),
    Operation::read("ListSSHPublicKeys", Target::User, &["UserName", "Marker", "MaxItems"], list),
    Operation::read(
        "GetSSHPublicKey",
        Target::User,
        &["UserName", "SSHPublicKeyId", "Encoding"],
        get,
    ),
    Operation::write(
        "UpdateSSHPublicKey",
        Target::User,
        &["UserName", "SSHPublicKeyId", "Status"],
        update,
    ),
    Operation::write("DeleteSSHPublicKey", Target::User, &["UserName", "SSHPublicKeyId"], delete),
];

fn upload(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.params.required("UserName")?;
    let body = call.params.required("SSHPublicKeyBody")?;
    if !body.starts_with("ssh-") && !body.starts_with("-----BEGIN") {
        let message = "The public key is not in a supported format or is not valid.";
        return Err(AwsError::new(400, "InvalidPublicKey", message));
    }
    let at = call.at;
    let id = ids::unique_id(&mut call.world.rng, "APKA");
    let user = call.account_mut()?.user_mut(name)?;
    let mut present = user.ssh_keys.values().filter(|it| *it.status.latest() != KeyStatus::Gone);
    if present.clone().any(|it| it.body == body) {
        let message = "The SSH public key body is already in use.";
        return Err(AwsError::new(400, "DuplicateSSHPublicKey", message));
    }
    if present.by_ref().count() >= MOST_KEYS {
        return Err(AwsError::limit("Cannot exceed quota for SSHPublicKeysPerUser: 5"));
    }
    let key = SshKey {
        body: body.to_owned(),
        fingerprint: ssh_fingerprint(body),
        uploaded: at.now,
        status: Spread::appearing(KeyStatus::Gone, KeyStatus::Active, &at),
    };
    let mut xml = Xml::default();
    xml.nest("SSHPublicKey", |xml| write(xml, name, &id, &key));
    user.ssh_keys.insert(id, key);
    Ok(xml)
}

fn list(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.user_name()?;
    let user = call.account()?.user(name)?;
    let present = user.ssh_keys.iter().filter(|(_, it)| *it.status.latest() != KeyStatus::Gone);
    let present = present.map(|(id, key)| (id.clone(), (id, key)));
    let page = page_of(call.params, call.world.settings.page_size, present)?;
    let mut xml = Xml::default();
    xml.list("SSHPublicKeys", &page.items, |xml, (id, key)| {
        xml.text("UserName", name).text("SSHPublicKeyId", id);
        xml.text("Status", key.status.latest().word()).time("UploadDate", key.uploaded);
    });
    page.close(&mut xml);
    Ok(xml)
}

fn get(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.params.required("UserName")?;
    let id = call.params.required("SSHPublicKeyId")?;
    let user = call.account()?.user(name)?;
    let key = user.ssh_keys.get(id).filter(|it| *it.status.latest() != KeyStatus::Gone);
    let key = key.ok_or_else(|| missing(id))?;
    let mut xml = Xml::default();
    xml.nest("SSHPublicKey", |xml| write(xml, name, id, key));
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
    let id = call.params.required("SSHPublicKeyId")?;
    let name = call.user_name()?.to_owned();
    let at = call.at;
    let user = call.account_mut()?.user_mut(&name)?;
    let key = user.ssh_keys.get_mut(id).filter(|it| *it.status.latest() != KeyStatus::Gone);
    key.ok_or_else(|| missing(id))?.status.set(status, &at);
    Ok(Xml::default())
}

fn write(xml: &mut Xml, user: &str, id: &str, key: &SshKey) {
    xml.text("UserName", user).text("SSHPublicKeyId", id).text("Fingerprint", &key.fingerprint);
    xml.text("SSHPublicKeyBody", &key.body).text("Status", key.status.latest().word());
    xml.time("UploadDate", key.uploaded);
}

fn missing(id: &str) -> AwsError {
    AwsError::no_such_entity(format!("The Public Key with id {id} cannot be found."))
}
