//! Names of things. Each is a type of its own, so that a case cannot be passed for a task.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    };
}

name! {
    /// A trust zone: one partner, or one internal unit.
    ZoneName
}
name! {
    /// An engagement inside a zone.
    ContractName
}
name! {
    /// An AWS account: twelve digits.
    AccountId
}
name! {
    /// A case, derived from its event's key by [`CaseId::of`].
    CaseId
}
name! {
    /// A task, derived from its case and target by [`TaskId::of`].
    TaskId
}

/// Where credentials of identities without a zone tag belong. It is a zone like any other: in
/// `observe` unless configured.
pub const UNASSIGNED_ZONE: &str = "unassigned";

/// What makes an event the same event: CloudEvents 1.0 says that `source` + `id` is unique.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventKey {
    /// CloudEvents `source`.
    pub source: String,
    /// CloudEvents `id`.
    pub id: String,
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.source, self.id)
    }
}

impl CaseId {
    /// The case of an event. Derived, so that a batch stored twice names the same case twice.
    pub fn of(event: &EventKey) -> Self {
        Self(format!("c-{}", digest(&[&event.source, &event.id])))
    }
}

impl TaskId {
    /// The task of a target (its [`key`](crate::credential::Target::key)) for a purpose in a case.
    /// Derived, so that planning twice after a crash adds nothing.
    pub fn of(case: &CaseId, target_key: &str, purpose: &str) -> Self {
        Self(format!("t-{}", digest(&[&case.0, target_key, purpose])))
    }
}

/// Sixteen hexadecimal digits of SHA-256 over the parts, each ended so that parts cannot run
/// together. Sixteen is short enough to type at 3 a.m. and long enough (64 bits) not to collide.
fn digest(parts: &[&str]) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_event_key_cannot_run_together() {
        let key = |source: &str, id: &str| EventKey { source: source.into(), id: id.into() };
        assert_ne!(CaseId::of(&key("ab", "c")), CaseId::of(&key("a", "bc")));
        assert_eq!(CaseId::of(&key("a", "b")), CaseId::of(&key("a", "b")));
    }
}
