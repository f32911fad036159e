//! What a scrape shows of rotations that are done.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use severance_engine::ports::{EngineEvent, Observer as _};
use severance_lifecycle::credential::{Target, UserRef};
use severance_lifecycle::event::{Cause, Trigger};
use severance_lifecycle::ids::{CaseId, TaskId};
use severance_lifecycle::policy::Desired;
use severance_lifecycle::record::Record;
use severance_lifecycle::secret::{Issuer, SecretRef};
use severance_lifecycle::task::{Binding, Lane, Mode, Task, TaskState, Verification};
use severance_telemetry::{BuildInfo, Metrics, Telemetry, names};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

/// Noticed at 0, told to its issuer at 10, handed out at 14, in step at 20, the old one dead at 90.
fn rotation(issuer: Issuer) -> Task {
    let secret = SecretRef {
        account: "111122223333".into(),
        region: "us-east-1".into(),
        arn: "arn:aws:secretsmanager:us-east-1:111122223333:secret:app-AbCdEf".into(),
        name: "app".into(),
    };
    let case = CaseId::from("c-0");
    let target = Target::Secret { secret, issuer };
    let mut record = Record::default();
    record.rotation.set.insert("new".to_owned(), at(10));
    record.rotation.new = Some("new".to_owned());
    record.rotation.promoted_at = Some(at(14));
    record.rotation.in_step_at = Some(at(20));
    record.rotation.old_dead_at = Some(at(90));
    Task {
        id: TaskId::of(&case, &target.key(), "rotated"),
        case,
        target,
        desired: Desired::Rotated,
        binding: Binding { zone: "acme".into(), contract: None, owner: None, tier: None },
        trigger: Trigger::Rotation,
        severity: None,
        cause: Some(Cause::Requested),
        ticket: None,
        lane: Lane::Rest,
        mode: Mode::Enforce,
        noticed_at: at(0),
        received_at: at(1),
        planned_at: at(2),
        deadline: at(900),
        assumable: Vec::new(),
        leaving: BTreeSet::new(),
        credentials: 1,
        counts: true,
        grace: None,
        undoes: None,
        delete_after: None,
        state: TaskState::Done { verification: Verification::Probed },
        record,
        accepted_at: Some(at(80)),
        verified_at: Some(at(90)),
    }
}

fn scrape(task: &Task) -> String {
    let metrics = Arc::new(Metrics::new(BuildInfo { version: "1.2.3" }));
    let done = EngineEvent::Done { task, verification: Verification::Probed };
    Telemetry::new(Arc::clone(&metrics)).on(&done);
    metrics.render(None)
}

/// How many values a histogram holds, and their sum; `None` where it has no series.
fn histogram(text: &str, name: &str) -> Option<(u64, f64)> {
    let value = |suffix: &str| {
        let start = format!("{name}_{suffix}{{");
        let line = text.lines().find(|line| line.starts_with(&start))?;
        line.rsplit(' ').next().map(str::to_owned)
    };
    Some((value("count")?.parse().unwrap(), value("sum")?.parse().unwrap()))
}

#[test]
fn the_gap_of_a_database_with_one_user_is_recorded_with_its_labels() {
    let text = scrape(&rotation(Issuer::Database { alternating: false }));
    assert_eq!(histogram(&text, names::ROTATION_GAP), Some((1, 4.0)), "{text}");
    let labels = r#"{trigger="rotation",strategy="database",zone="acme"}"#;
    assert!(text.contains(&format!("{}_count{labels} 1", names::ROTATION_GAP)), "{text}");
    assert_eq!(histogram(&text, names::TIME_TO_ROTATE), Some((1, 20.0)));
    assert_eq!(histogram(&text, names::ROTATION_OVERLAP), Some((1, 76.0)));
    assert!(
        text.contains(r#"kind="secret",zone="acme",stage="verified",verification="probed"} 90"#)
    );
}

#[test]
fn where_both_credentials_work_for_a_while_no_gap_is_recorded() {
    let (name, id) = ("app".into(), "AIDAIOSFODNN7EXAMPLE".into());
    let user = UserRef { account: "111122223333".into(), name, id };
    for issuer in [
        Issuer::Database { alternating: true },
        Issuer::Webhook { name: "billing".into() },
        Issuer::AccessKey { user },
    ] {
        let text = scrape(&rotation(issuer.clone()));
        assert_eq!(histogram(&text, names::ROTATION_GAP), None, "{issuer:?}");
        assert_eq!(histogram(&text, names::TIME_TO_ROTATE), Some((1, 20.0)), "{issuer:?}");
    }
}

#[test]
fn what_observes_rotated_nothing_and_records_nothing() {
    let mut task = rotation(Issuer::Database { alternating: false });
    task.mode = Mode::Observe;
    let text = scrape(&task);
    let all = [names::ROTATION_GAP, names::TIME_TO_ROTATE, names::ROTATION_OVERLAP];
    assert_eq!(all.map(|name| histogram(&text, name)), [None; 3], "{text}");
}

#[test]
fn a_rotation_by_the_secrets_own_function_is_timed_and_revokes_nothing() {
    let mut task = rotation(Issuer::Managed);
    task.record.rotation.old_dead_at = None;
    let text = scrape(&task);
    assert_eq!(histogram(&text, names::TIME_TO_ROTATE), Some((1, 20.0)), "{text}");
    assert_eq!(histogram(&text, names::ROTATION_OVERLAP), None, "{text}");
    assert_eq!(histogram(&text, names::TIME_TO_REVOKE), None, "{text}");
}
