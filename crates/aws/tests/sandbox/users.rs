//! Whole users: every kind of credential, the routes, and the places for a deny.

use severance_engine::ports::Provider as _;
use severance_lifecycle::action::{Action, DenyOrder, DenyPlace, DenyScope, SideCredential};
use severance_lifecycle::credential::Target;
use severance_lifecycle::failure::FailureClass;
use severance_lifecycle::ids::CaseId;
use severance_lifecycle::observe::Presence;
use severance_sandbox::aws::{Fault, FaultRule};

use crate::support::{HOME, World, credentials, everything, policy, sessions, world};

/// A user's boundary as IAM shows it.
async fn boundary(world: &World, user: &str) -> Option<String> {
    let found = world.somebody().get_user().user_name(user).send().await.unwrap().user.unwrap();
    found.permissions_boundary.and_then(|boundary| boundary.permissions_boundary_arn)
}

/// Makes a managed policy and gives its ARN.
async fn managed(world: &World, name: &str, document: &str) -> String {
    let made = world.somebody().create_policy().policy_name(name).policy_document(document);
    made.send().await.unwrap().policy.unwrap().arn.unwrap()
}

async fn set_boundary(world: &World, user: &str, arn: &str) {
    let put = world.somebody().put_user_permissions_boundary();
    put.user_name(user).permissions_boundary(arn).send().await.unwrap();
}

#[tokio::test]
async fn every_kind_of_credential_is_seen_over_small_pages_and_switched_off() {
    let world = world().await;
    let user = world.user("ci");
    let keys: Vec<_> = (0..3).map(|_| world.key(&user).access_key_id).collect();
    let seed = world.seed();
    seed.login_profile("ci", "a password").unwrap();
    let ssh: Vec<_> =
        (0..3).map(|n| seed.ssh_key("ci", &format!("ssh-rsa {n}")).unwrap()).collect();
    let certificate = seed.signing_certificate("ci", "pem").unwrap();
    let (service, _) = seed.service_credential("ci", "codecommit.amazonaws.com").unwrap();
    let mfa = seed.mfa_device("ci", "phone").unwrap();
    for group in ["g1", "g2", "g3"] {
        seed.group(group).unwrap();
        seed.member(group, "ci").unwrap();
    }
    for name in ["p1", "p2"] {
        seed.user_policy("ci", name, &policy("Allow", "s3:*")).unwrap();
    }
    seed.attach_user_policy("ci", "arn:aws:iam::aws:policy/IAMReadOnlyAccess").unwrap();
    seed.attach_user_policy("ci", "arn:aws:iam::aws:policy/IAMUserChangePassword").unwrap();
    world.aws.set_page_size(1);

    let view = world.user_view(&user).await;
    let mut listed: Vec<_> = view.keys.iter().map(|key| key.id.clone()).collect();
    let mut made = keys.clone();
    listed.sort();
    made.sort();
    assert_eq!(listed, made);
    assert!(view.login_profile && view.side.iter().all(|side| side.active));
    assert_eq!(view.side.len(), 5);
    assert_eq!(view.mfa_devices, std::slice::from_ref(&mfa));
    assert_eq!(view.routes.groups, ["g1", "g2", "g3"]);
    assert_eq!(view.routes.inline, ["p1", "p2"]);
    assert_eq!(view.routes.attached.len(), 2);

    let off = |kind, id: &String| Action::Deactivate { user: user.clone(), kind, id: id.clone() };
    let mut sides: Vec<_> = ssh.iter().map(|id| (SideCredential::SshKey, id)).collect();
    sides.push((SideCredential::SigningCertificate, &certificate));
    sides.push((SideCredential::ServiceCredential, &service));
    for (kind, id) in &sides {
        world.act(off(*kind, id)).await.unwrap();
        world.act(off(*kind, id)).await.unwrap();
    }
    world.act(Action::DeleteLoginProfile { user: user.clone() }).await.unwrap();
    world.act(Action::DeactivateMfa { user: user.clone(), serial: mfa }).await.unwrap();
    let view = world.user_view(&user).await;
    assert!(!view.login_profile && view.mfa_devices.is_empty());
    assert!(view.side.len() == 5 && view.side.iter().all(|side| !side.active));

    for (kind, id) in &sides {
        let (kind, id) = (*kind, (*id).clone());
        world.act(Action::Reactivate { user: user.clone(), kind, id: id.clone() }).await.unwrap();
        world.act(Action::Delete { user: user.clone(), kind, id: id.clone() }).await.unwrap();
        let again = world.act(Action::Delete { user: user.clone(), kind, id }).await;
        assert_eq!(again.unwrap_err().class, FailureClass::Gone);
    }
    assert!(world.user_view(&user).await.side.is_empty());
    let again = world.act(Action::DeleteLoginProfile { user }).await;
    assert_eq!(again.unwrap_err().class, FailureClass::Gone);
}

#[tokio::test]
async fn a_full_inline_budget_is_full_and_a_managed_policy_fits_instead() {
    let world = world().await;
    let user = world.user("ci");
    let long = policy("Allow", &format!("s3:{}", "x".repeat(1_850)));
    world.seed().user_policy("ci", "long", &long).unwrap();
    let failure = world.deny_user(&user, everything(DenyPlace::Inline)).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Full, "{failure}");

    world.deny_user(&user, everything(DenyPlace::Managed)).await.unwrap();
    world.deny_user(&user, everything(DenyPlace::Managed)).await.unwrap();
    let view = world.user_view(&user).await;
    assert_eq!(view.denies.len(), 1);
    assert_eq!(view.denies[0].scope, Some(DenyScope::Everything));
    world.allow_user(&user, everything(DenyPlace::Managed).handle).await.unwrap();
    world.allow_user(&user, everything(DenyPlace::Managed).handle).await.unwrap();
    assert!(world.user_view(&user).await.denies.is_empty());
}

#[tokio::test]
async fn a_user_with_all_its_managed_policies_is_full_and_nothing_is_left_lying() {
    let world = world().await;
    let user = world.user("ci");
    for number in 0..10 {
        let arn = managed(&world, &format!("p{number}"), &policy("Allow", "s3:*")).await;
        world.seed().attach_user_policy("ci", &arn).unwrap();
    }
    let failure = world.deny_user(&user, everything(DenyPlace::Managed)).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Full, "{failure}");
    let left = world.somebody().list_policies().path_prefix("/severance/").send().await.unwrap();
    assert!(left.policies.unwrap_or_default().is_empty());
}

#[tokio::test]
async fn a_boundary_keeps_the_old_one_denies_everything_and_is_put_back() {
    let world = world().await;
    let user = world.user("ci");
    let old = managed(&world, "limits", &policy("Allow", "s3:*")).await;
    set_boundary(&world, "ci", &old).await;
    let order = everything(DenyPlace::Boundary);
    world.deny_user(&user, order.clone()).await.unwrap();
    world.deny_user(&user, order.clone()).await.unwrap();

    let ours = boundary(&world, "ci").await.unwrap();
    assert_ne!(ours, old);
    let view = world.user_view(&user).await;
    assert_eq!(view.denies.len(), 1);
    assert_eq!(
        (&view.denies[0].handle, view.denies[0].scope),
        (&order.handle, Some(DenyScope::Everything))
    );
    let policy = world.somebody().get_policy().policy_arn(&ours).send().await.unwrap();
    let version = policy.policy.unwrap().default_version_id.unwrap();
    let version = world.somebody().get_policy_version().policy_arn(&ours).version_id(version);
    let document = version.send().await.unwrap().policy_version.unwrap().document.unwrap();
    assert!(document.contains("s3"), "the old statements are kept: {document}");

    world.allow_user(&user, order.handle.clone()).await.unwrap();
    world.allow_user(&user, order.handle).await.unwrap();
    assert_eq!(boundary(&world, "ci").await, Some(old));
    assert!(world.somebody().get_policy().policy_arn(&ours).send().await.is_err(), "tidied");
}

#[tokio::test]
async fn a_user_without_a_boundary_has_none_again_afterwards() {
    let world = world().await;
    let user = world.user("ci");
    let order = everything(DenyPlace::Boundary);
    world.deny_user(&user, order.clone()).await.unwrap();
    assert!(boundary(&world, "ci").await.is_some());
    world.allow_user(&user, order.handle).await.unwrap();
    assert_eq!(boundary(&world, "ci").await, None);
}

#[tokio::test]
async fn a_crash_before_the_boundary_is_set_does_not_lose_what_is_to_be_restored() {
    let world = world().await;
    let user = world.user("ci");
    let first = managed(&world, "first", &policy("Allow", "s3:*")).await;
    let second = managed(&world, "second", &policy("Allow", "sqs:*")).await;
    set_boundary(&world, "ci", &first).await;
    let fault = FaultRule::new(Fault::InternalError).on("PutUserPermissionsBoundary").times(1);
    world.aws.faults().add(fault);
    let order = everything(DenyPlace::Boundary);
    assert!(world.deny_user(&user, order.clone()).await.is_err());
    assert_eq!(boundary(&world, "ci").await, Some(first));
    // The owner sets another boundary before the next attempt.
    set_boundary(&world, "ci", &second).await;
    world.deny_user(&user, order.clone()).await.unwrap();
    assert_eq!(world.user_view(&user).await.denies[0].scope, Some(DenyScope::Everything));
    world.allow_user(&user, order.handle).await.unwrap();
    assert_eq!(boundary(&world, "ci").await, Some(second));
}

#[tokio::test]
async fn a_boundary_that_somebody_set_meanwhile_is_left() {
    let world = world().await;
    let user = world.user("ci");
    let order = everything(DenyPlace::Boundary);
    world.deny_user(&user, order.clone()).await.unwrap();
    let theirs = managed(&world, "theirs", &policy("Allow", "s3:*")).await;
    set_boundary(&world, "ci", &theirs).await;
    assert!(world.user_view(&user).await.denies.is_empty(), "ours is not in force any more");
    world.allow_user(&user, order.handle).await.unwrap();
    assert_eq!(boundary(&world, "ci").await, Some(theirs));
}

/// The same deny of another case.
fn of_another_case(mut order: DenyOrder) -> DenyOrder {
    order.handle.case = "c-fedcba9876543210".into();
    order
}

#[tokio::test]
async fn a_case_takes_off_its_own_deny_and_leaves_another_cases() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    world.seed().user_policy("ci", "p", &policy("Allow", "secretsmanager:ListSecrets")).unwrap();
    for place in [DenyPlace::Inline, DenyPlace::Managed, DenyPlace::Boundary] {
        let ours = everything(place);
        let theirs = of_another_case(ours.clone());
        world.deny_user(&user, ours.clone()).await.unwrap();
        world.deny_user(&user, theirs.clone()).await.unwrap();
        assert_eq!(world.user_view(&user).await.denies.len(), 1, "{place:?}: ours is still seen");
        world.deny_user(&user, ours.clone()).await.unwrap();
        world.allow_user(&user, ours.handle).await.unwrap();
        let left = world.user_view(&user).await.denies;
        assert_eq!(left, [], "{place:?}");
        assert!(world.try_with(credentials(&key)).await.is_err(), "{place:?}: theirs holds");
        world.allow_user(&user, theirs.handle).await.unwrap();
        assert_eq!(world.try_with(credentials(&key)).await, Ok(()), "{place:?}: nothing holds");
    }
}

#[tokio::test]
async fn boundaries_of_two_cases_do_not_take_turns_and_either_may_end_first() {
    for ours_first in [true, false] {
        let world = world().await;
        let user = world.user("ci");
        let old = managed(&world, "limits", &policy("Allow", "s3:*")).await;
        set_boundary(&world, "ci", &old).await;
        let ours = everything(DenyPlace::Boundary);
        let theirs = of_another_case(ours.clone());
        for order in [&ours, &theirs, &ours, &theirs] {
            world.deny_user(&user, order.clone()).await.unwrap();
        }
        // The owner's, ours and theirs.
        assert_eq!(world.changes("PutUserPermissionsBoundary"), 3);
        let (first, last) = if ours_first { (ours, theirs) } else { (theirs, ours) };
        world.allow_user(&user, first.handle).await.unwrap();
        let now = boundary(&world, "ci").await.unwrap();
        assert_ne!(now, old, "the other one's is in force");
        world.allow_user(&user, last.handle).await.unwrap();
        let now = boundary(&world, "ci").await.unwrap();
        let policy = world.somebody().get_policy().policy_arn(&now).send().await.unwrap();
        let version = policy.policy.unwrap().default_version_id.unwrap();
        let version = world.somebody().get_policy_version().policy_arn(&now).version_id(version);
        let said = version.send().await.unwrap().policy_version.unwrap().document.unwrap();
        assert!(said.contains("s3") && !said.contains("Deny"), "as the owner's: {said}");
    }
}

#[tokio::test]
async fn a_boundary_is_never_the_place_for_a_sessions_deny() {
    let world = world().await;
    let user = world.user("ci");
    let order = sessions(DenyPlace::Boundary, "2026-03-04T05:06:07Z");
    let failure = world.deny_user(&user, order).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Cannot);
    assert_eq!(boundary(&world, "ci").await, None);
}

#[tokio::test]
async fn denies_of_two_users_in_one_case_do_not_share_a_policy() {
    let world = world().await;
    let (one, two) = (world.user("one"), world.user("two"));
    let early = sessions(DenyPlace::Managed, "2026-03-04T05:06:07Z");
    let late = sessions(DenyPlace::Managed, "2026-03-04T06:00:00Z");
    world.deny_user(&one, early.clone()).await.unwrap();
    world.deny_user(&two, late.clone()).await.unwrap();
    assert_eq!(world.user_view(&one).await.denies[0].scope, Some(early.scope));
    world.allow_user(&one, early.handle).await.unwrap();
    assert_eq!(world.user_view(&two).await.denies[0].scope, Some(late.scope));
}

#[tokio::test]
async fn a_listing_that_is_too_long_is_a_failure_and_never_a_part_of_it() {
    let world = world().await;
    let world = world.configured(|c| c.limits.pages = 2).await;
    let user = world.user("ci");
    for _ in 0..3 {
        world.key(&user);
    }
    world.aws.set_page_size(1);
    let look = world.look(Target::User { user });
    let failure = world.provider.observe(&look).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_str()), (FailureClass::Cannot, "TooManyPages"));
    assert!(failure.message.contains("aws.limits.pages"), "{HOME}: {failure}");
}

async fn rename(world: &World, from: &str, to: &str) {
    let update = world.somebody().update_user().user_name(from).new_user_name(to);
    update.send().await.unwrap();
}

#[tokio::test]
async fn a_key_whose_user_was_renamed_is_found_and_switched_off_under_the_new_name() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    rename(&world, "ci", "hidden").await;
    let view = world.key_view(&key, &user).await;
    assert_eq!(view.user, Presence::Same);
    assert!(view.key.unwrap().status.is_active());
    world.deactivate(&user, &key).await;
    assert!(!world.aws.key_state(&key.access_key_id).unwrap().accepted);
    world.deny_user(&user, everything(DenyPlace::Inline)).await.unwrap();
    assert_eq!(world.key_view(&key, &user).await.denies.len(), 1);
    // Again, with somebody else under the old name.
    rename(&world, "hidden", "deeper").await;
    world.user("ci");
    let view = world.key_view(&key, &user).await;
    assert_eq!((view.user, view.denies.len()), (Presence::Same, 1));
    let handle = everything(DenyPlace::Inline).handle;
    world.allow_user(&user, handle).await.unwrap();
    assert!(world.key_view(&key, &user).await.denies.is_empty());
}

#[tokio::test]
async fn a_renamed_user_is_looked_for_by_its_id_and_one_that_is_gone_is_said_to_be() {
    let world = world().await;
    let (user, gone) = (world.user("ci"), world.user("gone"));
    let key = world.key(&user);
    world.aws.set_page_size(2);
    rename(&world, "ci", "hidden").await;
    world.user("ci");
    let view = world.user_view(&user).await;
    assert_eq!((view.user, view.keys.len()), (Presence::Same, 1));
    // Its key deleted, its sessions live: the user is found all the same.
    let delete = world.somebody().delete_access_key().user_name("hidden");
    delete.access_key_id(&key.access_key_id).send().await.unwrap();
    rename(&world, "hidden", "deeper").await;
    let view = world.key_view(&key, &user).await;
    assert_eq!((view.user, view.key), (Presence::Same, None));

    world.somebody().delete_user().user_name("gone").send().await.unwrap();
    assert_eq!(world.user_view(&gone).await.user, Presence::Missing);
    world.user("gone");
    assert_eq!(world.user_view(&gone).await.user, Presence::Replaced);
    // Where users may not be listed, their details say the same.
    let deny = policy("Deny", "iam:ListUsers");
    world.seed().role_policy("severance", "no", &deny).unwrap();
    rename(&world, "deeper", "deepest").await;
    assert_eq!(world.user_view(&user).await.user, Presence::Same);
}

#[tokio::test]
async fn an_mfa_device_of_another_user_of_that_name_is_left() {
    let world = world().await;
    let user = world.user("ci");
    world.somebody().delete_user().user_name("ci").send().await.unwrap();
    world.user("ci");
    let serial = format!("arn:aws:iam::{HOME}:mfa/ci");
    let refused = world.act(Action::DeactivateMfa { user, serial }).await.unwrap_err();
    assert_eq!(refused.class, FailureClass::Gone);
    assert_eq!(world.calls("DeactivateMFADevice"), 0);
}

#[tokio::test]
async fn a_boundary_taken_off_by_an_attempt_that_did_not_end_leaves_no_policy_behind() {
    let world = world().await;
    let user = world.user("ci");
    let first = everything(DenyPlace::Boundary);
    world.deny_user(&user, first.clone()).await.unwrap();
    let below = boundary(&world, "ci").await.unwrap();
    let mut second = first.clone();
    second.handle.case = CaseId::from("c-other");
    world.deny_user(&user, second.clone()).await.unwrap();
    let ours = boundary(&world, "ci").await.unwrap();
    // The attempt put back what was there before, and ended before it deleted the policy.
    set_boundary(&world, "ci", &below).await;
    world.allow_user(&user, second.handle).await.unwrap();
    assert_eq!(boundary(&world, "ci").await.as_deref(), Some(below.as_str()));
    let left = world.somebody().get_policy().policy_arn(ours).send().await;
    assert!(left.is_err(), "its policy is deleted");
    world.allow_user(&user, first.handle).await.unwrap();
    assert_eq!(boundary(&world, "ci").await, None);
}
