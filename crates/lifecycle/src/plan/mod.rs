//! Planning: from a case's selectors and what they matched to tasks.

mod blast_radius;
mod covering;
mod draft;
mod inventory;
mod owners;
mod planner;
mod portions;
mod protected;
mod secrets;
mod sharing;
mod strategy;
mod ties;

pub use blast_radius::BlastRadius;
pub use inventory::{Flattened, Identity, IdentityDetail, SecretDetail, TagKeys};
pub use owners::{another_zone, vouches};
pub use planner::{MatchedIdentity, Planned, Planner, SelectorMatch, unresolved_task};
pub use portions::Portions;
pub use protected::Protected;
pub use strategy::SecretTagKeys;
pub use ties::Ties;
