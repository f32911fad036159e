//! One account and what is in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::grants::{Grants, Holder};
use super::named::Named;
use super::spread::Moment;
use super::{Group, ManagedPolicy, Role, Secrets, User};
use crate::aws::error::AwsError;

/// Devices that one user may have. AWS: "IAM and AWS STS quotas".
const MFA_QUOTA: usize = 8;

#[derive(Default)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) aliases: Vec<String>,
    /// The root user's access keys that are not deleted.
    pub(crate) root_keys: Vec<String>,
    pub(crate) users: Named<User>,
    pub(crate) roles: Named<Role>,
    pub(crate) groups: Named<Group>,
    /// By ARN.
    pub(crate) policies: BTreeMap<String, ManagedPolicy>,
    /// Who holds each managed policy (the account's or AWS's), by ARN: kind and name.
    pub(crate) attachments: HashMap<String, BTreeSet<(Holder, String)>>,
    /// Whose boundary each managed policy is, by ARN: kind and name.
    pub(crate) boundaries: HashMap<String, BTreeSet<(Holder, String)>>,
    /// Virtual MFA devices by serial number.
    pub(crate) mfa_devices: BTreeMap<String, MfaDevice>,
    pub(crate) instance_profiles: BTreeMap<String, InstanceProfile>,
    pub(crate) secrets: Secrets,
}

#[derive(Debug, Default)]
pub(crate) struct MfaDevice {
    pub(crate) serial: String,
    /// The user that enabled it, and when.
    pub(crate) enabled: Option<(String, DateTime<Utc>)>,
}

#[derive(Debug)]
pub(crate) struct InstanceProfile {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) arn: String,
    pub(crate) created: DateTime<Utc>,
    /// Names of its roles: one at most.
    pub(crate) roles: Vec<String>,
}

impl Account {
    pub(crate) fn new(id: &str) -> Self {
        Self { id: id.to_owned(), ..Self::default() }
    }

    pub(crate) fn user(&self, name: &str) -> Result<&User, AwsError> {
        self.users.named(name).ok_or_else(|| AwsError::no_such("user", name))
    }

    pub(crate) fn user_mut(&mut self, name: &str) -> Result<&mut User, AwsError> {
        self.users.named_mut(name).ok_or_else(|| AwsError::no_such("user", name))
    }

    pub(crate) fn role(&self, name: &str) -> Result<&Role, AwsError> {
        self.roles.named(name).ok_or_else(|| AwsError::no_such("role", name))
    }

    pub(crate) fn role_mut(&mut self, name: &str) -> Result<&mut Role, AwsError> {
        self.roles.named_mut(name).ok_or_else(|| AwsError::no_such("role", name))
    }

    pub(crate) fn group(&self, name: &str) -> Result<&Group, AwsError> {
        self.groups.named(name).ok_or_else(|| AwsError::no_such("group", name))
    }

    pub(crate) fn group_mut(&mut self, name: &str) -> Result<&mut Group, AwsError> {
        self.groups.named_mut(name).ok_or_else(|| AwsError::no_such("group", name))
    }

    pub(crate) fn grants(&self, holder: Holder, name: &str) -> Result<&Grants, AwsError> {
        match holder {
            Holder::User => self.user(name).map(|it| &it.grants),
            Holder::Role => self.role(name).map(|it| &it.grants),
            Holder::Group => self.group(name).map(|it| &it.grants),
        }
    }

    pub(crate) fn grants_mut(
        &mut self,
        holder: Holder,
        name: &str,
    ) -> Result<&mut Grants, AwsError> {
        match holder {
            Holder::User => self.user_mut(name).map(|it| &mut it.grants),
            Holder::Role => self.role_mut(name).map(|it| &mut it.grants),
            Holder::Group => self.group_mut(name).map(|it| &mut it.grants),
        }
    }

    /// Puts a user into a group.
    pub(crate) fn join(&mut self, group: &str, user: &str, at: &Moment) -> Result<(), AwsError> {
        let (group, user) = (self.group(group)?.name.clone(), self.user(user)?.name.clone());
        self.group_mut(&group)?.members.insert(user.clone());
        let groups = &mut self.user_mut(&user)?.groups;
        let mut next = groups.latest().as_ref().clone();
        if next.insert(group) {
            groups.set(Arc::new(next), at);
        }
        Ok(())
    }

    /// Takes a user out of a group.
    pub(crate) fn leave(&mut self, group: &str, user: &str, at: &Moment) -> Result<(), AwsError> {
        let (group, user) = (self.group(group)?.name.clone(), self.user(user)?.name.clone());
        if !self.group_mut(&group)?.members.remove(&user) {
            let message = format!("The user with name {user} cannot be found in group {group}.");
            return Err(AwsError::no_such_entity(message));
        }
        let groups = &mut self.user_mut(&user)?.groups;
        let mut next = groups.latest().as_ref().clone();
        next.remove(&group);
        groups.set(Arc::new(next), at);
        Ok(())
    }

    /// Enables an MFA device, made on the way where it is not there yet.
    pub(crate) fn enable_mfa(
        &mut self,
        user: &str,
        serial: &str,
        at: &Moment,
    ) -> Result<(), AwsError> {
        let user = self.user_mut(user)?;
        let mut next = user.mfa.latest().as_ref().clone();
        if next.len() >= MFA_QUOTA {
            return Err(AwsError::limit("Cannot exceed quota for MFADevicesPerUser: 8"));
        }
        next.insert(serial.to_owned(), at.now);
        user.mfa.set(Arc::new(next), at);
        let enabled = Some((user.name.clone(), at.now));
        self.mfa_devices
            .insert(serial.to_owned(), MfaDevice { serial: serial.to_owned(), enabled });
        Ok(())
    }

    /// Keeps account of whose boundary each policy is.
    pub(crate) fn note_boundary(
        &mut self,
        holder: Holder,
        name: &str,
        before: Option<&str>,
        after: Option<&str>,
    ) {
        note(&mut self.boundaries, (holder, name), before, after);
    }

    /// Keeps account of who holds each managed policy.
    pub(crate) fn note_attachment(
        &mut self,
        holder: Holder,
        name: &str,
        before: Option<&str>,
        after: Option<&str>,
    ) {
        note(&mut self.attachments, (holder, name), before, after);
    }

    /// How many identities hold the managed policy.
    pub(crate) fn attachment_count(&self, arn: &str) -> usize {
        self.attachments.get(arn).map_or(0, BTreeSet::len)
    }

    /// How many identities have the managed policy as their boundary.
    pub(crate) fn boundary_count(&self, arn: &str) -> usize {
        self.boundaries.get(arn).map_or(0, BTreeSet::len)
    }

    /// The unique id of an identity that is there.
    pub(crate) fn id_of(&self, holder: Holder, name: &str) -> Option<&str> {
        match holder {
            Holder::User => self.users.named(name).map(|it| it.id.as_str()),
            Holder::Role => self.roles.named(name).map(|it| it.id.as_str()),
            Holder::Group => self.groups.named(name).map(|it| it.id.as_str()),
        }
    }

    /// Carries a user's new name to wherever its old one was kept.
    pub(crate) fn user_renamed(&mut self, from: &str, to: &str) {
        let old = (Holder::User, from.to_owned());
        for holders in self.attachments.values_mut().chain(self.boundaries.values_mut()) {
            if holders.remove(&old) {
                holders.insert((Holder::User, to.to_owned()));
            }
        }
        self.groups.for_each_mut(|group| {
            if group.members.remove(from) {
                group.members.insert(to.to_owned());
            }
        });
        for device in self.mfa_devices.values_mut() {
            if let Some((user, _)) = &mut device.enabled
                && user == from
            {
                to.clone_into(user);
            }
        }
    }
}

fn note(
    holders: &mut HashMap<String, BTreeSet<(Holder, String)>>,
    (holder, name): (Holder, &str),
    before: Option<&str>,
    after: Option<&str>,
) {
    let entry = (holder, name.to_owned());
    if let Some(arn) = before
        && let Some(held) = holders.get_mut(arn)
    {
        held.remove(&entry);
    }
    if let Some(arn) = after {
        holders.entry(arn.to_owned()).or_default().insert(entry);
    }
}
