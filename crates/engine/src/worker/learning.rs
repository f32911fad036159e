//! What a look at a secret tells of the keys that it hands out is known at once: the next listing may be an hour
//! away, and a notice may name a key that was stored since the last one.

use std::collections::BTreeSet;

use severance_lifecycle::observe::{Observed, View};
use severance_lifecycle::plan::IdentityDetail;
use severance_lifecycle::secret::Holding;
use severance_lifecycle::secret_view::{CURRENT, PENDING, SecretView};

use super::Worker;
use crate::ports::LedgerError;

impl Worker {
    /// Has the inventory know what the secret hands out, where it was listed with something else.
    pub(super) async fn learn(&mut self, observed: &Observed) -> Result<(), LedgerError> {
        let (View::Secret(view), Some(known)) = (&observed.view, &mut self.known) else {
            return Ok(());
        };
        let IdentityDetail::Secret(detail) = &mut known.detail else { return Ok(()) };
        let holds = handed_out(view, &detail.holds);
        if holds != detail.holds {
            self.shared.ledger.learn_holdings(&known.arn, &holds).await?;
            detail.holds = holds;
        }
        Ok(())
    }
}

/// What a secret hands out, or is about to, by a look; what only tags told of before stays.
fn handed_out(view: &SecretView, before: &BTreeSet<Holding>) -> BTreeSet<Holding> {
    let labelled = view.versions.iter().filter(|it| it.has(CURRENT) || it.has(PENDING));
    let keys: BTreeSet<&str> = labelled.filter_map(|version| version.key_id()).collect();
    let stays = |holding: &&Holding| {
        let left = |id: &str| !keys.contains(id) && view.holders(id).next().is_some();
        !holding.key_id().is_some_and(left)
    };
    let kept = before.iter().filter(stays).cloned();
    kept.chain(keys.iter().map(|id| Holding::AccessKey { key_id: (*id).to_owned() })).collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use severance_lifecycle::observe::Presence;
    use severance_lifecycle::secret_view::{Held, PREVIOUS, VersionState};

    use super::*;

    fn key(id: &str) -> Holding {
        Holding::AccessKey { key_id: id.to_owned() }
    }

    fn version(key_id: &str, label: Option<&str>) -> VersionState {
        VersionState {
            id: format!("v-{key_id}"),
            stages: label.into_iter().map(str::to_owned).collect(),
            created: DateTime::UNIX_EPOCH,
            held: Held::AccessKey { key_id: key_id.to_owned() },
        }
    }

    #[test]
    fn what_is_current_or_about_to_be_is_handed_out_and_what_was_replaced_is_not() {
        let view = SecretView {
            secret: Presence::Same,
            deleted_at: None,
            owning_service: None,
            has_function: false,
            versions: vec![
                version("new", Some(PENDING)),
                version("now", Some(CURRENT)),
                version("then", Some(PREVIOUS)),
                version("long-ago", None),
            ],
            replicas: Vec::new(),
            denied: false,
            keys: None,
        };
        let before = BTreeSet::from([key("then"), key("by-its-tag")]);
        let holds = handed_out(&view, &before);
        assert_eq!(holds, BTreeSet::from([key("by-its-tag"), key("new"), key("now")]));
    }
}
