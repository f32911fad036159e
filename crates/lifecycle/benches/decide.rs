//! How long one decision takes, with the look that comes before it. Goal: at most 5 µs.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros; a bench that fails stops"
)]

use std::collections::BTreeMap;
use std::hint::black_box;

use chrono::DateTime;
use criterion::{Criterion, criterion_group, criterion_main};
use severance_lifecycle::credential::{Target, UserRef};
use severance_lifecycle::decide::{Situation, decide, look};
use severance_lifecycle::observe::{
    KeyState, KeyStatus, KeyView, Observed, Presence, RoleView, Routes, UserView, View,
};
use severance_lifecycle::policy::{Desired, Policy};
use severance_lifecycle::record::Record;
use severance_lifecycle::trust::Partner;

#[path = "../tests/support/policy.rs"]
mod base;

use base::strict;

fn policy() -> Policy {
    Policy {
        partner: Partner { accounts: ["999988887777".to_owned()].into(), ..Partner::default() },
        ..strict()
    }
}

fn key(status: KeyStatus) -> KeyState {
    KeyState {
        id: "AKIAIOSFODNN7EXAMPLE".into(),
        status,
        created: DateTime::from_timestamp(0, 0).unwrap(),
        probeable: true,
    }
}

fn views() -> Vec<(&'static str, Target, View)> {
    let user = UserRef { account: "111122223333".into(), name: "ci".into(), id: "AIDA1".into() };
    let role = severance_lifecycle::credential::RoleRef {
        account: "111122223333".into(),
        name: "partner".into(),
        id: "AROA1".into(),
    };
    let key_target = Target::AccessKey { key_id: key(KeyStatus::Active).id, user: user.clone() };
    let key_view = |status| {
        View::AccessKey(KeyView {
            user: Presence::Same,
            key: Some(key(status)),
            denies: Vec::new(),
            roles: Vec::new(),
            intruders: Vec::new(),
            others: BTreeMap::new(),
        })
    };
    let user_view = View::User(UserView {
        user: Presence::Same,
        keys: vec![key(KeyStatus::Inactive), key(KeyStatus::Inactive)],
        login_profile: false,
        side: Vec::new(),
        mfa_devices: vec!["arn:aws:iam::111122223333:mfa/ci".into()],
        denies: Vec::new(),
        routes: Routes::default(),
        roles: Vec::new(),
    });
    let trust = serde_json::json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": ["arn:aws:iam::999988887777:root", "arn:aws:iam::111122223333:role/ci"]}
    }]});
    let role_view = View::Role(RoleView {
        role: Presence::Same,
        service_linked: false,
        trust,
        max_session_seconds: 3600,
        denies: Vec::new(),
    });
    vec![
        ("key, active", key_target.clone(), key_view(KeyStatus::Active)),
        ("key, switched off", key_target, key_view(KeyStatus::Inactive)),
        ("user", Target::User { user }, user_view),
        ("role", Target::Role { role }, role_view),
    ]
}

fn bench(c: &mut Criterion) {
    let policy = policy();
    let mut group = c.benchmark_group("decide");
    for (name, target, view) in views() {
        let observed = Observed { at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(), view };
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut record = Record::default();
                look(&mut record, &target, &observed, &policy);
                let here = Situation {
                    target: &target,
                    observed: &observed,
                    record: &record,
                    policy: &policy,
                };
                black_box(decide(Desired::Revoked, &here, observed.at))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
