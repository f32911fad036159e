//! Cases: what one accepted event opened.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::event::{Event, Payload, Severity, Trigger};
use crate::finding::Finding;
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
    /// How many credentials a person let go when it was held: it is held again only beyond that.
    #[serde(default)]
    pub released: usize,
    /// When it closed.
    pub closed_at: Option<DateTime<Utc>>,
}

/// Where a case stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum CaseState {
    /// Accepted; what it names is looked up at `start_at`.
    Accepted,
    /// Planned, and held until a person releases it. What it already did before a later plan made it
    /// too large goes on; what that plan added waits.
    Held {
        /// How many credentials are in it, over all its plans.
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
            released: 0,
            closed_at: None,
        }
    }
}

/// Times of an event that lie after its record's timestamp. They are clamped to it by [`Case::open`],
/// since a clock that runs ahead must not make a revocation look faster than it was.
pub fn clamped_times(event: &Event, record_time: DateTime<Utc>) -> Vec<Finding> {
    let discovered = match &event.payload {
        Payload::CompromiseNotice(notice) => Some(notice.discovered_at),
        // An end that lies ahead is a timer, not a mistake.
        Payload::ContractEnd(_) => None,
    };
    [("time", event.time), ("data.discovered_at", discovered)]
        .into_iter()
        .filter(|(_, time)| time.is_some_and(|time| time > record_time))
        .map(|(field, _)| Finding::ClampedTime { field: field.to_owned() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(time: Option<i64>, discovered: i64) -> Event {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let notice = crate::event::CompromiseNotice {
            credentials: Vec::new(),
            discovered_at: at(discovered),
            severity: Severity::High,
            reporter: String::new(),
            reason: String::new(),
            ticket: None,
            evidence_url: None,
        };
        Event {
            key: EventKey { source: "/s".into(), id: "1".into() },
            time: time.map(at),
            payload: Payload::CompromiseNotice(notice),
            digest: String::new(),
        }
    }

    #[test]
    fn the_clock_starts_at_the_earliest_and_never_in_the_future() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let noticed = |event: &Event| Case::open(event, at(100), at(200)).noticed_at;
        assert_eq!(noticed(&notice(Some(50), 70)), at(50));
        assert_eq!(noticed(&notice(Some(90), 70)), at(70));
        assert_eq!(noticed(&notice(None, 500)), at(100), "the record stands in for `time`");
        assert_eq!(noticed(&notice(Some(900), 500)), at(100));
        assert_eq!(clamped_times(&notice(Some(900), 500), at(100)).len(), 2);
        assert!(clamped_times(&notice(Some(100), 70), at(100)).is_empty());
    }

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
