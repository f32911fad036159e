//! Planning: from a case's selectors and what they matched to tasks.

mod blast_radius;
mod inventory;
mod planner;

pub use blast_radius::BlastRadius;
pub use inventory::{Flattened, Identity, IdentityDetail, TagKeys};
pub use planner::{
    MatchedIdentity, Planned, Planner, Portions, Protected, SelectorMatch, unresolved_task,
};
