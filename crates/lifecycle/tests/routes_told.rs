//! What granted a user anything is told once, before everything is denied.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod support;

use severance_lifecycle::credential::Target;
use severance_lifecycle::decide::{Situation, apply, findings, plan};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::observe::{Observed, Presence, Routes, UserView, View};
use severance_lifecycle::policy::Desired;
use severance_lifecycle::record::Record;
use support::policy::strict;
use support::{start, user};

#[test]
fn the_routes_of_a_user_are_told_once_and_the_deny_is_not_one_of_them() {
    let routes = Routes {
        inline: vec!["read".into()],
        attached: vec!["arn:aws:iam::aws:policy/AdministratorAccess".into()],
        groups: vec!["deployers".into()],
        boundary: None,
    };
    let view = UserView {
        user: Presence::Same,
        keys: Vec::new(),
        login_profile: false,
        side: Vec::new(),
        mfa_devices: Vec::new(),
        denies: Vec::new(),
        routes: routes.clone(),
        roles: Vec::new(),
    };
    let target = Target::User { user: user() };
    let policy = strict();
    let mut record = Record::default();
    let mut observed = Observed { at: start(), view: View::User(view) };
    let told = |observed: &Observed, record: &Record| {
        let here = Situation { target: &target, observed, record, policy: &policy };
        let found = findings(Desired::Revoked, &here).into_iter();
        found.filter(|it| matches!(it, Finding::Routes { .. })).collect::<Vec<_>>()
    };
    let expected = Finding::Routes { user: "ci".into(), routes };
    assert_eq!(told(&observed, &record), std::slice::from_ref(&expected));
    assert_eq!(
        expected.to_string(),
        "what reached ci before all was denied: inline read; attached \
         arn:aws:iam::aws:policy/AdministratorAccess; groups deployers; no boundary"
    );
    record.told.insert(expected);
    assert!(told(&observed, &record).is_empty(), "told once");

    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    for action in plan(Desired::Revoked, &here) {
        apply(&action, &target, &mut observed.view, start());
    }
    let View::User(view) = &mut observed.view else { panic!("it was a user") };
    view.routes.inline.push("severance-deny".into());
    assert!(told(&observed, &Record::default()).is_empty(), "the deny is no route");
}
