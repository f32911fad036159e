//! A secret that was a leaver's alone: it ends, what cannot be read is not called dead, and what its recovery
//! window allows is put back.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use severance_lifecycle::action::{Action, Change};
use severance_lifecycle::credential::{Target, UserRef};
use severance_lifecycle::decide::{Decision, Situation, apply, decide, findings, look, plan};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::observe::{Observed, Presence, View};
use severance_lifecycle::policy::{Desired, Holds, Policy, Proof, RoleSessions, ServiceRoles};
use severance_lifecycle::record::Record;
use severance_lifecycle::rotation::RotationTerms;
use severance_lifecycle::secret::{Issuer, SecretRef};
use severance_lifecycle::secret_view::{
    CURRENT, Held, ReplicaState, SecretView, UserKeys, VersionState,
};
use severance_lifecycle::task::BlockReason;
use severance_lifecycle::trust::Partner;

const LEAVER: &str = "arn:aws:iam::111122223333:user/ann";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn target(issuer: Issuer) -> Target {
    let secret = SecretRef {
        account: "111122223333".into(),
        region: "eu-west-1".into(),
        arn: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app-AbCdEf".into(),
        name: "app".into(),
    };
    Target::Secret { secret, issuer }
}

fn database() -> Target {
    target(Issuer::Database { alternating: false })
}

fn seen(held: Held) -> Observed {
    let current = VersionState {
        id: "EXAMPLE1-90ab-cdef-fedc-ba987SECRET1".into(),
        stages: BTreeSet::from([CURRENT.to_owned()]),
        created: now() - TimeDelta::days(90),
        held,
    };
    let view = SecretView {
        secret: Presence::Same,
        deleted_at: None,
        owning_service: None,
        has_function: false,
        versions: vec![current],
        replicas: vec![ReplicaState {
            region: "us-east-1".into(),
            in_sync: true,
            status: "InSync".into(),
        }],
        denied: false,
        keys: None,
    };
    Observed { at: now(), view: View::Secret(view) }
}

fn policy() -> Policy {
    Policy {
        case: "c-1".into(),
        task: "t-0123456789abcdef".into(),
        proof: Proof::default(),
        spread: TimeDelta::seconds(10),
        cutoff_margin: TimeDelta::seconds(2),
        delete_after: None,
        assumable_roles: RoleSessions::Cut,
        shared_roles: RoleSessions::Cut,
        service_roles: ServiceRoles::Cut,
        needs_partner: false,
        partner: Partner::default(),
        take_intruders: false,
        holds: Holds::default(),
        rotation: RotationTerms {
            leaving: BTreeSet::from([LEAVER.to_owned()]),
            ..RotationTerms::default()
        },
    }
}

fn names(actions: &[Action]) -> Vec<&'static str> {
    actions.iter().map(Action::name).collect()
}

#[test]
fn what_it_holds_dies_before_it_is_hidden_and_undoing_restores_what_the_window_allows() {
    let (target, policy, record) = (database(), policy(), Record::default());
    let observed = seen(Held::Login { username: "app".into() });
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    let done = plan(Desired::Revoked, &here);
    let expected =
        ["deny-readers", "retire-version", "end-sessions", "remove-replicas", "schedule-deletion"];
    assert_eq!(names(&done), expected);
    let mut after = observed.clone();
    for action in &done {
        apply(action, &target, &mut after.view, after.at);
    }
    let changes: BTreeSet<Change> = done.iter().filter_map(Action::change).collect();
    let record = Record { changes, ..Record::default() };
    let here = Situation { target: &target, observed: &after, record: &record, policy: &policy };
    assert_eq!(names(&plan(Desired::Reinstated, &here)), ["allow-readers", "restore-secret"]);
    let lost: Vec<_> = findings(Desired::Reinstated, &here)
        .into_iter()
        .filter_map(|finding| match finding {
            Finding::CannotRestore { change } => Some(change),
            _ => None,
        })
        .collect();
    assert!(matches!(lost[..], [Change::VersionRetired { .. }, Change::ReplicasRemoved { .. }]));
    let held = Holds { other: true, target: true, compromise: true };
    let vetoed = Policy { holds: held, ..policy.clone() };
    let here = Situation { target: &target, observed: &after, record: &record, policy: &vetoed };
    let vetoed = decide(Desired::Reinstated, &here, after.at);
    assert_eq!(vetoed, Decision::Blocked(BlockReason::VetoedByCompromise));
}

#[test]
fn a_key_that_cannot_be_read_any_more_is_not_called_dead() {
    let user = UserRef { account: "111122223333".into(), name: "app".into(), id: "AIDA1".into() };
    let (target, policy) = (target(Issuer::AccessKey { user }), policy());
    let mut observed = seen(Held::Opaque);
    let View::Secret(view) = &mut observed.view else { panic!("no secret") };
    view.deleted_at = Some(now());
    view.keys = Some(UserKeys { user: Presence::Same, keys: Vec::new(), old: None });
    let mut record = Record::default();
    look(&mut record, &target, &observed, &policy);
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    let said = decide(Desired::Revoked, &here, now());
    assert!(matches!(said, Decision::Blocked(BlockReason::UnfitValue { .. })), "{said:?}");
}

#[test]
fn what_its_issuer_does_not_refuse_yet_is_not_hidden() {
    let (target, policy) = (database(), policy());
    let mut observed = seen(Held::Login { username: "app".into() });
    let View::Secret(view) = &mut observed.view else { panic!("no secret") };
    view.denied = true;
    let mut record = Record::default();
    look(&mut record, &target, &observed, &policy);
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    let Decision::Act(retire, _) = decide(Desired::Revoked, &here, now()) else {
        panic!("nothing is done")
    };
    assert_eq!(retire.name(), "retire-version");
    let reason = BlockReason::Refused {
        operation: "issuer:retire".into(),
        code: "Busy".into(),
        message: String::new(),
    };
    record.refused.insert(retire.site(), reason.clone());
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    let said = decide(Desired::Revoked, &here, now());
    assert_eq!(said, Decision::Blocked(reason), "what is hidden can be read no more");
}

#[test]
fn a_deny_in_a_policy_that_cannot_be_read_is_not_called_off() {
    let (target, policy) = (database(), policy());
    let mut observed = seen(Held::Opaque);
    let View::Secret(view) = &mut observed.view else { panic!("no secret") };
    view.deleted_at = Some(now());
    let Target::Secret { secret, .. } = &target else { panic!("no secret") };
    let denied = Change::SecretDenied { secret: secret.clone(), case: "c-1".into() };
    let record = Record { changes: [denied].into(), ..Record::default() };
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    let said = decide(Desired::Reinstated, &here, now());
    assert_eq!(said, Decision::Blocked(BlockReason::ScheduledForDeletion { since: now() }));
    let View::Secret(view) = &mut observed.view else { panic!("no secret") };
    (view.deleted_at, view.denied) = (None, true);
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    assert_eq!(names(&plan(Desired::Reinstated, &here)), ["allow-readers"]);
}
