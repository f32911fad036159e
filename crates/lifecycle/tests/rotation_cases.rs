//! From a rotation's event to the plan of its case.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::{DateTime, TimeDelta, Utc};
use severance_lifecycle::case::Case;
use severance_lifecycle::credential::Target;
use severance_lifecycle::event::{Attributes, Cause, Event, Payload, ROTATION_TYPE, parse};
use severance_lifecycle::outcome::{self, stages};
use severance_lifecycle::plan::{
    Planned, Planner, Protected, SelectorMatch, TagKeys, Ties, unresolved_task,
};
use severance_lifecycle::policy::Desired;
use severance_lifecycle::rotation::OldVersion;
use severance_lifecycle::secret::{Issuer, SecretRef};
use severance_lifecycle::secret_view::Held;
use severance_lifecycle::task::{BlockReason, Lane, Task, TaskState, Verification};
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

#[test]
fn of_a_rotation_that_is_done_only_a_credential_that_works_again_is_drift() {
    let event = event(Cause::Requested);
    let case = Case::open(&event, now(), now());
    let mut task = plan(&case, &event).tasks.remove(0);
    let held = Held::AccessKey { key_id: "AKIAIOSFODNN7EXAMPLE".into() };
    task.record.rotation.old = Some(OldVersion { version: "v".into(), held });
    task.record.dead_at = Some(now());
    let over = [
        BlockReason::NotFound,
        BlockReason::ScheduledForDeletion { since: now() },
        BlockReason::EndedByAnotherCase,
        BlockReason::UserIsRevoked { user: "app".into() },
    ];
    let all = |task: &Task| over.iter().filter(|reason| task.is_over_by(reason)).count();
    assert_eq!(all(&task), 0, "it is not done");
    task.state = TaskState::Done { verification: Verification::Probed };
    assert_eq!(all(&task), over.len());
    assert!(!task.is_over_by(&BlockReason::OldNotProven));
    task.record.dead_at = None;
    assert_eq!(
        all(&task),
        2,
        "its old key works again: only what another case ends is its concern"
    );
    // What an issuer that is told of refuses shows at no look.
    task.record.rotation.old.as_mut().unwrap().held = Held::Login { username: "app".into() };
    assert_eq!(all(&task), over.len());
    task.desired = Desired::Revoked;
    assert_eq!(all(&task), 0, "a revocation is looked at to its end");
}

/// A rotation of a secret that is done, of whatever strategy.
fn done(issuer: Issuer) -> Task {
    let event = event(Cause::Requested);
    let case = Case::open(&event, now(), now());
    let mut task = plan(&case, &event).tasks.remove(0);
    let secret = SecretRef {
        account: "111122223333".into(),
        region: "eu-west-1".into(),
        arn: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app-AbCdEf".into(),
        name: "app".into(),
    };
    task.target = Target::Secret { secret, issuer };
    task.verified_at = Some(now() + TimeDelta::hours(2));
    task
}

#[test]
fn a_rotation_by_its_own_function_is_done_and_never_verified() {
    let verification = Verification::ControlPlane;
    for (issuer, is_proven) in [
        (Issuer::Managed, false),
        (Issuer::Database { alternating: false }, true),
        (Issuer::Webhook { name: "hook".into() }, true),
    ] {
        let mut task = done(issuer.clone());
        assert_eq!(task.proves_its_end(), is_proven, "{issuer:?}");
        assert_eq!(stages(&task).verified, None, "it is not done");
        task.state = TaskState::Done { verification };
        assert_eq!(stages(&task).verified, task.verified_at.filter(|_| is_proven), "{issuer:?}");
        let told = outcome::done(&task, verification, &[], now()).data;
        for what in ["time_to_revoke_seconds", "deadline_met"] {
            assert_eq!(!told[what].is_null(), is_proven, "{issuer:?}: {what}");
        }
        // An end of such a secret is another matter: it is blocked before it is done.
        task.desired = Desired::Revoked;
        assert!(task.proves_its_end(), "{issuer:?}");
    }
}
