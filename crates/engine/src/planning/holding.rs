//! Holding a case that its plans make too large.

use std::collections::BTreeMap;

use severance_lifecycle::case::CaseState;
use severance_lifecycle::ids::TaskId;
use severance_lifecycle::journal::Happening;
use severance_lifecycle::outcome;
use severance_lifecycle::plan::BlastRadius;

use crate::ports::ClaimedCase;
use crate::shared::Shared;
use crate::telling::Telling;

/// Holds a case that a plan brings beyond the limit, and tells so. `answered` are tasks that the plan
/// takes away; `plan` says how many credentials each of its tasks comes to.
pub(super) fn hold(
    shared: &Shared,
    claimed: &ClaimedCase,
    answered: &[TaskId],
    plan: &BTreeMap<TaskId, usize>,
    telling: &mut Telling,
) -> Option<CaseState> {
    let (case, known) = (&claimed.case, &claimed.known);
    let (now, limit) = (shared.now(), shared.config.blast_radius);
    let credentials = BlastRadius { limit, known, answered }.exceeded(case, plan)?;
    telling.case(&case.id, now, Happening::Held { credentials, limit });
    telling.escalation(&outcome::escalation_of_hold(case, credentials, limit, now));
    Some(CaseState::Held { credentials, limit })
}
