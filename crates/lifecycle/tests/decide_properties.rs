//! What holds of `decide` whatever is seen, whatever is asked and wherever it crashes. The names of
//! the tests are the properties.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;

use chrono::TimeDelta;
use proptest::prelude::*;
use severance_lifecycle::action::{Action, Change, DenyScope};
use severance_lifecycle::credential::Target;
use severance_lifecycle::decide::{Decision, Situation, decide, look, plan};
use severance_lifecycle::observe::{
    DenyState, KeyState, KeyStatus, KeyView, Observed, Presence, View,
};
use severance_lifecycle::policy::{Desired, Policy, RoleSessions};
use severance_lifecycle::record::Record;
use severance_lifecycle::task::{BlockReason, Verification};
use severance_lifecycle::trust;
use support::policy::strict;
use support::{End, Fate, drive, fates, policy, situation, start};

/// Nothing that a `Done` answers for is open.
fn is_closed(end: &End, policy: &Policy) -> Result<(), TestCaseError> {
    let dead_at = end.record.dead_at.expect("done without a moment of death");
    let cut = |denies: &[DenyState]| {
        denies.iter().any(|d| d.cuts_sessions_before(dead_at + policy.cutoff_margin))
    };
    let roles = match &end.view {
        View::AccessKey(view) => {
            if view.user == Presence::Same {
                prop_assert!(view.key.iter().all(|key| !key.status.is_active()), "active key");
                prop_assert!(cut(&view.denies), "sessions of the user not denied");
            }
            &view.roles[..]
        }
        View::User(view) => {
            if view.user == Presence::Same {
                prop_assert!(view.keys.iter().all(|key| !key.status.is_active()), "active key");
                prop_assert!(view.side.iter().all(|side| !side.active), "side credential on");
                prop_assert!(!view.login_profile && view.mfa_devices.is_empty());
                prop_assert!(view.denies.iter().any(DenyState::denies_everything));
            }
            &view.roles[..]
        }
        View::Role(view) => {
            if view.role == Presence::Same {
                let closed = view.denies.iter().any(DenyState::denies_everything);
                let reading = trust::read(&view.trust, &policy.partner);
                prop_assert!(closed || reading.partner.is_empty(), "the partner can still enter");
                let listed = reading.others && policy.shared_roles == RoleSessions::List;
                let ended = end.at >= dead_at + TimeDelta::seconds(view.max_session_seconds.into());
                prop_assert!(cut(&view.denies) || (listed && ended), "sessions not closed");
            }
            &[]
        }
        View::Secret(_) => unreachable!("secrets have properties of their own"),
    };
    for standing in roles.iter().filter(|s| s.presence == Presence::Same) {
        let ended = end.at >= dead_at + standing.role.max_session();
        prop_assert!(cut(&standing.denies) || ended, "sessions of {:?}", standing.role.role.name);
    }
    Ok(())
}

/// A view without the moments of cutoffs, which depend on when and not on what.
fn shape(view: &View) -> String {
    let mut view = view.clone();
    let blur = |denies: &mut Vec<DenyState>| {
        for deny in denies.iter_mut() {
            if let Some(DenyScope::SessionsBefore(cutoff)) = &mut deny.scope {
                *cutoff = start();
            }
        }
        denies.sort_by(|a, b| a.handle.cmp(&b.handle));
    };
    match &mut view {
        View::AccessKey(view) => {
            blur(&mut view.denies);
            view.roles.iter_mut().for_each(|s| blur(&mut s.denies));
        }
        View::User(view) => {
            blur(&mut view.denies);
            view.roles.iter_mut().for_each(|s| blur(&mut s.denies));
        }
        View::Role(view) => blur(&mut view.denies),
        View::Secret(_) => unreachable!("secrets have properties of their own"),
    }
    format!("{view:?}")
}

fn scope(target: &Target, view: &View) -> Vec<String> {
    let roles = match view {
        View::AccessKey(view) => &view.roles[..],
        View::User(view) => &view.roles[..],
        View::Role(_) | View::Secret(_) => &[],
    };
    let of = |role: &severance_lifecycle::credential::RoleRef| {
        format!("role/{}/{}", role.account, role.name)
    };
    roles.iter().map(|s| of(&s.role.role)).chain([target.lock()]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn it_always_ends_and_done_means_closed(
        (target, view) in situation(), policy in policy(), fates in fates(),
    ) {
        let end = drive(Desired::Revoked, &target, view, Record::default(), &policy, &fates);
        if let Decision::Done(_) = end.decision {
            is_closed(&end, &policy)?;
        }
    }

    #[test]
    fn it_never_touches_what_is_outside_the_case(
        (target, view) in situation(), policy in policy(), fates in fates(),
    ) {
        let allowed = scope(&target, &view);
        let end = drive(Desired::Revoked, &target, view, Record::default(), &policy, &fates);
        for (action, _) in &end.tried {
            for touched in action.touches() {
                prop_assert!(allowed.contains(&touched), "{action} touches {touched}");
            }
        }
    }

    #[test]
    fn a_key_case_never_switches_off_a_key_that_it_did_not_name(
        (target, view) in support::key_situation(), policy in policy(), fates in fates(),
    ) {
        let end = drive(Desired::Revoked, &target, view, Record::default(), &policy, &fates);
        for (action, _) in &end.tried {
            if let Action::DeactivateKey { key_id, .. } = action {
                let intruder = policy.take_intruders && key_id == "AKIAINTRUDER";
                prop_assert!(key_id == "AKIA1" || intruder, "{action}");
            }
        }
    }

    #[test]
    fn a_refused_action_leaves_no_other_route_open(
        (target, view) in support::user_situation(), policy in policy(), refused in 0..8usize,
    ) {
        let calm = drive(Desired::Revoked, &target, view.clone(), Record::default(), &policy, &[]);
        let changing: Vec<_> = calm.tried.iter().filter(|(a, _)| a.changes_provider()).collect();
        if changing.is_empty() {
            return Ok(());
        }
        let site = changing[refused % changing.len()].0.site();
        let mut record = Record::default();
        record.refused.insert(site.clone(), support::refusal());
        let end = drive(Desired::Revoked, &target, view, record, &policy, &[]);
        let done: Vec<_> = end.tried.iter().map(|(action, _)| action.site()).collect();
        prop_assert!(!done.contains(&site), "what was refused is not tried again");
        let password = matches!(
            changing[refused % changing.len()].0, Action::DeleteLoginProfile { .. }
        );
        for (action, _) in changing.iter().filter(|(action, _)| action.site() != site) {
            // No way in by itself, but what stands before a password that stays.
            let guards = password && matches!(action, Action::DeactivateMfa { .. });
            prop_assert!(guards != done.contains(&action.site()), "{action}");
        }
    }

    #[test]
    fn mfa_devices_go_last_and_never_while_there_is_a_password(
        (target, view) in support::user_situation(), policy in policy(), fates in fates(),
    ) {
        let end = drive(Desired::Revoked, &target, view.clone(), Record::default(), &policy, &fates);
        let View::User(before) = &view else { unreachable!("it is a user") };
        let place = |is_it: &dyn Fn(&Action) -> bool| end.tried.iter().rposition(|(a, _)| is_it(a));
        let last_other = place(&|a| {
            matches!(a, Action::DeleteLoginProfile { .. } | Action::DeactivateKey { .. } | Action::Deactivate { .. })
        });
        let first_mfa =
            end.tried.iter().position(|(a, _)| matches!(a, Action::DeactivateMfa { .. }));
        if let (Some(mfa), Some(other)) = (first_mfa, last_other) {
            prop_assert!(other < mfa, "{:?}", end.tried);
        }
        if let View::User(after) = &end.view {
            let kept = after.mfa_devices.len() == before.mfa_devices.len();
            prop_assert!(!after.login_profile || kept, "a password was left without its MFA");
        }
    }

    #[test]
    fn nobody_that_is_missing_or_replaced_is_changed(
        (target, view) in situation(), policy in policy(), fates in fates(),
    ) {
        let absent = match &view {
            View::AccessKey(view) => view.user != Presence::Same,
            View::User(view) => view.user != Presence::Same,
            View::Role(view) => view.role != Presence::Same,
            View::Secret(view) => view.secret != Presence::Same,
        };
        if !absent {
            return Ok(());
        }
        let end = drive(Desired::Revoked, &target, view, Record::default(), &policy, &fates);
        for (action, _) in &end.tried {
            prop_assert!(!action.touches().contains(&target.lock()), "{action}");
        }
        prop_assert!(!matches!(end.decision, Decision::Done(Verification::Probed)));
    }

    #[test]
    fn applied_twice_it_does_nothing_new(
        (target, view) in situation(), policy in policy(), fates in fates(),
    ) {
        let end = drive(Desired::Revoked, &target, view, Record::default(), &policy, &fates);
        let again = drive(
            Desired::Revoked, &target, end.view.clone(), end.record.clone(), &policy, &[],
        );
        // A blocked task may try a place again; a done one has nothing to do.
        if let Decision::Done(_) = end.decision {
            prop_assert!(again.tried.iter().all(|(a, _)| !a.changes_provider()), "{:?}", again.tried);
            prop_assert_eq!(again.decision, end.decision);
        }
    }

    #[test]
    fn a_crash_before_or_after_any_action_reaches_the_same_end(
        (target, view) in situation(), policy in policy(), crash_at in 0..12usize, after in any::<bool>(),
    ) {
        let mut fates = vec![Fate::Fine; crash_at];
        fates.push(if after { Fate::CrashAfter } else { Fate::CrashBefore });
        let calm = drive(Desired::Revoked, &target, view.clone(), Record::default(), &policy, &[]);
        let crashed = drive(Desired::Revoked, &target, view, Record::default(), &policy, &fates);
        prop_assert_eq!(shape(&calm.view), shape(&crashed.view));
        prop_assert_eq!(calm.decision, crashed.decision);
    }

    #[test]
    fn losing_the_whole_record_reaches_the_same_end(
        (target, view) in situation(), policy in policy(),
    ) {
        let calm = drive(Desired::Revoked, &target, view, Record::default(), &policy, &[]);
        if !matches!(calm.decision, Decision::Done(_)) {
            return Ok(());
        }
        // What the case changed is recorded with the intent, so that part is never lost.
        let kept = Record { changes: calm.record.changes.clone(), ..Record::default() };
        let again =
            drive(Desired::Revoked, &target, calm.view.clone(), kept, &policy, &[]);
        prop_assert_eq!(shape(&calm.view), shape(&again.view));
        prop_assert_eq!(calm.decision, again.decision);
    }

    #[test]
    fn nothing_is_deleted_before_the_quarantine_is_over(
        (target, view) in situation(), policy in policy(), fates in fates(), days in 0..60i64,
    ) {
        let end = drive(Desired::Revoked, &target, view, Record::default(), &policy, &fates);
        // A deletion follows only from a revocation that is done.
        if !matches!(end.decision, Decision::Done(_)) {
            return Ok(());
        }
        let after = start() + TimeDelta::days(days);
        let tidy = Policy { delete_after: Some(after), ..policy.clone() };
        let tidied =
            drive(Desired::Deleted, &target, end.view, end.record, &tidy, &fates);
        for (action, at) in &tidied.tried {
            prop_assert!(*at >= after, "{action} at {at}, quarantine ends {after}");
        }
        let none = Policy { delete_after: None, ..policy };
        let observed = Observed { at: start(), view: tidied.view };
        let here = Situation {
            target: &target, observed: &observed, record: &tidied.record, policy: &none,
        };
        let decision = decide(Desired::Deleted, &here, observed.at);
        prop_assert!(matches!(decision, Decision::Wait(..)), "without a revocation: {decision:?}");
    }

    #[test]
    fn after_quarantine_every_key_that_the_case_switched_off_is_deleted_and_no_other(
        (target, view) in support::key_situation(), policy in policy(), fates in fates(),
    ) {
        let fates: Vec<_> = fates.into_iter().filter(|fate| *fate != Fate::Refused).collect();
        let end = drive(Desired::Revoked, &target, view, Record::default(), &policy, &fates);
        let switched_off = |key_id: &str| {
            let mut changes = end.record.changes.iter();
            changes.any(|it| matches!(it, Change::KeyDeactivated { key_id: id, .. } if id == key_id))
        };
        let View::AccessKey(revoked) = &end.view else { unreachable!("it was a key") };
        let same = revoked.user == Presence::Same;
        let mut left = revoked.others.clone();
        left.retain(|key_id, _| !(same && switched_off(key_id)));
        let tidy = Policy { delete_after: Some(start() + TimeDelta::days(30)), ..policy };
        let view = end.view.clone();
        let tidied = drive(Desired::Deleted, &target, view, end.record.clone(), &tidy, &fates);
        prop_assert!(matches!(tidied.decision, Decision::Done(_)), "{:?}", tidied.decision);
        let View::AccessKey(view) = &tidied.view else { unreachable!("it was a key") };
        prop_assert_eq!(&view.others, &left);
    }

    #[test]
    fn a_revocation_deletes_nothing_but_the_password(
        (target, view) in situation(), policy in policy(), fates in fates(),
    ) {
        let end = drive(Desired::Revoked, &target, view, Record::default(), &policy, &fates);
        for (action, _) in &end.tried {
            prop_assert!(!matches!(action, Action::DeleteKey { .. } | Action::Delete { .. }), "{action}");
        }
    }

    #[test]
    fn a_reinstatement_restores_what_aws_still_holds_and_only_that(
        (target, view) in situation(), policy in policy(), fates in fates(),
    ) {
        // What is refused is neither taken nor put back; that is said, and tried again later.
        let fates: Vec<_> = fates.into_iter().filter(|fate| *fate != Fate::Refused).collect();
        let end = drive(Desired::Revoked, &target, view.clone(), Record::default(), &policy, &fates);
        let back = drive(Desired::Reinstated, &target, end.view, end.record, &policy, &fates);
        prop_assert!(matches!(back.decision, Decision::Done(_)), "{:?}", back.decision);
        let mut before = view;
        // Gone for good: AWS keeps neither.
        match (&mut before, &back.view) {
            (View::User(before), View::User(_)) if before.user == Presence::Same => {
                before.login_profile = false;
                before.mfa_devices.clear();
            }
            (View::AccessKey(before), View::AccessKey(now)) => {
                before.intruders.clone_from(&now.intruders);
                before.others.clone_from(&now.others);
            }
            _ => {}
        }
        if let (View::Role(before), View::Role(now)) = (&before, &back.view) {
            prop_assert_eq!(trust_set(&before.trust), trust_set(&now.trust));
            prop_assert!(now.denies.is_empty());
        } else {
            prop_assert_eq!(shape(&before), shape(&back.view));
        }
    }

    #[test]
    fn a_reinstatement_under_a_compromise_changes_nothing(
        (target, view) in situation(), mut policy in policy(),
    ) {
        let end = drive(Desired::Revoked, &target, view, Record::default(), &policy, &[]);
        policy.holds.compromise = true;
        let back = drive(Desired::Reinstated, &target, end.view, end.record, &policy, &[]);
        prop_assert!(back.tried.is_empty());
        prop_assert!(matches!(back.decision, Decision::Blocked(_)));
    }

    #[test]
    fn a_plan_names_what_would_be_done(
        (target, view) in situation(), policy in policy(),
    ) {
        let end = drive(Desired::Revoked, &target, view.clone(), Record::default(), &policy, &[]);
        let observed = Observed { at: start(), view };
        let record = Record::default();
        let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
        let planned: Vec<_> = plan(Desired::Revoked, &here).iter().map(Action::name).collect();
        let mut done: Vec<_> =
            end.tried.iter().filter(|(a, _)| a.changes_provider()).map(|(a, _)| a.name()).collect();
        done.dedup();
        for name in done {
            prop_assert!(planned.contains(&name), "{name} was done and not planned: {planned:?}");
        }
    }

    #[test]
    fn probed_is_said_only_of_keys_that_were_tried_and_refused(
        (target, view) in situation(), policy in policy(), fates in fates(),
    ) {
        let end = drive(Desired::Revoked, &target, view, Record::default(), &policy, &fates);
        if end.decision == Decision::Done(Verification::Probed) {
            let keys: Vec<_> = match &end.view {
                View::AccessKey(view) => view.key.iter().collect(),
                View::User(view) => view.keys.iter().collect(),
                View::Role(_) | View::Secret(_) => Vec::new(),
            };
            prop_assert!(!keys.is_empty());
            for key in keys {
                let series = &end.record.probes[&key.id];
                prop_assert!(series.refusals >= policy.proof.refusals && series.endpoints.len() >= 2);
            }
        }
    }
}

/// Who a trust policy lets in, as sets by statement frame: a statement that was taken out whole comes
/// back at the end, and lists of one may come back as a text.
fn trust_set(trust: &serde_json::Value) -> std::collections::BTreeSet<String> {
    trust::principals(trust).into_iter().collect()
}

#[test]
fn a_reverted_change_is_done_again() {
    let policy = strict();
    let target = Target::User { user: support::user() };
    let view = View::User(severance_lifecycle::observe::UserView {
        user: Presence::Same,
        keys: vec![severance_lifecycle::observe::KeyState {
            id: "AKIA1".into(),
            status: severance_lifecycle::observe::KeyStatus::Active,
            created: start(),
            probeable: true,
        }],
        login_profile: true,
        side: Vec::new(),
        mfa_devices: Vec::new(),
        denies: Vec::new(),
        routes: severance_lifecycle::observe::Routes::default(),
        roles: Vec::new(),
    });
    let end = drive(Desired::Revoked, &target, view, Record::default(), &policy, &[]);
    assert_eq!(end.decision, Decision::Done(Verification::Probed));
    // Between the last probe and the close, somebody switches the key on again.
    let mut observed = Observed { at: end.at, view: end.view };
    let View::User(user) = &mut observed.view else { unreachable!("it was a user") };
    user.keys[0].status = severance_lifecycle::observe::KeyStatus::Active;
    let mut record = end.record;
    look(&mut record, &target, &observed, &policy);
    assert_eq!(record.dead_at, None, "what is on again is not dead");
    let here = Situation { target: &target, observed: &observed, record: &record, policy: &policy };
    let decision = decide(Desired::Revoked, &here, observed.at);
    assert!(matches!(decision, Decision::Act(Action::DeactivateKey { .. }, _)), "{decision:?}");
}

/// Sessions that a key mints while its deactivation spreads escape a cutoff that is stamped at once.
#[test]
fn a_key_that_was_taken_along_is_watched_like_the_one_that_was_named() {
    let policy = Policy { take_intruders: true, ..strict() };
    let target = Target::AccessKey { key_id: "AKIA1".into(), user: support::user() };
    let key = severance_lifecycle::observe::KeyState {
        id: "AKIA1".into(),
        status: severance_lifecycle::observe::KeyStatus::Active,
        created: start(),
        probeable: true,
    };
    let view = severance_lifecycle::observe::KeyView {
        user: Presence::Same,
        key: Some(key),
        denies: Vec::new(),
        roles: Vec::new(),
        intruders: Vec::new(),
        others: BTreeMap::new(),
    };
    let first =
        drive(Desired::Revoked, &target, View::AccessKey(view), Record::default(), &policy, &[]);
    let View::AccessKey(mut view) = first.view else { unreachable!("it was a key") };
    let key_id = "AKIAINTRUDER".to_owned();
    view.others.insert(key_id.clone(), KeyStatus::Active);
    view.intruders.push(severance_lifecycle::observe::Intruder::AccessKey { key_id });
    let end = drive(Desired::Revoked, &target, View::AccessKey(view), first.record, &policy, &[]);
    assert!(matches!(end.decision, Decision::Done(_)), "{:?}", end.decision);
    let off = end.tried.iter().find(|(action, _)| matches!(action, Action::DeactivateKey { .. }));
    let (_, off) = off.expect("it is taken");
    let watched = end.record.dead_at.expect("done") - *off;
    assert!(watched >= policy.proof.window, "cut for good {watched} after");
}

#[test]
fn a_key_that_was_taken_along_and_is_on_again_is_asked_about_and_keeps_no_other() {
    let target = Target::AccessKey { key_id: "AKIA1".into(), user: support::user() };
    let view = KeyView {
        user: Presence::Same,
        key: Some(KeyState {
            id: "AKIA1".into(),
            status: KeyStatus::Inactive,
            created: start(),
            probeable: false,
        }),
        denies: Vec::new(),
        roles: Vec::new(),
        intruders: Vec::new(),
        others: BTreeMap::from([
            ("AKIAONAGAIN".to_owned(), KeyStatus::Active),
            ("AKIATAKEN".to_owned(), KeyStatus::Inactive),
        ]),
    };
    let taken = ["AKIAONAGAIN", "AKIATAKEN"]
        .map(|key_id| Change::KeyDeactivated { user: support::user(), key_id: key_id.to_owned() });
    let record = Record { changes: taken.into(), ..Record::default() };
    let policy = Policy { delete_after: Some(start()), ..strict() };
    let end = drive(Desired::Deleted, &target, View::AccessKey(view), record, &policy, &[]);
    let again = BlockReason::SwitchedOnAgain { what: "AKIAONAGAIN".into() };
    assert_eq!(end.decision, Decision::Blocked(again));
    let View::AccessKey(view) = end.view else { unreachable!("it was a key") };
    assert_eq!(view.key, None);
    assert_eq!(view.others, BTreeMap::from([("AKIAONAGAIN".to_owned(), KeyStatus::Active)]));
}
