//! Roles: trust policies, denies, and roles that a user could assume.

use chrono::TimeDelta;
use serde_json::{Value, json};
use severance_lifecycle::action::{Action, DenyPlace};
use severance_lifecycle::credential::{RoleRef, Target};
use severance_lifecycle::failure::FailureClass;
use severance_lifecycle::observe::{AssumableRole, Presence};
use severance_lifecycle::trust::{Partner, RemovedPrincipal, read};

use crate::support::{HOME, OTHER, World, sessions, trust, world};

fn partner() -> Partner {
    Partner { accounts: std::iter::once(OTHER.to_owned()).collect(), ..Partner::default() }
}

/// A role that lets in one of ours, a service and the partner's account.
fn shared(world: &World) -> RoleRef {
    let document = json!({"Version": "2012-10-17", "Statement": [
        {"Sid": "people", "Effect": "Allow", "Action": "sts:AssumeRole",
         "Principal": {"AWS": [format!("arn:aws:iam::{HOME}:root"), format!("arn:aws:iam::{OTHER}:root")]}},
        {"Sid": "machines", "Effect": "Allow", "Action": "sts:AssumeRole",
         "Principal": {"Service": "ec2.amazonaws.com"}}]});
    world.role("shared", &document.to_string())
}

async fn planned(world: &World, role: &RoleRef) -> (Value, Vec<RemovedPrincipal>) {
    let trust = world.role_view(role).await.trust;
    let removed = read(&trust, &partner()).partner;
    (trust, removed)
}

async fn overwrite(world: &World, role: &RoleRef, document: &Value) {
    let update = world.somebody().update_assume_role_policy().role_name(&role.name);
    update.policy_document(document.to_string()).send().await.unwrap();
}

#[tokio::test]
async fn the_partner_is_taken_out_and_put_back_and_everyone_else_stays() {
    let world = world().await;
    let role = shared(&world);
    let (before, removed) = planned(&world, &role).await;
    assert_eq!(removed.len(), 1);
    let remove = Action::RemoveTrust { role: role.clone(), removed: removed.clone() };
    world.act(remove.clone()).await.unwrap();
    world.act(remove).await.unwrap();
    assert_eq!(
        world.changes("UpdateAssumeRolePolicy"),
        1,
        "the second time there is nothing to do"
    );
    let after = world.role_view(&role).await.trust;
    let reading = read(&after, &partner());
    assert!(reading.partner.is_empty() && reading.others);
    assert_eq!(reading.services, ["ec2.amazonaws.com"]);

    let restore = Action::RestoreTrust { role: role.clone(), removed };
    world.act(restore.clone()).await.unwrap();
    world.act(restore).await.unwrap();
    assert_eq!(world.changes("UpdateAssumeRolePolicy"), 2);
    let restored = read(&world.role_view(&role).await.trust, &partner());
    assert_eq!(restored, read(&before, &partner()));
}

#[tokio::test]
async fn a_statement_that_was_edited_since_it_was_planned_on_is_planned_again() {
    let world = world().await;
    let role = shared(&world);
    let (mut document, removed) = planned(&world, &role).await;
    document["Statement"][0]["Condition"] = json!({"StringEquals": {"sts:ExternalId": "x"}});
    overwrite(&world, &role, &document).await;
    let failure = world.act(Action::RemoveTrust { role, removed }).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Replan, "{failure}");
    assert_eq!(world.changes("UpdateAssumeRolePolicy"), 1, "only the other one's");
}

#[tokio::test]
async fn a_write_of_somebody_between_ours_and_the_second_look_is_seen() {
    let world = world().await;
    let role = shared(&world);
    let (before, removed) = planned(&world, &role).await;
    // Read, written; the second reading waits until somebody has written too.
    let second = world.recorder.hold_after(2);
    let acting = world.act(Action::RemoveTrust { role: role.clone(), removed });
    let meddling = async {
        second.due().await;
        overwrite(&world, &role, &before).await;
        second.release();
    };
    let (acted, ()) = tokio::join!(acting, meddling);
    let failure = acted.unwrap_err();
    assert_eq!(failure.class, FailureClass::Replan, "{failure}");
}

#[tokio::test]
async fn a_write_of_somebody_while_ours_waits_for_its_turn_is_kept() {
    let world = world().await;
    let role = shared(&world);
    let (mut document, removed) = planned(&world, &role).await;
    document["Statement"][1]["Principal"]["Service"] = json!("lambda.amazonaws.com");
    // Read; the write waits, as it does where the account is throttled.
    let write = world.recorder.hold_after(1);
    let acting = world.act(Action::RemoveTrust { role: role.clone(), removed });
    let meddling = async {
        write.due().await;
        overwrite(&world, &role, &document).await;
        world.aws.clock().set_offset(TimeDelta::seconds(5));
        write.release();
    };
    let (acted, ()) = tokio::join!(acting, meddling);
    acted.unwrap();
    let reading = read(&world.role_view(&role).await.trust, &partner());
    assert_eq!(reading.services, ["lambda.amazonaws.com"], "somebody's edit was lost");
    assert!(reading.partner.is_empty());
}

#[tokio::test]
async fn the_last_principal_is_not_taken_out() {
    let world = world().await;
    let role = world.role("theirs", &trust(&format!("arn:aws:iam::{OTHER}:root")));
    let (_, removed) = planned(&world, &role).await;
    let failure = world.act(Action::RemoveTrust { role, removed }).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Replan, "{failure}");
    assert_eq!(world.changes("UpdateAssumeRolePolicy"), 0);
}

#[tokio::test]
async fn a_deny_on_a_role_is_read_back_from_either_place_and_taken_off() {
    let world = world().await;
    let role = shared(&world);
    for place in [DenyPlace::Inline, DenyPlace::Managed] {
        let deny = sessions(place, "2026-03-04T05:06:07Z");
        world.act(Action::DenyRole { role: role.clone(), deny: deny.clone() }).await.unwrap();
        let view = world.role_view(&role).await;
        assert_eq!(
            (&view.denies[0].handle, view.denies[0].scope),
            (&deny.handle, Some(deny.scope))
        );
        let allow = Action::AllowRole { role: role.clone(), deny: deny.handle };
        world.act(allow.clone()).await.unwrap();
        world.act(allow).await.unwrap();
        assert!(world.role_view(&role).await.denies.is_empty());
    }
    let deny = sessions(DenyPlace::Boundary, "2026-03-04T05:06:07Z");
    let refused = world.act(Action::DenyRole { role, deny }).await;
    assert_eq!(refused.unwrap_err().class, FailureClass::Cannot);
}

#[tokio::test]
async fn a_role_made_again_under_its_name_is_another_role() {
    let world = world().await;
    let role = shared(&world);
    let (_, removed) = planned(&world, &role).await;
    world.somebody().delete_role().role_name("shared").send().await.unwrap();
    assert_eq!(world.role_view(&role).await.role, Presence::Missing);
    shared(&world);
    assert_eq!(world.role_view(&role).await.role, Presence::Replaced);
    for action in [
        Action::RemoveTrust { role: role.clone(), removed },
        Action::DenyRole { role, deny: sessions(DenyPlace::Inline, "2026-03-04T05:06:07Z") },
    ] {
        assert_eq!(world.act(action).await.unwrap_err().class, FailureClass::Gone);
    }
}

#[tokio::test]
async fn roles_that_a_key_could_assume_are_looked_at_in_their_own_accounts() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    world.deactivate(&user, &key).await;
    let here = shared(&world);
    let there = {
        let seed = world.aws.seed(OTHER).unwrap();
        let id = seed.role("there", &trust("*"), &[]).unwrap();
        RoleRef { account: OTHER.into(), name: "there".into(), id }
    };
    let deny = sessions(DenyPlace::Inline, "2026-03-04T05:06:07Z");
    world.act(Action::DenyRole { role: there.clone(), deny: deny.clone() }).await.unwrap();
    let key_id = key.access_key_id.clone();
    let mut look = world.look(Target::AccessKey { key_id, user });
    let assumable = |role: &RoleRef| AssumableRole {
        role: role.clone(),
        max_session_seconds: 3_600,
        service_linked: false,
        service_assumed: false,
    };
    let gone = RoleRef { id: "AROAGONEGONEGONEGONE1".into(), ..here.clone() };
    look.assumable = vec![assumable(&here), assumable(&there), assumable(&gone)];
    let roles = world.key_view_of(&look).await.roles;
    assert_eq!(roles[0].presence, Presence::Same);
    assert!(roles[0].denies.is_empty());
    assert_eq!(roles[1].denies[0].scope, Some(deny.scope));
    assert_eq!(roles[2].presence, Presence::Replaced);
}
