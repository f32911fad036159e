//! Access keys.

use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::paging::page_of;
use crate::aws::state::{AccessKey, KeyOwner, KeyStatus};
use crate::aws::xml::Xml;

/// Active or not, a user has two at most. AWS: "IAM and AWS STS quotas".
const MOST_KEYS: usize = 2;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::write("CreateAccessKey", Target::User, &["UserName"], create),
    Operation::read("ListAccessKeys", Target::User, &["UserName", "Marker", "MaxItems"], list),
    Operation::write(
        "UpdateAccessKey",
        Target::User,
        &["UserName", "AccessKeyId", "Status"],
        update,
    ),
    Operation::write("DeleteAccessKey", Target::User, &["UserName", "AccessKeyId"], delete),
    Operation::read("GetAccessKeyLastUsed", Target::Any, &["AccessKeyId"], last_used),
];

/// Whose keys a call is about: the named user's, or the caller's own (root's too).
enum Owner {
    Root,
    User(String),
}

fn owner(call: &Call<'_>) -> Result<Owner, AwsError> {
    let is_root = matches!(call.caller.identity, crate::aws::caller::Identity::Root);
    if is_root && call.params.get("UserName").is_none() {
        return Ok(Owner::Root);
    }
    Ok(Owner::User(call.account()?.user(call.user_name()?)?.name.clone()))
}

fn key_ids<'c>(call: &'c mut Call<'_>, owner: &Owner) -> Result<&'c mut Vec<String>, AwsError> {
    let account = call.account_mut()?;
    match owner {
        Owner::Root => Ok(&mut account.root_keys),
        Owner::User(name) => account.user_mut(name).map(|user| &mut user.keys),
    }
}

/// The name that AWS shows for the owner.
fn shown(owner: &Owner) -> &str {
    match owner {
        Owner::Root => "",
        Owner::User(name) => name,
    }
}

fn create(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let owner = owner(call)?;
    if key_ids(call, &owner)?.len() >= MOST_KEYS {
        return Err(AwsError::limit("Cannot exceed quota for AccessKeysPerUser: 2"));
    }
    let belongs = match &owner {
        Owner::Root => KeyOwner::Root,
        Owner::User(name) => KeyOwner::User(call.account()?.user(name)?.id.clone()),
    };
    let (account, at) = (call.caller.account.clone(), call.at);
    let id = call.world.make_key(&account, belongs, &at);
    key_ids(call, &owner)?.push(id.clone());
    let key = &call.world.keys[&id];
    let mut xml = Xml::default();
    xml.nest("AccessKey", |xml| {
        xml.text("UserName", shown(&owner)).text("AccessKeyId", &key.id).text("Status", "Active");
        xml.text("SecretAccessKey", &key.secret).time("CreateDate", key.created);
    });
    Ok(xml)
}

fn list(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let owner = owner(call)?;
    let ids = key_ids(call, &owner)?.clone();
    let keys = ids.iter().filter_map(|id| call.world.keys.get(id));
    let mut keys: Vec<_> = keys.map(|key| (key.id.clone(), key)).collect();
    keys.sort_by(|left, right| left.0.cmp(&right.0));
    let page = page_of(call.params, call.world.settings.page_size, keys.into_iter())?;
    let mut xml = Xml::default();
    xml.list("AccessKeyMetadata", &page.items, |xml, key| {
        xml.text("UserName", shown(&owner)).text("AccessKeyId", &key.id);
        xml.text("Status", key.status.latest().word()).time("CreateDate", key.created);
    });
    page.close(&mut xml);
    Ok(xml)
}

fn update(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let word = call.params.required("Status")?;
    let status = KeyStatus::parse(word).ok_or_else(|| {
        AwsError::validation(format!(
            "Value '{word}' at 'status' must be one of [Active, Inactive]"
        ))
    })?;
    let at = call.at;
    owned_key(call)?.1.set_status(status, &at);
    Ok(Xml::default())
}

fn delete(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let at = call.at;
    let (owner, key) = owned_key(call)?;
    key.set_status(KeyStatus::Gone, &at);
    let id = key.id.clone();
    key_ids(call, &owner)?.retain(|it| *it != id);
    Ok(Xml::default())
}

/// The key of `AccessKeyId`, where it is the owner's.
fn owned_key<'c>(call: &'c mut Call<'_>) -> Result<(Owner, &'c mut AccessKey), AwsError> {
    let id = call.params.required("AccessKeyId")?;
    let missing =
        || AwsError::no_such_entity(format!("The Access Key with id {id} cannot be found."));
    let owner = owner(call)?;
    if !key_ids(call, &owner)?.iter().any(|it| it == id) {
        return Err(missing());
    }
    let key = call.world.keys.get_mut(id).ok_or_else(missing)?;
    Ok((owner, key))
}

/// AWS answers for the keys of the caller's account only, and calls the others denied.
fn last_used(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let id = call.params.required("AccessKeyId")?;
    let denied = || {
        AwsError::access_denied(format!(
            "User: {} is not authorized to perform: iam:GetAccessKeyLastUsed on resource: access \
             key {id}",
            call.caller.arn()
        ))
    };
    let key = call.world.keys.get(id).ok_or_else(denied)?;
    if key.account != call.caller.account || *key.status.latest() == KeyStatus::Gone {
        return Err(denied());
    }
    let user = match &key.owner {
        KeyOwner::Root => "<root_account>",
        KeyOwner::User(user) => {
            call.account()?.users.with_id(user).map(|it| it.name.as_str()).ok_or_else(denied)?
        }
    };
    let mut xml = Xml::default();
    xml.text("UserName", user);
    xml.nest("AccessKeyLastUsed", |xml| match &key.last_used {
        Some(last) => {
            xml.time("LastUsedDate", last.at);
            xml.text("ServiceName", &last.service).text("Region", &last.region);
        }
        None => {
            xml.text("ServiceName", "N/A").text("Region", "N/A");
        }
    });
    Ok(xml)
}
