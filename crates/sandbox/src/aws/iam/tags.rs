//! Tags of users and roles.

use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::paging::page_of;
use crate::aws::state::{Holder, Tags};
use crate::aws::xml::Xml;

/// AWS: IAM User Guide, "IAM and AWS STS quotas".
const MOST_TAGS: usize = 50;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::write("TagUser", Target::User, &["UserName", "Tags"], |call| {
        tag(call, Holder::User)
    }),
    Operation::write("UntagUser", Target::User, &["UserName", "TagKeys"], |call| {
        untag(call, Holder::User)
    }),
    Operation::read("ListUserTags", Target::User, &["UserName", "Marker", "MaxItems"], |call| {
        list(call, Holder::User)
    }),
    Operation::write("TagRole", Target::Role, &["RoleName", "Tags"], |call| {
        tag(call, Holder::Role)
    }),
    Operation::write("UntagRole", Target::Role, &["RoleName", "TagKeys"], |call| {
        untag(call, Holder::Role)
    }),
    Operation::read("ListRoleTags", Target::Role, &["RoleName", "Marker", "MaxItems"], |call| {
        list(call, Holder::Role)
    }),
];

fn tag(call: &mut Call<'_>, holder: Holder) -> Result<Xml, AwsError> {
    let name = call.params.required(holder.parameter())?;
    let more = call.params.tags()?;
    let tags = tags_of(call, holder, name)?;
    let mut next = tags.clone();
    next.extend(more);
    if next.len() > MOST_TAGS {
        return Err(AwsError::limit(format!(
            "Cannot exceed quota for TagsPer{}: 50",
            holder.word()
        )));
    }
    *tags = next;
    Ok(Xml::default())
}

fn untag(call: &mut Call<'_>, holder: Holder) -> Result<Xml, AwsError> {
    let name = call.params.required(holder.parameter())?;
    let keys = call.params.list("TagKeys");
    let tags = tags_of(call, holder, name)?;
    tags.retain(|key, _| !keys.contains(&key.as_str()));
    Ok(Xml::default())
}

fn list(call: &mut Call<'_>, holder: Holder) -> Result<Xml, AwsError> {
    let name = call.params.required(holder.parameter())?;
    let tags = tags_of(call, holder, name)?.clone();
    let page = page_of(
        call.params,
        call.world.settings.page_size,
        tags.into_iter().map(|(key, value)| (key.clone(), (key, value))),
    )?;
    let mut xml = Xml::default();
    xml.list("Tags", &page.items, |xml, (key, value)| {
        xml.text("Key", key).text("Value", value);
    });
    page.close(&mut xml);
    Ok(xml)
}

fn tags_of<'c>(
    call: &'c mut Call<'_>,
    holder: Holder,
    name: &str,
) -> Result<&'c mut Tags, AwsError> {
    let account = call.account_mut()?;
    match holder {
        Holder::Role => account.role_mut(name).map(|role| &mut role.tags),
        _ => account.user_mut(name).map(|user| &mut user.tags),
    }
}

pub(super) fn write(xml: &mut Xml, tags: &Tags) {
    xml.list("Tags", tags, |xml, (key, value)| {
        xml.text("Key", key).text("Value", value);
    });
}
