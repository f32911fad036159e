//! Rotation of secrets: when it is due, and the functions that do it, which the sandbox runs itself.

mod function;
mod rules;
mod run;
mod schedule;
mod value;

pub use function::{RotationFunction, RotationKind};
pub(crate) use rules::Rules;
pub(crate) use run::{begin, make_pending, plan_next, promote, reattempt, scheduled};
