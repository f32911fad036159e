//! Which rotations count in the summary's time to revoke.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use severance_console::{Percentiles, time_to_revoke};
use severance_engine::ports::TaskDetail;
use severance_lifecycle::credential::{Target, UserRef};
use severance_lifecycle::event::{Cause, Trigger};
use severance_lifecycle::ids::{CaseId, TaskId};
use severance_lifecycle::policy::Desired;
use severance_lifecycle::record::Record;
use severance_lifecycle::secret::{Issuer, SecretRef};
use severance_lifecycle::task::{Binding, BlockReason, Lane, Mode, Task, TaskState, Verification};

const DONE: TaskState = TaskState::Done { verification: Verification::Probed };

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn access_key() -> Issuer {
    let (name, id) = ("app".into(), "AIDAIOSFODNN7EXAMPLE".into());
    Issuer::AccessKey { user: UserRef { account: "111122223333".into(), name, id } }
}

/// A routine rotation, noticed at 0 and with its end at 90.
fn rotation(issuer: Issuer, state: TaskState) -> TaskDetail {
    let secret = SecretRef {
        account: "111122223333".into(),
        region: "us-east-1".into(),
        arn: "arn:aws:secretsmanager:us-east-1:111122223333:secret:app-AbCdEf".into(),
        name: "app".into(),
    };
    let case = CaseId::from("c-0");
    let target = Target::Secret { secret, issuer };
    let task = Task {
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
        state,
        record: Record::default(),
        accepted_at: Some(at(80)),
        verified_at: Some(at(90)),
    };
    TaskDetail { task, next_at: None, attempts: 0, leased: false, last_reason: None }
}

#[test]
fn a_rotation_counts_once_its_old_credential_is_proven_dead() {
    let tasks = [
        rotation(access_key(), DONE),
        rotation(Issuer::Database { alternating: false }, DONE),
        rotation(Issuer::Webhook { name: "billing".into() }, DONE),
    ];
    let summary = time_to_revoke(&tasks);
    let rotations = &summary[Trigger::Rotation.as_str()];
    assert_eq!(
        rotations.total,
        Percentiles { count: 3, p50: 90.0, p95: 90.0, p99: 90.0, max: 90.0 }
    );
    let accepted = rotations.stages["accepted"];
    assert_eq!(accepted, Percentiles { count: 3, p50: 80.0, p95: 80.0, p99: 80.0, max: 80.0 });
    for other in [Trigger::CompromiseNotice, Trigger::ContractEnd] {
        assert_eq!(summary[other.as_str()].total.count, 0);
    }
}

#[test]
fn a_rotation_by_the_secrets_own_function_proves_nothing_dead_and_is_no_time_to_revoke() {
    let summary = time_to_revoke(&[rotation(Issuer::Managed, DONE)]);
    let rotations = &summary[Trigger::Rotation.as_str()];
    assert_eq!((rotations.total, rotations.stages.len()), (Percentiles::default(), 0));
}

#[test]
fn a_rotation_that_is_not_done_or_changed_nothing_is_no_time_to_revoke() {
    let blocked = TaskState::Blocked { reason: BlockReason::NotFound };
    let mut observed = rotation(access_key(), DONE);
    observed.task.mode = Mode::Observe;
    let tasks = [
        rotation(access_key(), TaskState::Open),
        rotation(access_key(), blocked),
        rotation(access_key(), TaskState::Superseded),
        observed,
    ];
    let summary = time_to_revoke(&tasks);
    assert_eq!(summary[Trigger::Rotation.as_str()].total, Percentiles::default());
}
