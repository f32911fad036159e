//! What a scrape shows after things happened, and what it must never show.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use severance_engine::ports::{Counts, EngineEvent, Exposure, Observer, Topic};
use severance_lifecycle::credential::{Target, TargetKind, UserRef};
use severance_lifecycle::event::{Severity, Trigger};
use severance_lifecycle::ids::{AccountId, CaseId, TaskId};
use severance_lifecycle::policy::Desired;
use severance_lifecycle::record::Record;
use severance_lifecycle::task::{Binding, BlockReason, Lane, Mode, Task, TaskState, Verification};
use severance_telemetry::{BuildInfo, IntakeLag, Metrics, Snapshot, Telemetry, names};

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const USER: &str = "bob-of-acme";
const ARN: &str = "arn:aws:iam::111122223333:user/bob-of-acme";

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn task(state: TaskState) -> Task {
    let user = UserRef {
        account: "111122223333".into(),
        name: USER.into(),
        id: "AIDAIOSFODNN7EXAMPLE".into(),
    };
    let case = CaseId::from("c-0");
    let target = Target::AccessKey { key_id: KEY.into(), user };
    Task {
        id: TaskId::of(&case, &target.key(), "revoked"),
        case,
        target,
        desired: Desired::Revoked,
        binding: Binding { zone: "acme".into(), contract: None, owner: None, tier: None },
        trigger: Trigger::CompromiseNotice,
        severity: Some(Severity::High),
        cause: None,
        lane: Lane::Compromise,
        mode: Mode::Enforce,
        noticed_at: at(0),
        received_at: at(1),
        planned_at: at(2),
        deadline: at(900),
        assumable: Vec::new(),
        leaving: BTreeSet::default(),
        credentials: 1,
        counts: true,
        grace: None,
        undoes: None,
        delete_after: None,
        state,
        record: Record::default(),
        accepted_at: Some(at(3)),
        ticket: None,
        verified_at: Some(at(9)),
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        at: at(100),
        counts: Counts { accepted: 7, dead_lettered: 2, outbox: 3, ..Counts::default() },
        exposures: vec![Exposure {
            zone: "acme".into(),
            trigger: Trigger::ContractEnd,
            kind: TargetKind::Role,
            blocked: true,
            open: 4,
            oldest: at(40),
        }],
        lag: vec![IntakeLag { topic: "credential.contract-end".into(), records: 5 }],
    }
}

fn everything_happens(telemetry: &Telemetry) {
    let done = task(TaskState::Done { verification: Verification::Probed });
    let blocked = task(TaskState::Blocked {
        reason: BlockReason::Refused {
            operation: "iam:UpdateAccessKey".into(),
            code: "AccessDenied".into(),
            message: format!("{ARN} may not touch {KEY}"),
        },
    });
    let account = AccountId::from("111122223333");
    let called = |operation, code| EngineEvent::Called {
        account: &account,
        operation,
        lane: Lane::Compromise,
        code,
        class: None,
        seconds: 0.1,
    };
    let error = std::io::Error::other(ARN);
    for event in [
        EngineEvent::Planned { case: &done.case, tasks: 1, held: false },
        EngineEvent::Decided { task: &done, decision: "act", reason: ARN },
        called("iam:UpdateAccessKey", "ok"),
        called(ARN, KEY),
        called("user bob-of-acme", "no such user bob-of-acme"),
        EngineEvent::Accepted { task: &done },
        EngineEvent::Done { task: &done, verification: Verification::Probed },
        EngineEvent::Blocked { task: &blocked },
        EngineEvent::Reopened { task: &done, because: ARN },
        EngineEvent::CaseClosed { case: &done.case },
        EngineEvent::LeaseLost { task: &done },
        EngineEvent::LedgerFailed { doing: "claim", error: &error },
        EngineEvent::Inventory { account: &account, identities: 12, failure: None },
        EngineEvent::Inventory { account: &account, identities: 0, failure: Some(ARN) },
        EngineEvent::Published { topic: Topic::Outcome, failure: None },
        EngineEvent::Published { topic: Topic::DeadLetter, failure: Some(ARN) },
    ] {
        telemetry.on(&event);
    }
}

fn scrape() -> String {
    let metrics = Arc::new(Metrics::new(BuildInfo { version: "1.2.3" }));
    everything_happens(&Telemetry::new(Arc::clone(&metrics)));
    metrics.render(Some(snapshot()))
}

#[test]
fn no_label_carries_a_key_id_a_user_or_an_arn() {
    let text = scrape();
    for secret in [KEY, USER, "AIDA", "arn:", "bob"] {
        assert!(!text.contains(secret), "{secret} in\n{text}");
    }
}

#[test]
fn every_metric_of_the_list_is_shown() {
    let text = scrape();
    for name in [
        names::TIME_TO_REVOKE,
        names::OPEN_EXPOSURES,
        names::OLDEST_EXPOSURE,
        names::EVENTS,
        names::CASES,
        names::TASKS,
        names::DECISIONS,
        names::PROVIDER_CALLS,
        names::PROVIDER_CALL_SECONDS,
        names::REOPENED,
        names::BLOCKED,
        names::LEASES_LOST,
        names::LEDGER_FAILURES,
        names::PUBLISHED,
        names::OUTBOX,
        names::INTAKE_LAG,
        names::INVENTORY_REFRESHES,
        names::INVENTORY_IDENTITIES,
        names::BUILD,
    ] {
        let series = text.lines().filter(|l| !l.starts_with('#') && l.starts_with(name));
        assert!(series.count() > 0, "no series of {name} in\n{text}");
    }
}

/// `name{label,…}` of a series of a scrape, or of the manual, without the values.
fn signature(series: &str) -> String {
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let labels = labels.split([',', '}']).filter_map(|label| label.split('=').next());
    let labels: Vec<_> = labels.filter(|label| !label.is_empty() && *label != "le").collect();
    let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|it| name.strip_suffix(it));
    format!("{}{{{}}}", histogram.unwrap_or(name), labels.join(","))
}

#[test]
fn the_manual_has_every_metric_with_its_labels() {
    const OPERATIONS: &str = include_str!("../../../docs/OPERATIONS.md");
    let rows = OPERATIONS.lines().filter(|line| line.starts_with("| `severance_"));
    let quoted = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let documented: Vec<_> =
        quoted.filter(|text| text.starts_with("severance_")).map(signature).collect();
    let text = scrape();
    for line in text.lines().filter(|line| line.starts_with("severance_")) {
        let shown = signature(line.rsplit_once(' ').unwrap().0);
        assert!(documented.contains(&shown), "{shown} of {line} is not in {documented:#?}");
    }
    for (name, labels) in [
        (names::TIME_TO_ROTATE, "trigger,strategy,zone"),
        (names::ROTATION_OVERLAP, "trigger,strategy,zone"),
    ] {
        assert!(documented.contains(&format!("{name}{{{labels}}}")), "{name}: {documented:#?}");
    }
    for told in documented {
        let (name, _) = told.split_once('{').unwrap();
        let name = name.trim_end_matches("_total").trim_end_matches("_info");
        let list = include_str!("../src/names.rs");
        assert!(list.contains(&format!("\"{name}\"")), "there is no {told}");
    }
}

#[test]
fn time_to_revoke_is_told_by_stage() {
    let text = scrape();
    for (stage, sum) in
        [("received", "1.0"), ("planned", "2.0"), ("accepted", "3.0"), ("verified", "9.0")]
    {
        let series = format!(
            "{}_sum{{trigger=\"compromise-notice\",kind=\"access-key\",zone=\"acme\",\
             stage=\"{stage}\",verification=\"probed\"}} {sum}",
            names::TIME_TO_REVOKE
        );
        assert!(text.contains(&series), "no {series} in\n{text}");
    }
    assert!(text.contains("le=\"432000.0\""), "five days is the last bound");
}

#[test]
fn what_was_only_observed_is_no_revocation() {
    let metrics = Arc::new(Metrics::new(BuildInfo { version: "0" }));
    let telemetry = Telemetry::new(Arc::clone(&metrics));
    let mut observed = task(TaskState::Observed);
    observed.mode = Mode::Observe;
    telemetry.on(&EngineEvent::Done { task: &observed, verification: Verification::ControlPlane });
    let mut deleted = task(TaskState::Open);
    deleted.desired = Desired::Deleted;
    telemetry.on(&EngineEvent::Done { task: &deleted, verification: Verification::ControlPlane });
    let text = metrics.render(None);
    assert!(!text.contains("severance_time_to_revoke_seconds_count"), "{text}");
}

#[test]
fn the_oldest_exposure_ages_and_a_ledger_that_cannot_be_asked_shows_nothing() {
    let metrics = Metrics::new(BuildInfo { version: "0" });
    let mut now = snapshot();
    let age = format!(
        "{}{{zone=\"acme\",trigger=\"contract-end\",kind=\"role\",state=\"blocked\"}}",
        names::OLDEST_EXPOSURE
    );
    assert!(metrics.render(Some(now.clone())).contains(&format!("{age} 60.0")));
    now.at += TimeDelta::seconds(30);
    assert!(metrics.render(Some(now)).contains(&format!("{age} 90.0")));
    assert!(!metrics.render(None).contains(names::OLDEST_EXPOSURE), "stale values mislead");
}
