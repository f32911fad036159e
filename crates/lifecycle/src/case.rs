//! Cases: what one accepted event opened.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::event::{Event, Payload, Severity, Trigger};
use crate::ids::{CaseId, ContractName, EventKey, ZoneName};

/// What one accepted event opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Its id.
    pub id: CaseId,
    /// The event that opened it.
    pub event: EventKey,
    /// What kind of event that was.
    pub trigger: Trigger,
    /// How bad it is; contract ends have none.
    pub severity: Option<Severity>,
    /// The zone that a contract end names; a notice may reach several.
    pub zone: Option<ZoneName>,
    /// The contract that a contract end names.
    pub contract: Option<ContractName>,
    /// The ticket.
    pub ticket: Option<String>,
    /// Where the clock of time to revoke starts.
    pub noticed_at: DateTime<Utc>,
    /// When the intake stored the event.
    pub received_at: DateTime<Utc>,
    /// When work starts: at once, or at a contract's end.
    pub start_at: DateTime<Utc>,
    /// Where it stands.
    pub state: CaseState,
    /// When it closed.
    pub closed_at: Option<DateTime<Utc>>,
}

/// Where a case stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum CaseState {
    /// Accepted; what it names is looked up at `start_at`.
    Accepted,
    /// Planned, and held until a person releases it.
    Held {
        /// How many credentials are in it.
        credentials: usize,
        /// The limit that it is over.
        limit: usize,
    },
    /// Its tasks are being worked on.
    Open,
    /// Nothing more to do.
    Closed {
        /// How it ended.
        how: Closing,
    },
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Closing {
    /// Every task that counts is done.
    Done,
    /// Every task that counts is done or was only observed.
    Observed,
    /// A revision that is higher took its place.
    Superseded,
    /// A contract's reinstatement that had nothing to undo, or an event that changed nothing.
    NothingToDo,
}

impl CaseState {
    /// The name of the state, without its details.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Held { .. } => "held",
            Self::Open => "open",
            Self::Closed { .. } => "closed",
        }
    }
}

/// How many of a case's counting tasks are in which state: what closing is decided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Open.
    pub open: usize,
    /// Blocked.
    pub blocked: usize,
    /// Done.
    pub done: usize,
    /// Observed.
    pub observed: usize,
    /// Superseded.
    pub superseded: usize,
}

/// How a case closes, or `None` while something is open or blocked: nothing is quietly given up.
pub fn closing(tally: Tally) -> Option<Closing> {
    if tally.open + tally.blocked > 0 {
        None
    } else if tally.observed > 0 {
        Some(Closing::Observed)
    } else if tally.done > 0 {
        Some(Closing::Done)
    } else if tally.superseded > 0 {
        Some(Closing::Superseded)
    } else {
        Some(Closing::NothingToDo)
    }
}

impl Case {
    /// Opens the case of an event. `record_time` is the Kafka record's timestamp, `received_at` the
    /// moment that the intake stores it.
    ///
    /// The clock of a notice starts at the earliest of `discovered_at` and `time`, either clamped to
    /// the record's timestamp where it lies in the future; a contract end's at `effective_at`.
    pub fn open(event: &Event, record_time: DateTime<Utc>, received_at: DateTime<Utc>) -> Self {
        let sent = event.time.unwrap_or(record_time).min(record_time);
        let (noticed_at, start_at, severity, zone, contract) = match &event.payload {
            Payload::CompromiseNotice(notice) => {
                let noticed = notice.discovered_at.min(sent);
                (noticed, received_at, Some(notice.severity), None, None)
            }
            Payload::ContractEnd(end) => {
                let start = end.effective_at.max(received_at);
                let zone = Some(end.zone.clone());
                (end.effective_at, start, None, zone, Some(end.contract.clone()))
            }
        };
        Self {
            id: CaseId::of(&event.key),
            event: event.key.clone(),
            trigger: event.trigger(),
            severity,
            zone,
            contract,
            ticket: event.ticket().map(str::to_owned),
            noticed_at,
            received_at,
            start_at,
            state: CaseState::Accepted,
            closed_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_closes_only_when_nothing_is_open_or_blocked() {
        let tally =
            |open, blocked, done, observed| Tally { open, blocked, done, observed, superseded: 0 };
        assert_eq!(closing(tally(1, 0, 9, 0)), None);
        assert_eq!(closing(tally(0, 1, 9, 0)), None);
        assert_eq!(closing(tally(0, 0, 9, 0)), Some(Closing::Done));
        assert_eq!(closing(tally(0, 0, 9, 1)), Some(Closing::Observed));
        assert_eq!(closing(Tally::default()), Some(Closing::NothingToDo));
    }
}
