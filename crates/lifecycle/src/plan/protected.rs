//! Identities that are never touched.

use std::collections::BTreeSet;

use crate::credential::{RoleRef, UserRef};
use crate::observe::AssumableRole;

/// Identities that are never touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protected {
    /// ARNs of the worker's own identities (user or role, not session).
    pub own: BTreeSet<String>,
    /// ARNs of break-glass identities.
    pub break_glass: BTreeSet<String>,
}

impl Protected {
    /// Whether an ARN is protected. Paths and partitions are left out of the comparison: a name is unique
    /// in its account whatever its path, and a session's ARN, from which our own is read, has no path
    /// (AWS: IAM User Guide, "IAM ARNs").
    pub fn has(&self, arn: &str) -> bool {
        self.own.contains(arn)
            || self.break_glass.contains(arn)
            || AccountKindName::of(arn)
                .is_some_and(|it| self.all().any(|other| AccountKindName::of(other) == Some(it)))
    }

    /// Whether a user is protected.
    pub fn has_user(&self, user: &UserRef) -> bool {
        self.names(AccountKindName {
            account: user.account.as_str(),
            kind: "user",
            name: &user.name,
        })
    }

    /// Whether a role is protected.
    pub fn has_role(&self, role: &RoleRef) -> bool {
        self.names(AccountKindName {
            account: role.account.as_str(),
            kind: "role",
            name: &role.name,
        })
    }

    /// Has protected roles within reach treated like service-linked ones: not cut, but listed until
    /// their sessions have ended.
    pub fn spare(&self, reached: &mut [AssumableRole]) {
        for role in reached {
            role.service_linked |= self.has_role(&role.role);
        }
    }

    fn names(&self, it: AccountKindName<'_>) -> bool {
        self.all().any(|other| AccountKindName::of(other) == Some(it))
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        self.own.iter().chain(&self.break_glass)
    }
}

/// What of an ARN says which identity it is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct AccountKindName<'a> {
    account: &'a str,
    kind: &'a str,
    name: &'a str,
}

impl<'a> AccountKindName<'a> {
    fn of(arn: &'a str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':').skip(4);
        let (account, resource) = (parts.next()?, parts.next()?);
        let (kind, path_and_name) = resource.split_once('/')?;
        Some(Self { account, kind, name: path_and_name.rsplit('/').next()? })
    }
}
