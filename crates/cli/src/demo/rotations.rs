//! Rotations while they run: what is asked for, and waiting for the middle of one.

use std::collections::BTreeMap;
use std::time::Duration;

use severance_lifecycle::event::{Selector, SelectorTarget};

use super::attempts::Bench;
use super::credentials::Holder;
use super::secrets::{Fate, HeldSecret, Moment, Strategy};
use super::vault::Version;
use crate::error::{Failure, Outcome};

/// How often a secret is looked at.
const EVERY: Duration = Duration::from_millis(50);
/// A rotation that has not begun by then never will: it waits for all that is more urgent.
const PATIENCE: Duration = Duration::from_mins(4);

/// Everything that an owner's tag is on.
pub(super) fn owned_by(owner: &str) -> Selector {
    let tags = BTreeMap::from([("severance:owner".to_owned(), owner.to_owned())]);
    Selector { target: SelectorTarget::Tags(tags), account: None, region: None }
}

/// Waits until a secret's rotation is in the middle that its fate says, or beyond it.
pub(super) async fn until_amid(bench: &Bench<'_>, secret: &HeldSecret, holder: &Holder) -> Outcome {
    let Fate::CompromisedAmid(moment) = secret.fate else { return Ok(()) };
    let waiting = async {
        while !is_amid(bench, holder, moment).await? {
            tokio::time::sleep(EVERY).await;
        }
        Ok(())
    };
    let late = || Failure::new(format!("the rotation of {} did not begin", secret.name));
    tokio::time::timeout(PATIENCE, waiting).await.map_err(|_| late())?
}

async fn is_amid(bench: &Bench<'_>, holder: &Holder, moment: Moment) -> Outcome<bool> {
    let versions = bench.vault.versions(&holder.arn).await?;
    let with = |label| versions.iter().find(|version: &&Version| version.has(label));
    if with("AWSPREVIOUS").is_some() {
        return Ok(true);
    }
    let pending = with("AWSPENDING").filter(|_| moment == Moment::Pending);
    let Some(pending) = pending else { return Ok(false) };
    if holder.strategy != Strategy::Webhook {
        return Ok(true);
    }
    match bench.vault.version(&holder.arn, &pending.id).await? {
        Some(value) => Ok(bench.opens(holder, &value, true).await?.is_ok()),
        None => Ok(false),
    }
}
