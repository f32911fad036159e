//! An escalation's id: consumers drop what they have seen under it.

use chrono::{DateTime, TimeDelta, Utc};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::{CaseId, TaskId};
use severance_lifecycle::outcome::{OutboundEvent, escalation};

fn told(task: &str, what: &str, at: DateTime<Utc>) -> OutboundEvent {
    let (case, task) = (CaseId::from("c-1"), TaskId::from(task));
    let finding = Finding::Drift { what: what.to_owned() };
    escalation(Some(&case), Some(&task), None, &finding, at)
}

#[test]
fn what_one_look_tells_twice_has_one_id_and_other_words_have_another() {
    let now = DateTime::UNIX_EPOCH;
    let first = told("t-1", "AKIA1 of app", now);
    assert_eq!(first.id, told("t-1", "AKIA1 of app", now).id);
    for other in [
        told("t-1", "AKIA2 of app", now),
        told("t-2", "AKIA1 of app", now),
        told("t-1", "AKIA1 of app", now + TimeDelta::microseconds(1)),
    ] {
        assert_ne!(first.id, other.id);
    }
}
