//! Findings: what a person should know of a case beside its tasks' states. Each is shown with the case
//! and, where it asks for a person, escalated.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::action::Change;
use crate::ids::CaseId;
use crate::observe::{Intruder, Routes};

/// What a person should know.
#[allow(missing_docs, reason = "the fields are named for what they are")]
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum Finding {
    /// Something appeared on the user after the first exposure.
    Intruder { user: String, what: Intruder },
    /// What granted the user anything before everything was denied.
    Routes { user: String, routes: Routes },
    /// A trust policy lets in `*`, a whole account or a deleted identity.
    SuspiciousTrust { role: String, principals: Vec<String> },
    /// Nobody in the trust policy is known to be the partner's, so all of them can still assume the role.
    TrustKept { role: String, trusted: Vec<String> },
    /// The role is shared; sessions of the leaver may live until the longest has ended.
    ResidualSessions { role: String, until: chrono::DateTime<chrono::Utc> },
    /// A service assumes the role; its workloads are dead until they refresh.
    ServiceWorkloads { role: String, services: Vec<String> },
    /// What a reinstatement cannot put back.
    CannotRestore { change: Change },
    /// What a reinstatement leaves, because another case holds it.
    HeldByAnotherCase { change: Change },
    /// The identity's tags changed after the case was planned.
    TagsChanged { identity: String, was: String, is: String },
    /// Secrets hand out the same credential.
    SharedCredential { secrets: Vec<String> },
    /// A secret goes on handing out what the case revokes: nobody said how to replace it, or its whole user
    /// is revoked.
    HandsOutRevoked { secret: String, credential: String },
    /// A secret is gone, and keys that it handed out work still: nobody is handed them any more, and nothing
    /// ends them.
    KeysOfMissingSecret { secret: String, keys: Vec<String> },
    /// Those who leave could not be denied a secret.
    ReadersNotDenied { secret: String, why: String },
    /// Tagged with two zones or two contracts.
    FlattenedBoundary { identity: String, tag: String },
    /// The identity's zone tag differs from the zone that the event names.
    ZoneMismatch { identity: String, event_zone: String, tag_zone: String },
    /// A known `source` and `id` arrived with other content.
    ContentConflict { case: CaseId, digest: String },
    /// A contract revision arrived again with other content.
    RevisionConflict { revision: u64 },
    /// A contract was extended after its credentials were revoked: nothing is reactivated by itself.
    ExtendedAfterRevocation { revoked_by: CaseId },
    /// A time in the event lay in the future and was clamped to the record's timestamp.
    ClampedTime { field: String },
    /// The grace that a rotation asks for, or else its zone's, is shorter than clients keep a value.
    ShortGrace { seconds: i64 },
    /// What was closed was found open again at a later look.
    Drift { what: String },
    /// The zone's objective is missed: the task was not finished by its deadline.
    DeadlineMissed { deadline: chrono::DateTime<chrono::Utc> },
    /// An offset fell out of Kafka's retention: events may have been missed.
    OffsetsLost { topic: String, partition: i32 },
    /// An account cannot be listed: what is bound by tags in it, and roles within reach, may be missed.
    AccountNotListed { account: String },
}

impl Finding {
    /// Whether it goes out as an escalation, or is only shown with the case.
    pub fn escalates(&self) -> bool {
        !matches!(
            self,
            Self::ClampedTime { .. }
                | Self::HeldByAnotherCase { .. }
                | Self::ShortGrace { .. }
                | Self::Routes { .. }
        )
    }
}

#[allow(clippy::too_many_lines, reason = "one arm a finding")]
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intruder { user, what } => {
                let what = match what {
                    Intruder::AccessKey { key_id } => format!("access key {key_id}"),
                    Intruder::LoginProfile => "a console password".to_owned(),
                    Intruder::Policy { name } => format!("policy {name}"),
                };
                write!(f, "{what} appeared on {user} after the first exposure")
            }
            Self::Routes { user, routes } => {
                let Routes { inline, attached, groups, boundary } = routes;
                write!(f, "what reached {user} before all was denied:")?;
                let kinds = [("inline", inline), ("attached", attached), ("groups", groups)];
                for (kind, names) in kinds.into_iter().filter(|(_, names)| !names.is_empty()) {
                    write!(f, " {kind} {};", names.join(", "))?;
                }
                match boundary {
                    Some(boundary) => write!(f, " boundary {boundary}"),
                    None => f.write_str(" no boundary"),
                }
            }
            Self::SuspiciousTrust { role, principals } => {
                write!(f, "role {role} trusts {}", principals.join(", "))
            }
            Self::TrustKept { role, trusted } => {
                write!(f, "role {role} can still be assumed by {}", trusted.join(", "))
            }
            Self::ResidualSessions { role, until } => {
                write!(f, "sessions of role {role} may live until {}", until.format("%FT%TZ"))
            }
            Self::ServiceWorkloads { role, services } => {
                write!(f, "workloads of {} under role {role} are cut", services.join(", "))
            }
            Self::CannotRestore { change } => write!(f, "cannot be restored: {}", words(change)),
            Self::HeldByAnotherCase { change } => {
                write!(f, "left as it is, another case holds it: {}", words(change))
            }
            Self::TagsChanged { identity, was, is } => {
                write!(f, "tags of {identity} changed from {was} to {is}")
            }
            Self::SharedCredential { secrets } => {
                write!(f, "{} hand out the same credential", secrets.join(" and "))
            }
            Self::HandsOutRevoked { secret, credential } => {
                write!(f, "{secret} goes on handing out {credential}, which is revoked")
            }
            Self::KeysOfMissingSecret { secret, keys } => write!(
                f,
                "secret {secret} is gone, and what it handed out works still: {}; end by hand what nobody \
                 uses",
                keys.join(", ")
            ),
            Self::FlattenedBoundary { identity, tag } => {
                write!(f, "flattened boundary: {identity} is tagged {tag}")
            }
            Self::ZoneMismatch { identity, event_zone, tag_zone } => {
                write!(f, "{identity} is tagged {tag_zone}, the event says {event_zone}")
            }
            Self::ContentConflict { case, digest } => {
                write!(f, "the event of {case} arrived again with other content ({digest})")
            }
            Self::RevisionConflict { revision } => {
                write!(f, "revision {revision} arrived again with other content")
            }
            Self::ExtendedAfterRevocation { revoked_by } => write!(
                f,
                "extended after {revoked_by} had revoked: publish `reinstated` to restore"
            ),
            Self::ClampedTime { field } => write!(f, "{field} lay in the future"),
            Self::ReadersNotDenied { secret, why } => {
                write!(f, "those who leave may still read secret {secret}: {why}")
            }
            Self::ShortGrace { seconds } => write!(
                f,
                "a grace of {seconds} s is shorter than clients keep a secret's value, commonly an \
                 hour: some may still use the old one when it ends"
            ),
            Self::Drift { what } => write!(f, "open again after it was closed: {what}"),
            Self::DeadlineMissed { deadline } => {
                write!(f, "not finished by its deadline, {}", deadline.format("%FT%TZ"))
            }
            Self::AccountNotListed { account } => {
                write!(f, "account {account} cannot be listed: what it holds may be missed")
            }
            Self::OffsetsLost { topic, partition } => {
                write!(f, "offsets of {topic}/{partition} fell out of retention")
            }
        }
    }
}

fn words(change: &Change) -> String {
    match change {
        Change::KeyDeactivated { key_id, user } => format!("{key_id} of {}", user.name),
        Change::Deactivated { kind, id, user } => {
            format!("{} {id} of {}", kind.as_str(), user.name)
        }
        Change::LoginProfileDeleted { user } => format!("the password of {}", user.name),
        Change::MfaDeactivated { serial, .. } => format!("MFA device {serial}"),
        Change::UserDenied { user, deny } => {
            format!("{} on user {}", deny.policy_name(), user.name)
        }
        Change::RoleDenied { role, deny } => {
            format!("{} on role {}", deny.policy_name(), role.name)
        }
        Change::TrustRemoved { role, removed } => {
            format!("{} principals of role {}", removed.len(), role.name)
        }
        Change::KeyMade { user, .. } => format!("a key that was made of {}", user.name),
        Change::SecretDenied { secret, .. } => format!("the deny on secret {}", secret.name),
        Change::VersionRetired { secret, version } => {
            format!("what version {version} of secret {} opened", secret.name)
        }
        Change::ReplicasRemoved { secret, regions } => {
            let regions: Vec<_> = regions.iter().map(String::as_str).collect();
            format!("replicas of secret {} in {}", secret.name, regions.join(", "))
        }
        Change::DeletionScheduled { secret } => format!("the deletion of secret {}", secret.name),
    }
}
