//! The policy language, as far as the sandbox enforces it.
//!
//! AWS: IAM User Guide, "Policy evaluation logic" and "IAM JSON policy elements reference".
//! What is not evaluated here is refused when a document is put, so that no policy is ever
//! accepted and then ignored.

pub(crate) mod condition;
pub(crate) mod document;
pub(crate) mod evaluate;
pub(crate) mod pattern;
pub(crate) mod principal;

pub(crate) use condition::Context;
pub(crate) use document::{Document, Kind};
pub(crate) use evaluate::{Question, Verdict, judge};
pub(crate) use principal::{Admission, Asker, admits};
