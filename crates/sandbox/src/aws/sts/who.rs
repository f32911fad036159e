//! Whose a caller or a key is.

use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::ids;
use crate::aws::xml::Xml;

pub(crate) const OPERATIONS: &[Operation] = &[
    // AWS: STS API Reference, GetCallerIdentity: "No permissions are required to perform this
    // operation", and an explicit deny does not stop it.
    Operation::read("GetCallerIdentity", Target::Free, &[], identity),
    Operation::read("GetAccessKeyInfo", Target::Free, &["AccessKeyId"], key_info),
];

#[allow(clippy::unnecessary_wraps, reason = "operations have one signature")]
fn identity(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let mut xml = Xml::default();
    xml.text("Arn", call.caller.arn()).text("UserId", call.caller.user_id());
    xml.text("Account", &call.caller.account);
    Ok(xml)
}

/// AWS reads the account from the id itself: whether the key exists is not told.
fn key_info(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let id = call.params.required("AccessKeyId")?;
    let account = ids::account_of_key(id).ok_or_else(|| {
        AwsError::validation(format!(
            "1 validation error detected: Value '{id}' at 'accessKeyId' is not an access key id"
        ))
    })?;
    let mut xml = Xml::default();
    xml.text("Account", account);
    Ok(xml)
}
