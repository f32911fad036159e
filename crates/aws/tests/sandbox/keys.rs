//! Access keys: looks, actions, and calls that go wrong.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use severance_engine::ports::Provider as _;
use severance_lifecycle::action::{Action, DenyPlace};
use severance_lifecycle::credential::{RoleRef, Target};
use severance_lifecycle::failure::FailureClass;
use severance_lifecycle::observe::{AssumableRole, Intruder, KeyStatus, Presence};
use severance_lifecycle::plan::{Identity, IdentityDetail};
use severance_sandbox::aws::{Fault, FaultRule};

use crate::support::{HOME, OTHER, credentials, everything, policy, sessions, trust, world};

#[tokio::test]
async fn an_active_key_is_seen_in_one_call_and_deactivated_in_one_more() {
    let world = world().await;
    let user = world.user("ci");
    let (key, other) = (world.key(&user), world.key(&user));
    let view = world.key_view(&key, &user).await;
    assert_eq!(view.user, Presence::Same);
    assert_eq!(view.key.unwrap().status, KeyStatus::Active);
    assert_eq!(world.recorder.admitted.load(Ordering::SeqCst), 1);

    world.deactivate(&user, &key).await;
    assert_eq!(world.recorder.admitted.load(Ordering::SeqCst), 2);
    assert!(!world.aws.key_state(&key.access_key_id).unwrap().accepted);
    assert!(world.aws.key_state(&other.access_key_id).unwrap().accepted, "the other key is left");
    let view = world.key_view(&key, &user).await;
    assert_eq!(view.key.unwrap().status, KeyStatus::Inactive);
}

#[tokio::test]
async fn every_call_is_admitted_and_told_and_roles_are_taken_once_an_account() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    world.deactivate(&user, &key).await;
    world.key_view(&key, &user).await;
    world.user_view(&user).await;
    let made = world.aws.log().calls().len();
    assert_eq!(world.calls("AssumeRole"), 1);
    assert_eq!(world.recorder.admitted.load(Ordering::SeqCst), made - 1);
    assert_eq!(world.recorder.called.lock().unwrap().len(), made - 1);
}

#[tokio::test]
async fn a_look_and_an_action_tell_the_providers_clock_and_request_id() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    world.aws.clock().set_offset(TimeDelta::seconds(100));
    let before = world.aws.clock().now() - TimeDelta::seconds(1);
    let key_id = key.access_key_id.clone();
    let look = world.look(Target::AccessKey { key_id: key_id.clone(), user: user.clone() });
    let seen = world.provider.observe(&look).await.unwrap();
    assert!(seen.at >= before && seen.at <= world.aws.clock().now(), "{}", seen.at);
    let applied = world.act(Action::DeactivateKey { user, key_id }).await.unwrap();
    assert!(applied.at >= before && applied.at <= world.aws.clock().now());
    let logged = world.aws.log().changes().pop().unwrap();
    assert_eq!(applied.request_id, Some(logged.request_id));
}

#[tokio::test]
async fn a_sessions_deny_is_read_back_with_its_cutoff_and_no_longer_once_edited() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    world.deactivate(&user, &key).await;
    for place in [DenyPlace::Inline, DenyPlace::Managed] {
        let order = sessions(place, "2026-03-04T05:06:07Z");
        world.deny_user(&user, order.clone()).await.unwrap();
        let later = sessions(place, "2026-03-04T05:07:00Z");
        world.deny_user(&user, later.clone()).await.unwrap();
        let view = world.key_view(&key, &user).await;
        let deny = view.denies.iter().find(|deny| deny.handle == order.handle).unwrap();
        assert_eq!(deny.scope, Some(later.scope), "{place:?}");
    }
    let name = sessions(DenyPlace::Inline, "2026-03-04T05:06:07Z").handle.policy_name();
    let edit = world.somebody().put_user_policy().user_name("ci").policy_name(name);
    edit.policy_document(policy("Allow", "*")).send().await.unwrap();
    let view = world.key_view(&key, &user).await;
    let inline = view.denies.iter().find(|deny| deny.handle.place == DenyPlace::Inline).unwrap();
    assert_eq!(inline.scope, None);

    for place in [DenyPlace::Inline, DenyPlace::Managed, DenyPlace::Inline] {
        let handle = sessions(place, "2026-03-04T05:06:07Z").handle;
        world.allow_user(&user, handle).await.unwrap();
    }
    assert!(world.key_view(&key, &user).await.denies.is_empty());
}

#[tokio::test]
async fn a_sessions_deny_cuts_sessions_and_leaves_the_good_key() {
    let world = world().await;
    let user = world.user("ci");
    let (bad, good) = (world.key(&user), world.key(&user));
    world.seed().user_policy("ci", "p", &policy("Allow", "secretsmanager:ListSecrets")).unwrap();
    for place in [DenyPlace::Inline, DenyPlace::Managed] {
        let session = world.session(&bad).await;
        assert_eq!(world.try_with(session.clone()).await, Ok(()));
        let cutoff = (world.aws.clock().now() + TimeDelta::seconds(2)).to_rfc3339();
        let order = sessions(place, &cutoff);
        world.deny_user(&user, order.clone()).await.unwrap();
        let refused = world.try_with(session).await;
        assert_eq!(refused, Err("AccessDeniedException".to_owned()), "{place:?}");
        assert_eq!(world.try_with(credentials(&good)).await, Ok(()), "{place:?}");
        world.allow_user(&user, order.handle).await.unwrap();
    }
}

#[tokio::test]
async fn a_deny_of_everything_cuts_every_key_from_each_place() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    world.seed().user_policy("ci", "p", &policy("Allow", "secretsmanager:ListSecrets")).unwrap();
    for place in [DenyPlace::Inline, DenyPlace::Managed, DenyPlace::Boundary] {
        assert_eq!(world.try_with(credentials(&key)).await, Ok(()), "{place:?}");
        world.deny_user(&user, everything(place)).await.unwrap();
        let refused = world.try_with(credentials(&key)).await;
        assert_eq!(refused, Err("AccessDeniedException".to_owned()), "{place:?}");
        world.allow_user(&user, everything(place).handle).await.unwrap();
    }
    assert_eq!(world.try_with(credentials(&key)).await, Ok(()));
}

#[tokio::test]
async fn a_managed_deny_is_replaced_more_often_than_aws_keeps_versions() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    world.deactivate(&user, &key).await;
    let cutoff = |second: u32| format!("2026-03-04T05:06:{second:02}Z");
    for second in 0..12 {
        world.deny_user(&user, sessions(DenyPlace::Managed, &cutoff(second))).await.unwrap();
    }
    let view = world.key_view(&key, &user).await;
    assert_eq!(view.denies[0].scope, Some(sessions(DenyPlace::Managed, &cutoff(11)).scope));
}

#[tokio::test]
async fn what_appears_after_the_exposure_is_an_intruder_and_our_own_denies_are_not() {
    let world = world().await;
    let user = world.user("ci");
    let (key, old) = (world.key(&user), world.key(&user));
    world.seed().user_policy("ci", "kept", &policy("Allow", "s3:*")).unwrap();
    world.deactivate(&user, &key).await;
    let key_id = key.access_key_id.clone();
    let mut look = world.look(Target::AccessKey { key_id, user: user.clone() });
    // Dates of AWS have seconds only; the exposure began before anything of this second.
    look.exposed_since = world.aws.clock().now();
    world.aws.clock().set_offset(TimeDelta::seconds(10));
    look.known = Some(Identity {
        account: HOME.into(),
        arn: format!("arn:aws:iam::{HOME}:user/ci"),
        name: user.name.clone(),
        unique_id: user.id.clone(),
        created: look.exposed_since,
        tags: std::collections::BTreeMap::new(),
        detail: IdentityDetail::User {
            access_keys: vec![key.access_key_id.clone(), old.access_key_id.clone()],
            policies: vec!["kept".to_owned()],
            credentials: 2,
        },
    });
    world.deny_user(&user, sessions(DenyPlace::Inline, "2026-03-04T05:06:07Z")).await.unwrap();
    world.deny_user(&user, everything(DenyPlace::Managed)).await.unwrap();
    assert_eq!(world.key_view_of(&look).await.intruders, []);

    let left = world.key(&user);
    world.seed().login_profile("ci", "a password").unwrap();
    world.seed().user_policy("ci", "more", &policy("Allow", "*")).unwrap();
    world.seed().user_policy("ci", "severance-c-hidden-sessions", &policy("Allow", "*")).unwrap();
    let view = world.key_view_of(&look).await;
    let active = KeyStatus::Active;
    let others = [(old.access_key_id, active), (left.access_key_id.clone(), active)];
    assert_eq!(view.others, others.into());
    let mut found = view.intruders;
    found.sort();
    assert_eq!(
        found,
        [
            Intruder::AccessKey { key_id: left.access_key_id },
            Intruder::LoginProfile,
            Intruder::Policy { name: "more".into() },
            Intruder::Policy { name: "severance-c-hidden-sessions".into() },
        ]
    );
}

#[tokio::test]
async fn a_key_that_is_gone_is_told_from_a_user_that_is_gone_or_made_again() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    let key_id = key.access_key_id.clone();
    let delete = Action::DeleteKey { user: user.clone(), key_id: key_id.clone() };
    world.act(delete.clone()).await.unwrap();
    let view = world.key_view(&key, &user).await;
    assert_eq!((view.user, view.key), (Presence::Same, None));
    assert_eq!(world.act(delete).await.unwrap_err().class, FailureClass::Gone);
    let deactivate = Action::DeactivateKey { user: user.clone(), key_id };
    assert_eq!(world.act(deactivate).await.unwrap_err().class, FailureClass::Gone);

    world.somebody().delete_user().user_name("ci").send().await.unwrap();
    assert_eq!(world.key_view(&key, &user).await.user, Presence::Missing);
    assert_eq!(world.user_view(&user).await.user, Presence::Missing);

    let again = world.user("ci");
    world.seed().login_profile("ci", "a password").unwrap();
    assert_ne!(again.id, user.id);
    assert_eq!(world.key_view(&key, &user).await.user, Presence::Replaced);
    assert_eq!(world.user_view(&user).await.user, Presence::Replaced);
    for action in [
        Action::DenyUser { user: user.clone(), deny: everything(DenyPlace::Inline) },
        Action::DeleteLoginProfile { user: user.clone() },
    ] {
        assert_eq!(world.act(action).await.unwrap_err().class, FailureClass::Gone);
    }
    assert_eq!(world.changes("PutUserPolicy") + world.changes("DeleteLoginProfile"), 0);
    assert!(world.user_view(&again).await.login_profile, "the new user is not touched");
}

#[tokio::test]
async fn a_lost_reply_is_told_as_such_and_the_next_look_finds_it_done_once() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    world.aws.faults().add(FaultRule::new(Fault::AppliedUnanswered).on("UpdateAccessKey"));
    let key_id = key.access_key_id.clone();
    let failure =
        world.act(Action::DeactivateKey { user: user.clone(), key_id }).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::RetrySoon, "{failure}");
    assert_eq!(world.changes("UpdateAccessKey"), 1, "no retry of its own");
    let view = world.key_view(&key, &user).await;
    assert_eq!(view.key.unwrap().status, KeyStatus::Inactive);
}

#[tokio::test]
async fn a_server_that_never_answers_is_a_timeout() {
    let world = world().await;
    let world = world.configured(|c| c.timeouts.attempt = Duration::from_millis(300)).await;
    let user = world.user("ci");
    let key = world.key(&user);
    world.aws.faults().add(FaultRule::new(Fault::Hang).on("UpdateAccessKey"));
    let key_id = key.access_key_id.clone();
    let failure = world.act(Action::DeactivateKey { user, key_id }).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_str()), (FailureClass::RetrySoon, "Timeout"));
}

#[tokio::test]
async fn a_throttle_lowers_the_accounts_rate_and_is_not_retried_here() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    let rule = FaultRule::new(Fault::Throttle).on("ListAccessKeys");
    let fault = world.aws.faults().add(rule);
    let key_id = key.access_key_id.clone();
    let look = world.look(Target::AccessKey { key_id, user });
    let failure = world.provider.observe(&look).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Throttled, "{failure}");
    assert_eq!(world.recorder.throttled.load(Ordering::SeqCst), 1);
    assert_eq!(world.aws.faults().struck(fault), Some(1));
}

#[tokio::test]
async fn server_errors_and_broken_connections_pass() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    for fault in [Fault::InternalError, Fault::Unavailable, Fault::Refuse] {
        world.aws.faults().add(FaultRule::new(fault).on("ListAccessKeys").times(1));
        let key_id = key.access_key_id.clone();
        let look = world.look(Target::AccessKey { key_id, user: user.clone() });
        let failure = world.provider.observe(&look).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::RetrySoon, "{fault:?}: {failure}");
    }
    assert_eq!(world.key_view(&key, &user).await.user, Presence::Same);
}

#[tokio::test]
async fn a_role_that_is_not_given_to_us_is_told_by_that_calls_name() {
    let world = world().await;
    let world = world
        .configured(|c| c.accounts[0].role_arn = Some(format!("arn:aws:iam::{HOME}:role/none")))
        .await;
    let user = world.user("ci");
    let key = world.key(&user);
    let key_id = key.access_key_id.clone();
    let failure = world.act(Action::DeactivateKey { user, key_id }).await.unwrap_err();
    assert_eq!(failure.operation, "sts:AssumeRole", "{failure}");
    assert_eq!((failure.class, failure.code.as_str()), (FailureClass::Cannot, "AccessDenied"));
}

#[tokio::test]
async fn a_user_that_goes_while_it_is_looked_at_is_looked_at_again() {
    let world = world().await;
    let user = world.user("ci");
    let look = world.look(Target::User { user: user.clone() });
    // The user itself and eight listings; the groups are asked for last.
    let groups = world.recorder.hold_after(9);
    let deleting = async {
        groups.due().await;
        world.somebody().delete_user().user_name("ci").send().await.unwrap();
        groups.release();
    };
    let (seen, ()) = tokio::join!(world.provider.observe(&look), deleting);
    assert_eq!(seen.unwrap_err().class, FailureClass::Replan);
    assert_eq!(world.user_view(&user).await.user, Presence::Missing);
}

#[tokio::test]
async fn a_refusal_tells_the_code_and_the_request() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    world.seed().role_policy("severance", "no", &policy("Deny", "iam:UpdateAccessKey")).unwrap();
    let key_id = key.access_key_id.clone();
    let failure = world.act(Action::DeactivateKey { user, key_id }).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_str()), (FailureClass::Cannot, "AccessDenied"));
    assert!(failure.request_id.is_some() && !failure.message.is_empty());
}

#[tokio::test]
async fn a_role_of_another_account_that_may_not_be_read_does_not_hold_up_the_look_at_the_key() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    world.deactivate(&user, &key).await;
    let there = world.aws.seed(OTHER).unwrap();
    let id = there.role("deploy", &trust("*"), &[]).unwrap();
    there.role_policy("severance", "no", &policy("Deny", "iam:GetRole")).unwrap();
    let role = RoleRef { account: OTHER.into(), name: "deploy".into(), id };
    let assumable = AssumableRole {
        role,
        max_session_seconds: 3_600,
        service_linked: false,
        service_assumed: false,
    };
    let key_id = key.access_key_id.clone();
    let mut look = world.look(Target::AccessKey { key_id, user: user.clone() });
    look.assumable = vec![assumable];
    let view = world.key_view_of(&look).await;
    assert_eq!((view.roles[0].presence, view.roles[0].denies.len()), (Presence::Same, 0));

    // What passes is waited for, but not while the user is still let in.
    world.aws.faults().add(FaultRule::new(Fault::InternalError).on("GetRole"));
    assert_eq!(world.provider.observe(&look).await.unwrap_err().class, FailureClass::RetrySoon);
    look.target = Target::User { user };
    assert!(world.provider.observe(&look).await.is_ok());
}
