//! `decide`: what to do next about one target. Pure, total, and the same for the same inputs.
//!
//! Each kind of target is a readable list of small named checks, in order; the first that has
//! something to say decides. A crash anywhere is repaired by looking again, since nothing here
//! depends on what was done, only on what is seen and on rows of looks kept in the
//! [`Record`](crate::record::Record).

use std::fmt;

use chrono::{DateTime, Utc};

use crate::action::Action;
use crate::task::{BlockReason, Verification};

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Carry this out, then look again.
    Act(Action, Reason),
    /// Look again at this moment (the provider's clock).
    Wait(DateTime<Utc>, Reason),
    /// The desired state holds.
    Done(Verification),
    /// It cannot be reached for now.
    Blocked(BlockReason),
}

/// Why, for the journal and the log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(pub String);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
