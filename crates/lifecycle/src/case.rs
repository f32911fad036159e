//! Cases: what one accepted event opened.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::event::{Cause, Event, Payload, Severity, Trigger};
use crate::finding::Finding;
use crate::ids::{CaseId, ContractName, EventKey, ZoneName};
use crate::rotation::CLIENT_CACHE;

/// What one accepted event opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Its id.
    pub id: CaseId,
    /// The event that opened it.
    pub event: EventKey,
    /// What kind of event that was.
    pub trigger: Trigger,
    /// How bad it is; only a compromise notice says.
    pub severity: Option<Severity>,
    /// Why credentials are rotated; only a rotation says.
    #[serde(default)]
    pub cause: Option<Cause>,
    /// The grace that a rotation asks for; else the zone's.
    #[serde(default)]
    pub grace: Option<TimeDelta>,
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
    /// When work starts: at once, at a contract's end, or when a rotation may begin.
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
    /// Every task that counts was only observed.
    Observed,
    /// Some tasks that count are done, and others were only observed.
    PartlyObserved,
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
    } else if tally.observed > 0 && tally.done > 0 {
        Some(Closing::PartlyObserved)
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
    /// the record's timestamp where it lies in the future; a contract end's at `effective_at`; a
    /// rotation's at the later of `time` (clamped alike) and `not_before`.
    pub fn open(event: &Event, record_time: DateTime<Utc>, received_at: DateTime<Utc>) -> Self {
        let sent = event.time.unwrap_or(record_time).min(record_time);
        let case = Self {
            id: CaseId::of(&event.key),
            event: event.key.clone(),
            trigger: event.trigger(),
            severity: None,
            cause: None,
            grace: None,
            zone: None,
            contract: None,
            ticket: event.ticket().map(str::to_owned),
            noticed_at: sent,
            received_at,
            start_at: received_at,
            state: CaseState::Accepted,
            released: 0,
            closed_at: None,
        };
        match &event.payload {
            Payload::CompromiseNotice(notice) => Self {
                noticed_at: notice.discovered_at.min(sent),
                severity: Some(notice.severity),
                ..case
            },
            Payload::ContractEnd(end) => Self {
                noticed_at: end.effective_at,
                start_at: end.effective_at.max(received_at),
                zone: Some(end.zone.clone()),
                contract: Some(end.contract.clone()),
                ..case
            },
            Payload::Rotation(rotation) => Self {
                noticed_at: rotation.not_before.map_or(sent, |at| at.max(sent)),
                start_at: rotation.not_before.map_or(received_at, |at| at.max(received_at)),
                cause: Some(rotation.cause),
                grace: rotation.grace,
                ..case
            },
        }
    }
}

/// What a person should know of an event as it came: its clamped times, and a grace that is too short.
pub fn remarks(event: &Event, record_time: DateTime<Utc>) -> Vec<Finding> {
    let mut remarks = clamped_times(event, record_time);
    if let Payload::Rotation(rotation) = &event.payload
        && let Some(grace) = rotation.grace.filter(|grace| *grace < CLIENT_CACHE)
    {
        remarks.push(Finding::ShortGrace { seconds: grace.num_seconds() });
    }
    remarks
}

/// Times of an event that lie after its record's timestamp. They are clamped to it by [`Case::open`],
/// since a clock that runs ahead must not make a revocation look faster than it was.
fn clamped_times(event: &Event, record_time: DateTime<Utc>) -> Vec<Finding> {
    let discovered = match &event.payload {
        Payload::CompromiseNotice(notice) => Some(notice.discovered_at),
        // An end or a start that lies ahead is a timer, not a mistake.
        Payload::ContractEnd(_) | Payload::Rotation(_) => None,
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
        assert_eq!(remarks(&notice(Some(900), 500), at(100)).len(), 2);
        assert!(remarks(&notice(Some(100), 70), at(100)).is_empty());
    }

    fn rotation(time: Option<i64>, not_before: Option<i64>, grace: Option<TimeDelta>) -> Event {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let rotation = crate::event::RotationRequest {
            credentials: Vec::new(),
            cause: Cause::OwnerChange,
            grace,
            not_before: not_before.map(at),
            ticket: None,
        };
        let payload = Payload::Rotation(rotation);
        Event { time: time.map(at), payload, ..notice(None, 0) }
    }

    #[test]
    fn a_rotations_clock_starts_at_the_later_of_its_time_and_not_before() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        for (time, not_before, noticed, start) in [
            (Some(50), None, 50, 200),
            (None, None, 100, 200),
            (Some(50), Some(70), 70, 200),
            (Some(90), Some(70), 90, 200),
            (Some(50), Some(900), 900, 900),
            (Some(5_000), Some(70), 100, 200),
        ] {
            let case = Case::open(&rotation(time, not_before, None), at(100), at(200));
            let found = (case.noticed_at, case.start_at);
            assert_eq!(found, (at(noticed), at(start)), "{time:?} {not_before:?}");
        }
    }

    #[test]
    fn a_rotations_cause_and_grace_are_kept_and_a_grace_below_the_clients_cache_is_told() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let told = |grace| remarks(&rotation(Some(50), Some(900), grace), at(100));
        let case = Case::open(&rotation(None, None, Some(TimeDelta::hours(1))), at(100), at(200));
        assert_eq!(case.trigger, Trigger::Rotation);
        assert_eq!((case.cause, case.grace), (Some(Cause::OwnerChange), Some(TimeDelta::hours(1))));
        assert_eq!(told(None), [], "a start that lies ahead is no mistake");
        assert_eq!(told(Some(TimeDelta::hours(1))), []);
        assert_eq!(told(Some(TimeDelta::minutes(5))), [Finding::ShortGrace { seconds: 300 }]);
    }

    #[test]
    fn a_case_closes_only_when_nothing_is_open_or_blocked() {
        let tally =
            |open, blocked, done, observed| Tally { open, blocked, done, observed, superseded: 0 };
        assert_eq!(closing(tally(1, 0, 9, 0)), None);
        assert_eq!(closing(tally(0, 1, 9, 0)), None);
        assert_eq!(closing(tally(0, 0, 9, 0)), Some(Closing::Done));
        assert_eq!(closing(tally(0, 0, 0, 9)), Some(Closing::Observed));
        assert_eq!(closing(tally(0, 0, 9, 1)), Some(Closing::PartlyObserved));
        assert_eq!(closing(Tally::default()), Some(Closing::NothingToDo));
    }
}
