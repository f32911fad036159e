//! What the embedded AWS knows: accounts and what is in them, keys and sessions.

pub(crate) mod account;
pub(crate) mod agenda;
pub(crate) mod grants;
pub(crate) mod group;
pub(crate) mod key;
pub(crate) mod labels;
pub(crate) mod managed_policy;
pub(crate) mod named;
pub(crate) mod role;
pub(crate) mod rotation;
pub(crate) mod secret;
pub(crate) mod secrets;
pub(crate) mod session;
pub(crate) mod spread;
pub(crate) mod user;
pub(crate) mod world;

pub(crate) use account::Account;
pub(crate) use grants::{Grants, Holder};
pub(crate) use group::Group;
pub(crate) use key::{AccessKey, KeyOwner, KeyStatus};
pub(crate) use managed_policy::ManagedPolicy;
pub(crate) use role::Role;
pub(crate) use secret::Secret;
pub(crate) use secrets::Secrets;
pub(crate) use session::{Session, SessionKind};
pub(crate) use spread::{Moment, Spread};
pub(crate) use user::User;
pub(crate) use world::World;

/// Tags, by key.
pub(crate) type Tags = std::collections::BTreeMap<String, String>;
