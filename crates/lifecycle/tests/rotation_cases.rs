//! From a rotation's event to the plan of its case.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::{DateTime, TimeDelta, Utc};
use severance_lifecycle::case::Case;
use severance_lifecycle::event::{Attributes, Cause, Event, Payload, ROTATION_TYPE, parse};
use severance_lifecycle::plan::{
    Planned, Planner, Protected, SelectorMatch, TagKeys, Ties, unresolved_task,
};
use severance_lifecycle::policy::Desired;
use severance_lifecycle::task::{BlockReason, Lane};
use severance_lifecycle::zone::Zones;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn event(cause: Cause) -> Event {
    let attributes = Attributes {
        specversion: Some("1.0".into()),
        event_type: Some(ROTATION_TYPE.into()),
        source: Some("/owners".into()),
        id: Some(cause.as_str().into()),
        time: None,
    };
    let data = serde_json::json!({
        "credentials": [{"secret": "acme/api"}, {"contract": "c-17"}, {"zone": "acme"},
            {"tags": {"team": "support"}}, {"user": "acme-deploy"},
            {"access_key_id": "AKIAIOSFODNN7EXAMPLE"}],
        "cause": cause.as_str(),
        "grace": "PT4H",
    });
    parse(&attributes, data.to_string().as_bytes(), &[ROTATION_TYPE]).unwrap()
}

/// Plans a case of whose selectors nothing is known yet.
fn plan(case: &Case, event: &Event) -> Planned {
    let Payload::Rotation(rotation) = &event.payload else { panic!("a rotation") };
    let matches: Vec<_> = rotation
        .credentials
        .iter()
        .map(|selector| SelectorMatch {
            selector: selector.clone(),
            identities: Vec::new(),
            refused: Some(BlockReason::NotListed),
        })
        .collect();
    let (zones, tag_keys) = (Zones::default(), TagKeys::default());
    let planner = Planner { zones: &zones, tag_keys: &tag_keys, protected: &Protected::default() };
    planner.plan(case, &matches, &Ties::default(), now())
}

#[test]
fn whatever_the_cause_everything_that_is_named_has_a_task_and_none_is_left_out() {
    for cause in Cause::ALL {
        let event = event(cause);
        let case = Case::open(&event, now(), now());
        let planned = plan(&case, &event);
        let Payload::Rotation(rotation) = &event.payload else { panic!("a rotation") };
        let mut expected: Vec<_> = rotation
            .credentials
            .iter()
            .map(|it| unresolved_task(&case.id, case.trigger, it))
            .collect();
        expected.sort();
        let found: Vec<_> = planned.tasks.iter().map(|task| task.id.clone()).collect();
        assert_eq!(found, expected, "{}", cause.as_str());
    }
}

#[test]
fn a_task_of_a_rotation_wants_rotation_in_the_last_lane_with_its_cause_and_its_grace() {
    let event = event(Cause::SupportHandoff);
    let case = Case::open(&event, now(), now());
    for task in plan(&case, &event).tasks {
        assert_eq!((task.desired, task.lane), (Desired::Rotated, Lane::Rest));
        assert_eq!(task.cause, Some(Cause::SupportHandoff));
        assert_eq!(task.grace, Some(TimeDelta::hours(4)));
    }
}
