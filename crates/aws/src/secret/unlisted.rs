//! The versions of a secret whose versions may not be listed: those with a label, and a place for all others,
//! of which nothing is known but that they may be there.

use std::collections::BTreeSet;

use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::primitives::DateTime as SdkTime;
use aws_sdk_secretsmanager::types::SecretVersionsListEntry;
use chrono::{DateTime, TimeDelta, Utc};
use severance_engine::ports::Look;
use severance_lifecycle::failure::Failure;
use severance_lifecycle::secret::{Issuer, SecretRef};
use severance_lifecycle::secret_view::{Held, VersionState};

use super::{observe, value};
use crate::calls::Calls;

/// Stands for every version without a label.
const OTHERS: &str = "without a label";

/// What is exposed is killed as far as it is seen. A key of the user that works and is in none of these versions
/// may be in one that was not: whatever was not seen is shown as what may not be read.
pub(super) async fn versions(
    calls: &Calls<'_>,
    look: &Look,
    of: (&SecretRef, &Issuer),
    described: &DescribeSecretOutput,
    refused: &Failure,
) -> Result<Vec<VersionState>, Failure> {
    tracing::warn!(account = %calls.id(), secret = of.0.arn, failure = %refused, "only versions with a label are seen");
    // Before the exposure, so that it counts as exposed.
    let before = look.exposed_since - TimeDelta::milliseconds(1);
    let mut seen = Vec::new();
    for (id, stages) in described.version_ids_to_stages.clone().unwrap_or_default() {
        // Without the time nobody can say whether it was exposed: what it is known to hold is left out.
        let Some(created) = value::stored_at(calls, of.0, &id).await? else {
            let held = unreadable("it cannot be read, nor can versions be listed", refused);
            let labels = stages.into_iter().collect();
            seen.push(VersionState { id, stages: labels, created: before, held });
            continue;
        };
        let entry = SecretVersionsListEntry::builder().version_id(id);
        let entry = entry.created_date(SdkTime::from_millis(created.timestamp_millis()));
        let readable = described.deleted_date.is_none();
        seen.push(observe::version(calls, of, entry.build(), stages, readable).await?);
    }
    // Where the secret ends, whatever was stored up to now does.
    seen.extend([before, calls.at()].map(|created| unseen(created, refused)));
    Ok(seen)
}

fn unseen(created: DateTime<Utc>, refused: &Failure) -> VersionState {
    let held = unreadable("versions cannot be listed", refused);
    VersionState { id: OTHERS.to_owned(), stages: BTreeSet::new(), created, held }
}

fn unreadable(what: &str, refused: &Failure) -> Held {
    Held::Unreadable { why: format!("{what}: {} of {}", refused.code, refused.operation) }
}
