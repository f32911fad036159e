//! Generators of situations, and a loop that drives `decide` against the pure model with crashes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
#![allow(missing_docs, dead_code, unreachable_pub, reason = "shared by several test files")]

pub mod policy;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};
use severance_lifecycle::action::{Action, SideCredential};
use severance_lifecycle::credential::{RoleRef, Target, UserRef};
use severance_lifecycle::decide::{Decision, Situation, apply, decide, look};
use severance_lifecycle::observe::{
    AssumableRole, Intruder, KeyState, KeyStatus, KeyView, Observed, Presence, RoleStanding,
    RoleView, Routes, SideState, UserView, View,
};
use severance_lifecycle::policy::{Desired, Policy, RoleSessions, ServiceRoles};
use severance_lifecycle::record::{Place, ProbeAnswer, Record};
use severance_lifecycle::task::BlockReason;
use severance_lifecycle::trust::Partner;

pub fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub fn user() -> UserRef {
    UserRef { account: "111122223333".into(), name: "ci".into(), id: "AIDA1".into() }
}

pub fn role(name: &str) -> RoleRef {
    RoleRef { account: "111122223333".into(), name: name.into(), id: format!("AROA{name}") }
}

fn status() -> impl Strategy<Value = KeyStatus> {
    prop_oneof![
        4 => Just(KeyStatus::Active),
        2 => Just(KeyStatus::Inactive),
        1 => Just(KeyStatus::Expired)
    ]
}

fn presence() -> impl Strategy<Value = Presence> {
    prop_oneof![8 => Just(Presence::Same), 1 => Just(Presence::Missing), 1 => Just(Presence::Replaced)]
}

fn key(id: &'static str) -> impl Strategy<Value = KeyState> {
    (status(), any::<bool>()).prop_map(move |(status, probeable)| KeyState {
        id: id.into(),
        status,
        created: start(),
        probeable,
    })
}

fn standings() -> impl Strategy<Value = Vec<RoleStanding>> {
    let one = |name: &'static str| {
        (presence(), any::<bool>(), any::<bool>()).prop_map(
            move |(presence, service_linked, service_assumed)| RoleStanding {
                role: AssumableRole {
                    role: role(name),
                    max_session_seconds: 3600,
                    service_linked,
                    service_assumed,
                },
                presence,
                denies: Vec::new(),
            },
        )
    };
    (one("a"), one("b"), 0..3usize).prop_map(|(a, b, n)| vec![a, b].into_iter().take(n).collect())
}

fn sides() -> impl Strategy<Value = Vec<SideState>> {
    let kinds = [
        SideCredential::SshKey,
        SideCredential::SigningCertificate,
        SideCredential::ServiceCredential,
    ];
    prop::collection::vec(any::<bool>(), 0..4).prop_map(move |active| {
        let side = |(i, active): (usize, bool)| SideState {
            kind: kinds[i % 3],
            id: format!("S{i}"),
            active,
            created: start(),
        };
        active.into_iter().enumerate().map(side).collect()
    })
}

pub fn key_situation() -> impl Strategy<Value = (Target, View)> {
    let intruders = prop_oneof![
        Just(Vec::new()),
        Just(vec![Intruder::LoginProfile, Intruder::AccessKey { key_id: "AKIAINTRUDER".into() }]),
        Just(vec![Intruder::Policy { name: "backdoor".into() }]),
    ];
    (presence(), prop::option::weighted(0.9, key("AKIA1")), standings(), intruders).prop_map(
        |(presence, key, roles, intruders)| {
            let target = Target::AccessKey { key_id: "AKIA1".into(), user: user() };
            let intruding = intruders.iter().filter_map(|intruder| match intruder {
                Intruder::AccessKey { key_id } => Some((key_id.clone(), KeyStatus::Active)),
                _ => None,
            });
            // Somebody's, and off for a reason that is not ours.
            let foreign = ("AKIAFOREIGN".to_owned(), KeyStatus::Inactive);
            let others = intruding.chain([foreign]).collect();
            let view =
                KeyView { user: presence, key, denies: Vec::new(), roles, intruders, others };
            (target, View::AccessKey(view))
        },
    )
}

pub fn user_situation() -> impl Strategy<Value = (Target, View)> {
    let keys = (key("AKIA1"), key("AKIA2"), 0..3usize)
        .prop_map(|(a, b, n)| vec![a, b].into_iter().take(n).collect::<Vec<_>>());
    (presence(), keys, any::<bool>(), sides(), 0..3usize, standings()).prop_map(
        |(presence, keys, login_profile, side, mfa, roles)| {
            let view = UserView {
                user: presence,
                keys,
                login_profile,
                side,
                mfa_devices: (0..mfa).map(|i| format!("mfa{i}")).collect(),
                denies: Vec::new(),
                routes: Routes::default(),
                roles,
            };
            (Target::User { user: user() }, View::User(view))
        },
    )
}

/// Trust policies with the partner alone, with others, with services, in one statement or several.
fn trust() -> impl Strategy<Value = Value> {
    let principal = prop::sample::select(vec![
        json!({"AWS": "arn:aws:iam::999988887777:user/theirs"}),
        json!({"AWS": ["arn:aws:iam::999988887777:root", "arn:aws:iam::111122223333:role/ours"]}),
        json!({"AWS": "arn:aws:iam::111122223333:root"}),
        json!({"Service": "lambda.amazonaws.com"}),
        json!({"AWS": "arn:aws:iam::999988887777:root", "Service": "ec2.amazonaws.com"}),
        json!("*"),
    ]);
    prop::collection::vec(principal, 1..4).prop_map(|principals| {
        let statements: Vec<Value> = principals
            .into_iter()
            .enumerate()
            .map(|(i, principal)| {
                json!({"Sid": format!("s{i}"), "Effect": "Allow", "Action": "sts:AssumeRole",
                       "Principal": principal})
            })
            .collect();
        json!({"Version": "2012-10-17", "Statement": statements})
    })
}

pub fn role_situation() -> impl Strategy<Value = (Target, View)> {
    (presence(), prop::bool::weighted(0.1), trust()).prop_map(
        |(presence, service_linked, trust)| {
            let view = RoleView {
                role: presence,
                service_linked,
                trust,
                max_session_seconds: 3600,
                denies: Vec::new(),
            };
            (Target::Role { role: role("r") }, View::Role(view))
        },
    )
}

pub fn situation() -> impl Strategy<Value = (Target, View)> {
    prop_oneof![key_situation(), user_situation(), role_situation()]
}

pub fn policy() -> impl Strategy<Value = Policy> {
    let roles = || prop_oneof![Just(RoleSessions::Cut), Just(RoleSessions::List)];
    let services = prop_oneof![Just(ServiceRoles::Cut), Just(ServiceRoles::Ask)];
    (roles(), roles(), services, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(assumable_roles, shared_roles, service_roles, needs_partner, known, take_intruders)| {
            let accounts = known.then(|| "999988887777".to_owned()).into_iter().collect();
            Policy {
                assumable_roles,
                shared_roles,
                service_roles,
                needs_partner,
                partner: Partner { accounts, principals: BTreeSet::new() },
                take_intruders,
                ..policy::strict()
            }
        },
    )
}

/// What befalls the action that is about to be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Fine,
    /// The process dies before the call: nothing is applied, nothing learnt.
    CrashBefore,
    /// The process dies after it: applied, nothing learnt.
    CrashAfter,
    /// The place for a deny is full.
    Full,
    /// The provider refuses the action for good.
    Refused,
    /// A probe is answered by a region that has not heard yet.
    Accepted,
}

pub fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        6 => Just(Fate::Fine),
        1 => Just(Fate::CrashBefore),
        1 => Just(Fate::CrashAfter),
        1 => Just(Fate::Full),
        1 => Just(Fate::Refused),
        1 => Just(Fate::Accepted)
    ];
    prop::collection::vec(fate, 0..30)
}

/// How a run ended.
#[derive(Debug)]
pub struct End {
    pub decision: Decision,
    pub view: View,
    pub at: DateTime<Utc>,
    pub record: Record,
    /// Every action that was tried, with when.
    pub tried: Vec<(Action, DateTime<Utc>)>,
}

const STEPS: usize = 400;

/// Drives to the end; panics where there is none.
pub fn drive(
    desired: Desired,
    target: &Target,
    view: View,
    record: Record,
    policy: &Policy,
    fates: &[Fate],
) -> End {
    let mut observed = Observed { at: start(), view };
    let mut record = record;
    let mut tried = Vec::new();
    let mut fates = fates.iter().copied();
    for _ in 0..STEPS {
        look(&mut record, target, &observed, policy);
        let here = Situation { target, observed: &observed, record: &record, policy };
        match decide(desired, &here, observed.at) {
            Decision::Act(action, _) => {
                tried.push((action.clone(), observed.at));
                let fate = fates.next().unwrap_or(Fate::Fine);
                take_step(&action, fate, target, &mut observed, &mut record);
            }
            Decision::Wait(until, reason) => {
                assert!(until > observed.at, "waits for the past: {reason}");
                observed.at = until;
            }
            decision => {
                return End { decision, view: observed.view, at: observed.at, record, tried };
            }
        }
    }
    panic!("no end after {STEPS} steps; tried {tried:#?}");
}

pub fn refusal() -> BlockReason {
    BlockReason::Refused {
        operation: "iam:Anything".into(),
        code: "AccessDenied".into(),
        message: String::new(),
    }
}

fn take_step(
    action: &Action,
    fate: Fate,
    target: &Target,
    observed: &mut Observed,
    record: &mut Record,
) {
    // The intent is durable before the call, whatever happens next.
    record.changes.extend(action.change());
    observed.at += TimeDelta::milliseconds(300);
    match (fate, action) {
        (Fate::CrashBefore, _) => {}
        (Fate::CrashAfter, action) => apply(action, target, &mut observed.view, observed.at),
        (Fate::Full, Action::DenyUser { deny, .. } | Action::DenyRole { deny, .. }) => {
            let identity = action.touches().into_iter().next().unwrap();
            record.full.insert(Place { identity, place: deny.handle.place });
        }
        (Fate::Refused, action) => {
            record.refused.insert(action.site(), refusal());
        }
        (fate, Action::Probe { key_id, sample, .. }) => {
            let endpoint = format!("region-{}", sample % 2);
            let answer = match fate {
                Fate::Accepted => ProbeAnswer::Accepted { endpoint },
                _ => ProbeAnswer::Refused { endpoint },
            };
            record.probed(key_id, &answer, observed.at);
        }
        (_, action) => apply(action, target, &mut observed.view, observed.at),
    }
}
