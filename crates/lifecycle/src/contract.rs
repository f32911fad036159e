//! Contracts: which revision holds, and what a new one means for the cases before it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::event::{ContractChange, ContractEnd};
use crate::ids::CaseId;

/// What is known of a contract: its highest revision so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractState {
    /// The highest revision seen.
    pub revision: u64,
    /// What it said.
    pub change: ContractChange,
    /// When it takes effect.
    pub effective_at: DateTime<Utc>,
    /// The case of that revision.
    pub case: CaseId,
    /// SHA-256 of that event: the same revision with other content is a conflict.
    pub digest: String,
}

/// What a revision that arrives means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the highest so far. Cases of lower revisions that are not closed are superseded, and
    /// `restore` says whether what they changed is to be put back.
    Holds {
        /// Whether earlier cases' changes are put back.
        restore: bool,
    },
    /// A higher revision is known already: the case closes as superseded.
    Stale,
    /// The same revision with other content: nothing is done, a person must look. The earlier one
    /// stays in force.
    Conflict,
}

/// Judges a revision against what is known. Pure, so the order of arrival cannot matter: the end is
/// always that of the highest revision.
pub fn judge(known: Option<&ContractState>, end: &ContractEnd, digest: &str) -> Verdict {
    match known {
        Some(state) if end.revision < state.revision => Verdict::Stale,
        Some(state) if end.revision == state.revision && digest != state.digest => {
            Verdict::Conflict
        }
        Some(state) if end.revision == state.revision => Verdict::Stale,
        _ => Verdict::Holds { restore: end.change == ContractChange::Reinstated },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(revision: u64, change: ContractChange) -> ContractEnd {
        ContractEnd {
            contract: "c".into(),
            zone: "z".into(),
            effective_at: DateTime::from_timestamp(0, 0).unwrap(),
            reason: String::new(),
            ticket: None,
            change,
            revision,
        }
    }

    fn state(revision: u64) -> ContractState {
        ContractState {
            revision,
            change: ContractChange::Ended,
            effective_at: DateTime::from_timestamp(0, 0).unwrap(),
            case: "c-1".into(),
            digest: "d".into(),
        }
    }

    #[test]
    fn the_highest_revision_wins_whatever_the_order() {
        let extended = end(3, ContractChange::Extended);
        assert_eq!(judge(None, &extended, "d"), Verdict::Holds { restore: false });
        assert_eq!(judge(Some(&state(2)), &extended, "d"), Verdict::Holds { restore: false });
        assert_eq!(judge(Some(&state(4)), &extended, "d"), Verdict::Stale);
        assert_eq!(judge(Some(&state(3)), &extended, "other"), Verdict::Conflict);
        assert_eq!(judge(Some(&state(3)), &extended, "d"), Verdict::Stale);
    }

    #[test]
    fn only_a_reinstatement_restores() {
        let back = end(5, ContractChange::Reinstated);
        assert_eq!(judge(Some(&state(4)), &back, "x"), Verdict::Holds { restore: true });
    }
}
