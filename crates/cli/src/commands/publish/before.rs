//! What was known before an event was published, so that an id that was used before is not taken for it.

use std::time::Duration;

use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::CaseId;

use crate::client::Client;
use crate::commands::follow;
use crate::error::{Failure, Outcome};

/// What the worker knew before the event was published.
#[derive(Default)]
pub(super) struct Before {
    /// The case was there: the event's id was used before.
    known: bool,
    /// Events with a known id that it had counted.
    repeated: u64,
}

impl Before {
    pub(super) async fn look(client: &Client, case: &CaseId) -> Outcome<Self> {
        let known = client.case_if_known(case.as_str()).await?.is_some();
        Ok(Self { known, repeated: if known { repeated(client).await? } else { 0 } })
    }

    /// Where the id was used before, the old case would be followed whatever has become of this event:
    /// waits until the worker has taken it, and ends badly where it says something else than the first.
    pub(super) async fn until_taken(
        &self,
        client: &Client,
        case: &CaseId,
        digest: &str,
        patience: Duration,
    ) -> Outcome {
        if !self.known {
            return Ok(());
        }
        let taken = tokio::time::timeout(patience, async {
            loop {
                // Counted first: what is counted shows in the case that is asked for after it.
                let counted = repeated(client).await? > self.repeated;
                let detail = client.case(case.as_str()).await?;
                let conflicts = |finding: &Finding| {
                    matches!(finding, Finding::ContentConflict { digest: other, .. }
                        if other == digest)
                };
                if detail.findings.iter().any(conflicts) {
                    return Err(Failure::ended_badly(format!(
                        "the event was not acted on: {case} was opened by an event of the same \
                         source and id that says something else; publish it under an id of its own"
                    )));
                }
                if counted {
                    return Ok(());
                }
                tokio::time::sleep(follow::EVERY).await;
            }
        });
        taken.await.unwrap_or_else(|_| {
            Err(Failure::ended_badly("the worker has not taken the event yet; it may still do so"))
        })
    }
}

async fn repeated(client: &Client) -> Outcome<u64> {
    let counts = client.summary().await?.counts;
    Ok(counts.duplicates + counts.conflicts)
}
