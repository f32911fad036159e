//! The policies that a user, a role or a group holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::spread::{Moment, Spread};
use crate::aws::policy::Document;

/// What kind of identity holds a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Holder {
    User,
    Role,
    Group,
}

impl Holder {
    /// The word that AWS's parameters and messages use.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Holder::User => "User",
            Holder::Role => "Role",
            Holder::Group => "Group",
        }
    }

    /// The parameter that names the holder.
    pub(crate) fn parameter(self) -> &'static str {
        match self {
            Holder::User => "UserName",
            Holder::Role => "RoleName",
            Holder::Group => "GroupName",
        }
    }

    /// How many characters all inline policies together may have (white space is not counted).
    /// AWS: IAM User Guide, "IAM and AWS STS quotas".
    pub(crate) fn inline_quota(self) -> usize {
        match self {
            Holder::User => 2_048,
            Holder::Role => 10_240,
            Holder::Group => 5_120,
        }
    }
}

/// How many managed policies one identity may have. AWS: "IAM and AWS STS quotas".
pub(crate) const ATTACHED_QUOTA: usize = 10;

pub(crate) type Inline = BTreeMap<String, Arc<Document>>;

/// Inline policies by name, and attached managed policies by ARN.
#[derive(Debug, Clone)]
pub(crate) struct Grants {
    pub(crate) inline: Spread<Arc<Inline>>,
    pub(crate) attached: Spread<Arc<BTreeSet<String>>>,
}

impl Default for Grants {
    fn default() -> Self {
        Self { inline: Spread::settled(Arc::default()), attached: Spread::settled(Arc::default()) }
    }
}

impl Grants {
    pub(crate) fn change_inline(&mut self, at: &Moment, change: impl FnOnce(&mut Inline)) {
        let mut next = self.inline.latest().as_ref().clone();
        change(&mut next);
        self.inline.set(Arc::new(next), at);
    }

    pub(crate) fn change_attached(
        &mut self,
        at: &Moment,
        change: impl FnOnce(&mut BTreeSet<String>),
    ) {
        let mut next = self.attached.latest().as_ref().clone();
        change(&mut next);
        self.attached.set(Arc::new(next), at);
    }

    /// Whether nothing is left that stands in the way of deleting the holder.
    pub(crate) fn is_empty(&self) -> bool {
        self.inline.latest().is_empty() && self.attached.latest().is_empty()
    }
}
