//! `GetAccountAuthorizationDetails`: everything that grants something, page by page.

use super::{encoded, trust};
use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::paging::page;
use crate::aws::state::{Grants, Group, ManagedPolicy, Role, User, World};
use crate::aws::xml::Xml;

pub(crate) const OPERATIONS: &[Operation] = &[Operation::read(
    "GetAccountAuthorizationDetails",
    Target::Any,
    &["Filter", "Marker", "MaxItems"],
    details,
)];

/// One entry; entries come in this order, and by name within each kind.
enum Entry<'a> {
    User(&'a User),
    Group(&'a Group),
    Role(&'a Role),
    Policy(&'a ManagedPolicy),
}

/// What `Filter` may name.
const KINDS: [&str; 5] = ["User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"];

fn details(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let wanted = call.params.list("Filter");
    if let Some(bad) = wanted.iter().find(|it| !KINDS.contains(it)) {
        return Err(AwsError::validation(format!("{bad} is not a filter")));
    }
    let wants = |kind: &str| wanted.is_empty() || wanted.contains(&kind);
    let account = call.account()?;
    let page = page(call.params, call.world.settings.page_size, |after| {
        // A marker is the kind's number and the name: `1/alice`.
        let after = after.and_then(|it| it.split_once('/'));
        let from = |place: &str| match after {
            Some((kind, _)) if kind > place => None,
            Some((kind, name)) if kind == place => Some(Some(name)),
            _ => Some(None),
        };
        let users = from("1").filter(|_| wants("User")).map(|it| account.users.after(it));
        let groups = from("2").filter(|_| wants("Group")).map(|it| account.groups.after(it));
        let roles = from("3").filter(|_| wants("Role")).map(|it| account.roles.after(it));
        let local = from("4").filter(|_| wants("LocalManagedPolicy"));
        let local = local.map(|it| policies_after(account.policies.iter(), it));
        let aws = from("5").filter(|_| wants("AWSManagedPolicy"));
        let aws = aws.map(|it| policies_after(call.world.aws_policies.iter(), it));
        let lower = str::to_ascii_lowercase;
        let users = users.into_iter().flatten();
        let groups = groups.into_iter().flatten();
        let roles = roles.into_iter().flatten();
        users
            .map(move |it| (format!("1/{}", lower(&it.name)), Entry::User(it)))
            .chain(groups.map(move |it| (format!("2/{}", lower(&it.name)), Entry::Group(it))))
            .chain(roles.map(move |it| (format!("3/{}", lower(&it.name)), Entry::Role(it))))
            .chain(
                local.into_iter().flatten().map(|it| (format!("4/{}", it.arn), Entry::Policy(it))),
            )
            .chain(aws.into_iter().flatten().map(|it| (format!("5/{}", it.arn), Entry::Policy(it))))
    })?;
    let mut xml = Xml::default();
    write_all(&mut xml, call, &page.items);
    page.close(&mut xml);
    Ok(xml)
}

fn policies_after<'a>(
    policies: impl Iterator<Item = (&'a String, &'a ManagedPolicy)>,
    after: Option<&str>,
) -> std::vec::IntoIter<&'a ManagedPolicy> {
    let rest = policies.filter(|(arn, _)| after.is_none_or(|after| arn.as_str() > after));
    rest.map(|(_, policy)| policy).collect::<Vec<_>>().into_iter()
}

fn write_all(xml: &mut Xml, call: &Call<'_>, entries: &[Entry<'_>]) {
    let world = &*call.world;
    let users =
        entries.iter().filter_map(|it| if let Entry::User(it) = it { Some(it) } else { None });
    xml.list("UserDetailList", users, |xml, user| {
        write_user(xml, world, user);
    });
    let groups =
        entries.iter().filter_map(|it| if let Entry::Group(it) = it { Some(it) } else { None });
    xml.list("GroupDetailList", groups, |xml, group| {
        xml.text("Path", &group.path).text("GroupName", &group.name).text("GroupId", &group.id);
        xml.text("Arn", group.arn()).time("CreateDate", group.created);
        write_grants(xml, world, &group.account, "GroupPolicyList", &group.grants);
    });
    let roles =
        entries.iter().filter_map(|it| if let Entry::Role(it) = it { Some(it) } else { None });
    xml.list("RoleDetailList", roles, |xml, role| {
        write_role(xml, world, role);
    });
    let policies =
        entries.iter().filter_map(|it| if let Entry::Policy(it) = it { Some(it) } else { None });
    let Ok(account) = call.account() else { return };
    xml.list("Policies", policies, |xml, policy| {
        super::managed_policies::write(xml, account, policy, false);
        super::policy_versions::write_all(xml, policy);
    });
}

fn write_user(xml: &mut Xml, world: &World, user: &User) {
    xml.text("Path", &user.path).text("UserName", &user.name).text("UserId", &user.id);
    xml.text("Arn", user.arn()).time("CreateDate", user.created);
    xml.strings("GroupList", user.groups.latest().iter());
    write_grants(xml, world, &user.account, "UserPolicyList", &user.grants);
    if let Some(boundary) = user.boundary.latest() {
        super::boundaries::write(xml, boundary);
    }
    super::tags::write(xml, &user.tags);
}

fn write_role(xml: &mut Xml, world: &World, role: &Role) {
    xml.text("Path", &role.path).text("RoleName", &role.name).text("RoleId", &role.id);
    xml.text("Arn", role.arn()).time("CreateDate", role.created);
    if let Some(trust) = role.trust.latest() {
        xml.text("AssumeRolePolicyDocument", encoded(&trust::shown(world, trust)));
    }
    xml.nest("InstanceProfileList", |_| {});
    write_grants(xml, world, &role.account, "RolePolicyList", &role.grants);
    if let Some(boundary) = role.boundary.latest() {
        super::boundaries::write(xml, boundary);
    }
    super::tags::write(xml, &role.tags);
}

fn write_grants(xml: &mut Xml, world: &World, account: &str, list: &str, grants: &Grants) {
    xml.list(list, grants.inline.latest().iter(), |xml, (name, document)| {
        xml.text("PolicyName", name).text("PolicyDocument", encoded(&document.text));
    });
    let attached = grants.attached.latest().iter().map(String::as_str);
    super::attached_policies::write_as("AttachedManagedPolicies", xml, world, account, attached);
}
