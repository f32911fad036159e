//! Why a task cannot be finished for now. Each reason says what a person can do about it.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::ZoneName;

/// Why a task cannot be finished for now.
#[allow(missing_docs, reason = "the fields are named for what they are")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "block", rename_all = "kebab-case")]
pub enum BlockReason {
    /// The selector names nothing in any account that is configured.
    #[serde(alias = "secret-selector")]
    NotFound,
    /// The key's account is not configured.
    AccountNotConfigured { account: String },
    /// An `ASIA` id is a session; AWS does not say whose. Name its user or role.
    SessionKey,
    /// A root user's key: a person must act.
    RootKey,
    /// The id belongs to no account of this partition, or to another partition.
    UnknownKey,
    /// Tagged with two zones or two contracts: reported, never guessed at.
    FlattenedBoundary { tag: String },
    /// The secret holds a key of a user whose own tags name another zone: the secret's zone has no say there.
    UserOfAnotherZone { user: String, zone: ZoneName, secret_zone: ZoneName },
    /// The worker's own identity or a break-glass identity.
    Protected,
    /// AWS refuses changes to service-linked roles.
    ServiceLinkedRole,
    /// A service assumes the role; policy asks a person to decide.
    ServiceRole { services: Vec<String> },
    /// No place is left for a deny: inline full, managed policies full, boundary not allowed.
    NoPlaceForDeny,
    /// What was switched off is on again; deleting it would be wrong and so would ignoring it.
    SwitchedOnAgain { what: String },
    /// A compromise covers it: it is not reinstated.
    VetoedByCompromise,
    /// The provider refuses and waiting will not help.
    Refused { operation: String, code: String, message: String },
    /// The contract ends for somebody, and the role's trust names nobody known to be the partner's.
    NoPartnerPrincipal { trusted: Vec<String> },
    /// The role's trust lets everyone in, the partner too, whoever is taken out of it.
    EveryoneTrusted { trusted: Vec<String> },
    /// Probes of a key prove nothing, again and again.
    ProbeInconclusive { key_id: String, why: String },
    /// What is bound by tags is known in full only from a listing that began after the event.
    NotListed,
    /// What is compromised dies by its own task; which secrets hand it out is known only from a listing that
    /// began after the notice.
    SecretsNotListed,
    /// What the secret's current version holds is not what its strategy needs.
    UnfitValue { field: String, why: String },
    /// Nobody said who issues what the secret holds, so it cannot be killed or replaced there.
    UnknownIssuer,
    /// The secret is scheduled for deletion; it cannot be rotated.
    ScheduledForDeletion { since: DateTime<Utc> },
    /// Another AWS service manages the secret.
    ManagedByService { service: String },
    /// The user has two keys, and neither may go: a new one cannot be made.
    NoRoomForKey { keys: Vec<String> },
    /// More than one key appeared while ours was made: which is ours cannot be told.
    AmbiguousKeys { keys: Vec<String> },
    /// The issuer keeps refusing the new credential; the old one is untouched.
    NewNotAccepted { version: String, why: String },
    /// The secret's own rotation function does not finish.
    FunctionFailed { version: String },
    /// A replica does not follow.
    ReplicaBehind { region: String, status: String },
    /// Its own rotation function issues it: nobody can say whether what it handed out is still accepted.
    OldNotProven,
    /// The issuer was told to refuse the old value, says that it does, and accepts it all the same.
    OldStillAccepted { version: String },
    /// A tag of the secret says what no strategy is called, or a part of its strategy is missing.
    UnknownStrategy { tag: String, value: String },
    /// The secret hands out an access key of nobody that is known: where it dies is not known either.
    UnknownKeyOfSecret { key_id: String, why: String },
    /// The secret's value names a credential that its issuer does not confirm it to hold: the id of a key and
    /// the name of a login are no secrets.
    NotHeld { credential: String, why: String },
    /// No secret that is known holds the access key, so nobody would learn of a new one.
    KeyInNoSecret,
    /// It has nothing that could be replaced: no access key, no secret.
    NothingToRotate,
    /// Other secrets hand out the same credential: to replace it in one breaks the others.
    SharedCredential { secrets: Vec<String> },
    /// Another case has the secret end: it is not rotated meanwhile.
    EndedByAnotherCase,
    /// The user whose key the secret holds is revoked: it gets no new one.
    UserIsRevoked { user: String },
    /// The secret ends, or its grace is over, and another secret hands out the key that is to go.
    KeyInAnotherSecret { key_id: String },
}

impl BlockReason {
    /// Whether it ends by itself with the next listing: nobody has to do anything.
    pub fn waits_for_listing(&self) -> bool {
        matches!(self, Self::NotListed | Self::SecretsNotListed)
    }
}

#[allow(clippy::too_many_lines, reason = "one arm a reason")]
impl fmt::Display for BlockReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("nothing of that name in any configured account"),
            Self::AccountNotConfigured { account } => {
                write!(f, "account {account} is not configured")
            }
            Self::SessionKey => f.write_str(
                "a session's key id: AWS does not say whose; publish a notice for its user or role",
            ),
            Self::RootKey => f.write_str("a root user's key: only its account's owner can act"),
            Self::UnknownKey => f.write_str("no account of this partition has such a key"),
            Self::FlattenedBoundary { tag } => write!(f, "flattened boundary: {tag}"),
            Self::UserOfAnotherZone { user, zone, secret_zone } => {
                write!(f, "its user {user} is of zone {zone}, and the secret of zone {secret_zone}")
            }
            Self::Protected => f.write_str("the worker's own or a break-glass identity"),
            Self::ServiceLinkedRole => f.write_str("a service-linked role: AWS refuses changes"),
            Self::ServiceRole { services } => {
                write!(f, "assumed by {}: cutting it leaves workloads dead", services.join(", "))
            }
            Self::NoPlaceForDeny => f.write_str("no place is left for a deny"),
            Self::SwitchedOnAgain { what } => write!(f, "{what} was switched on again"),
            Self::VetoedByCompromise => f.write_str("a compromise covers it"),
            Self::Refused { operation, code, message } => {
                write!(f, "{operation} refused: {code}: {message}")
            }
            Self::NoPartnerPrincipal { trusted } => write!(
                f,
                "none of those it trusts is known to be the partner's ({}): name the partner's \
                 accounts or principals in its zone",
                trusted.join(", ")
            ),
            Self::EveryoneTrusted { trusted } => write!(
                f,
                "its trust lets everyone in, the partner too ({}): name those who may assume it",
                trusted.join(", ")
            ),
            Self::ProbeInconclusive { key_id, why } => {
                write!(f, "probes of {key_id} prove nothing: {why}")
            }
            Self::NotListed => f.write_str("waiting for every account to be listed once more"),
            Self::SecretsNotListed => f.write_str(
                "waiting for the secrets to be listed once more, should one hand it out; it is revoked \
                 meanwhile",
            ),
            Self::UnfitValue { field, why } => {
                write!(f, "the secret's value does not fit its strategy: {field}: {why}")
            }
            Self::UnknownIssuer => f.write_str(
                "nobody said who issues what the secret holds: tag it with its strategy",
            ),
            Self::ScheduledForDeletion { since } => {
                write!(f, "scheduled for deletion since {}", since.format("%FT%TZ"))
            }
            Self::ManagedByService { service } => write!(f, "managed by {service}"),
            Self::NoRoomForKey { keys } => write!(
                f,
                "its user has two keys and neither is ours to delete: {}",
                keys.join(", ")
            ),
            Self::AmbiguousKeys { keys } => write!(
                f,
                "more than one key appeared while ours was made, and which is ours cannot be told: {}",
                keys.join(", ")
            ),
            Self::NewNotAccepted { version, why } => {
                write!(f, "the new credential ({version}) is not accepted: {why}")
            }
            Self::FunctionFailed { version } => {
                write!(f, "the secret's rotation function did not finish {version}")
            }
            Self::ReplicaBehind { region, status } => {
                write!(f, "the replica in {region} does not follow: {status}")
            }
            Self::OldNotProven => f.write_str(
                "whether its issuer still accepts what it handed out is not known: its own rotation \
                 function issues it, so end it there",
            ),
            Self::OldStillAccepted { version } => write!(
                f,
                "its issuer was told to refuse the old value ({version}) and accepts it still"
            ),
            Self::UnknownStrategy { tag, value } if value.is_empty() => {
                write!(f, "the tag {tag} that the secret's strategy needs is missing or empty")
            }
            Self::UnknownStrategy { tag, value } => write!(
                f,
                "the secret's tag {tag} says {value:?}, which is none of iam-access-key, managed, \
                 database, webhook, nor what their tags may say"
            ),
            Self::UnknownKeyOfSecret { key_id, why } => {
                write!(f, "the secret hands out access key {key_id}: {why}")
            }
            Self::NotHeld { credential, why } => write!(
                f,
                "the secret names {credential}, and its issuer does not confirm that it holds it: {why}"
            ),
            Self::KeyInNoSecret => f.write_str(
                "no secret that is known holds this access key: tag the one that does, or replace the \
                 key by hand",
            ),
            Self::NothingToRotate => {
                f.write_str("it has nothing that could be replaced: no secret, no access key")
            }
            Self::SharedCredential { secrets } => write!(
                f,
                "{} hand out the same credential: replacing it in one would break the others",
                secrets.join(", ")
            ),
            Self::EndedByAnotherCase => f.write_str("another case has the secret end"),
            Self::UserIsRevoked { user } => {
                write!(f, "a case has the user {user} revoked: no new key is made for it")
            }
            Self::KeyInAnotherSecret { key_id } => write!(
                f,
                "it handed out access key {key_id}, and so does another secret: rotate that one, or end \
                 the key by hand"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_older_ledgers_say_of_secrets_is_looked_up_again() {
        let old: BlockReason = serde_json::from_str(r#"{"block":"secret-selector"}"#).unwrap();
        assert_eq!(old, BlockReason::NotFound);
    }
}
