//! Planning: from a case's selectors and what they matched to tasks.

mod inventory;
mod planner;

pub use inventory::{Flattened, Identity, IdentityDetail, TagKeys};
pub use planner::{MatchedIdentity, Planned, Planner, Protected, SelectorMatch};
