//! Access keys.

use chrono::{DateTime, Utc};

use super::spread::{Moment, Spread};

/// A long-term access key, kept (as `Gone`) after it was deleted.
pub(crate) struct AccessKey {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) account: String,
    pub(crate) owner: KeyOwner,
    pub(crate) created: DateTime<Utc>,
    pub(crate) status: Spread<KeyStatus>,
    pub(crate) last_used: Option<LastUse>,
    /// When the key stopped being accepted, or will.
    pub(crate) stopped_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyOwner {
    Root,
    /// A user, by unique id.
    User(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyStatus {
    Active,
    Inactive,
    /// Not made yet, or deleted.
    Gone,
}

impl KeyStatus {
    pub(crate) fn word(self) -> &'static str {
        match self {
            KeyStatus::Active => "Active",
            KeyStatus::Inactive | KeyStatus::Gone => "Inactive",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "Active" => Some(KeyStatus::Active),
            "Inactive" => Some(KeyStatus::Inactive),
            _ => None,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct LastUse {
    pub(crate) at: DateTime<Utc>,
    pub(crate) service: String,
    pub(crate) region: String,
}

impl AccessKey {
    /// Changes the status and keeps account of when the key stops being accepted.
    pub(crate) fn set_status(&mut self, status: KeyStatus, at: &Moment) {
        let was_active = *self.status.latest() == KeyStatus::Active;
        match status {
            KeyStatus::Active => self.stopped_at = None,
            KeyStatus::Inactive | KeyStatus::Gone if was_active => {
                self.stopped_at = Some(at.holds_at());
            }
            KeyStatus::Inactive | KeyStatus::Gone => {}
        }
        self.status.set(status, at);
    }
}
