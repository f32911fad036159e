//! The account as a whole.

use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::paging::page_of;
use crate::aws::xml::Xml;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::read("ListAccountAliases", Target::Any, &["Marker", "MaxItems"], list_aliases),
    Operation::write("CreateAccountAlias", Target::Any, &["AccountAlias"], create_alias),
    Operation::write("DeleteAccountAlias", Target::Any, &["AccountAlias"], delete_alias),
    Operation::read("GetAccountSummary", Target::Any, &[], summary),
];

fn list_aliases(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let aliases = call.account()?.aliases.iter().map(|alias| (alias.clone(), alias));
    let page = page_of(call.params, call.world.settings.page_size, aliases)?;
    let mut xml = Xml::default();
    xml.strings("AccountAliases", &page.items);
    page.close(&mut xml);
    Ok(xml)
}

/// An account has one alias: a new one takes the place of the old.
fn create_alias(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let alias = call.params.required("AccountAlias")?;
    if call.world.accounts.values().any(|account| account.aliases.iter().any(|it| it == alias)) {
        let message = format!("The account alias {alias} already exists.");
        return Err(AwsError::new(409, "EntityAlreadyExists", message));
    }
    call.account_mut()?.aliases = vec![alias.to_owned()];
    Ok(Xml::default())
}

fn delete_alias(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let alias = call.params.required("AccountAlias")?;
    let account = call.account_mut()?;
    if !account.aliases.iter().any(|it| it == alias) {
        return Err(AwsError::no_such_entity(format!(
            "The account alias {alias} cannot be found."
        )));
    }
    account.aliases.clear();
    Ok(Xml::default())
}

fn summary(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let account = call.account()?;
    let in_use = account.mfa_devices.values().filter(|it| it.enabled.is_some()).count();
    let mut xml = Xml::default();
    xml.nest("SummaryMap", |xml| {
        for (key, value) in [
            ("Users", account.users.len()),
            ("Roles", account.roles.len()),
            ("Groups", account.groups.len()),
            ("Policies", account.policies.len()),
            ("MFADevices", account.mfa_devices.len()),
            ("MFADevicesInUse", in_use),
            ("AccessKeysPerUserQuota", 2),
            ("SigningCertificatesPerUserQuota", 2),
            ("AccountAccessKeysPresent", account.root_keys.len()),
        ] {
            xml.nest("entry", |xml| {
                xml.text("key", key).number("value", value);
            });
        }
    });
    Ok(xml)
}
