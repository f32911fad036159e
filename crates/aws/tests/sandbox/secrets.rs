//! Rotations to their end: `decide` over the real SDK against the sandbox.

use std::collections::BTreeSet;

use aws_credential_types::Credentials;
use chrono::TimeDelta;
use severance_engine::ports::{DenyLook, Look, Provider as _, SecretLook};
use severance_lifecycle::action::Action;
use severance_lifecycle::credential::{Target, UserRef};
use severance_lifecycle::decide::{Decision, Situation, decide, look};
use severance_lifecycle::failure::FailureClass;
use severance_lifecycle::observe::View;
use severance_lifecycle::policy::{Desired, Holds, Policy, Proof, RoleSessions, ServiceRoles};
use severance_lifecycle::record::Record;
use severance_lifecycle::rotation::{RevokeOrder, RotationTerms};
use severance_lifecycle::secret::{Issuer, SecretRef, version_id};
use severance_lifecycle::secret_action::SecretAction;
use severance_lifecycle::secret_view::{CURRENT, Held, PREVIOUS, SecretView};
use severance_lifecycle::task::{BlockReason, Lane, Verification};
use severance_lifecycle::trust::Partner;
use severance_sandbox::aws::{
    Fault, FaultRule, KeyPair, RotationFunction, RotationKind, SecretSeed,
};

use crate::support::{HOME, OTHER, REGIONS, World, case, world};

const TASK: &str = "t-0123456789abcdef";

/// A secret under rotation.
pub(crate) struct Rotation {
    pub(crate) world: World,
    pub(crate) secret: SecretRef,
    pub(crate) issuer: Issuer,
    pub(crate) record: Record,
    pub(crate) terms: RotationTerms,
}

pub(crate) fn json(key: &KeyPair) -> String {
    let (id, half) = (&key.access_key_id, &key.secret_access_key);
    format!(r#"{{"note":"kept","access_key_id":"{id}","secret_access_key":"{half}"}}"#)
}

/// A user's key in a secret of the second region.
pub(crate) async fn key_in_a_secret() -> (Rotation, UserRef, KeyPair) {
    let world = world().await;
    let user = world.user("app");
    let key = world.key(&user);
    let tags = [("severance:access-key-id", key.access_key_id.as_str())];
    let arn = world.seed().secret(REGIONS[1], "app", &json(&key), &tags).unwrap();
    let issuer = Issuer::AccessKey { user: user.clone() };
    (Rotation::of(world, arn, issuer), user, key)
}

impl Rotation {
    pub(crate) fn of(world: World, arn: String, issuer: Issuer) -> Self {
        let secret =
            SecretRef { account: HOME.into(), region: REGIONS[1].into(), arn, name: "app".into() };
        let terms = RotationTerms { grace: TimeDelta::seconds(30), ..RotationTerms::default() };
        Self { world, secret, issuer, record: Record::default(), terms }
    }

    /// Exposed from now on.
    pub(crate) fn exposed(mut self, order: RevokeOrder) -> Self {
        // AWS tells when a version was stored in whole seconds.
        let now = self.world.aws.clock().now() + TimeDelta::seconds(2);
        self.pass(TimeDelta::seconds(4));
        (self.terms.exposed_at, self.terms.order) = (Some(now), order);
        self
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy {
            case: case(),
            task: TASK.into(),
            proof: Proof { window: TimeDelta::seconds(2), ..Proof::default() },
            spread: TimeDelta::seconds(2),
            cutoff_margin: TimeDelta::seconds(2),
            delete_after: None,
            assumable_roles: RoleSessions::Cut,
            shared_roles: RoleSessions::Cut,
            service_roles: ServiceRoles::Cut,
            needs_partner: false,
            partner: Partner::default(),
            take_intruders: false,
            holds: Holds::default(),
            rotation: self.terms.clone(),
        }
    }

    pub(crate) fn target(&self) -> Target {
        Target::Secret { secret: self.secret.clone(), issuer: self.issuer.clone() }
    }

    /// Puts the sandbox's clock on; less than what a signature's time may be off.
    pub(crate) fn pass(&self, time: TimeDelta) {
        let clock = self.world.aws.clock();
        clock.set_offset(clock.offset() + time);
        assert!(clock.offset() < TimeDelta::minutes(5), "signatures would be refused");
    }

    pub(crate) async fn view(&self) -> SecretView {
        let look = self.look();
        match self.world.provider.observe(&look).await.unwrap().view {
            View::Secret(view) => view,
            other => panic!("not of a secret: {other:?}"),
        }
    }

    pub(crate) fn look(&self) -> Look {
        let old_key = self.record.rotation.old_key().map(str::to_owned);
        let leaving = self.terms.leaving.clone();
        let secret = SecretLook {
            old_version: self.record.rotation.old.as_ref().map(|old| old.version.clone()),
            every_version: self.terms.exposed_at.is_some() || self.terms.ends,
            deny: if leaving.is_empty() { DenyLook::Rest } else { DenyLook::For(leaving) },
        };
        let look = self.world.look(self.target());
        let exposed_since = self.terms.exposed_at.unwrap_or(look.exposed_since);
        Look { old_key, secret, exposed_since, ..look }
    }

    /// Drives it until it is done or blocked, or until `stop` says so of the action that comes next.
    pub(crate) async fn drive_until(
        &mut self,
        desired: Desired,
        stop: impl Fn(&Action) -> bool,
    ) -> Decision {
        for _ in 0..200 {
            let observed = self.world.provider.observe(&self.look()).await.unwrap();
            let (target, policy) = (self.target(), self.policy());
            look(&mut self.record, &target, &observed, &policy);
            let (observed, record) = (&observed, &self.record);
            let here = Situation { target: &target, observed, record, policy: &policy };
            match decide(desired, &here, observed.at) {
                Decision::Act(action, reason) if stop(&action) => {
                    return Decision::Act(action, reason);
                }
                Decision::Act(action, _) => self.act(&action).await,
                Decision::Wait(until, _) => self.pass(until - observed.at),
                end => return end,
            }
        }
        panic!("no end in sight: {:?}", self.record.rotation)
    }

    pub(crate) async fn drive(&mut self) -> Decision {
        self.drive_until(Desired::Rotated, |_| false).await
    }

    pub(crate) async fn act(&mut self, action: &Action) {
        self.record.changes.extend(action.change());
        match self.world.provider.act(action, Lane::Compromise).await {
            Ok(applied) => match (action, applied.probe) {
                (Action::Probe { key_id, .. }, Some(answer)) => {
                    self.record.probed(key_id, &answer, applied.at);
                }
                (Action::Secret { what: SecretAction::Try { version, .. }, .. }, Some(answer)) => {
                    self.record.tried(version, &answer, applied.at);
                }
                (action, _) => self.record.carried_out(action, applied.at),
            },
            Err(failure) => assert!(
                !matches!(failure.class, FailureClass::Cannot | FailureClass::Full),
                "{failure}"
            ),
        }
    }

    /// What the secret hands out, as a client reads it.
    pub(crate) async fn handed_out(&self) -> (Credentials, String) {
        let answer = self.client().get_secret_value().secret_id(&self.secret.arn).send().await;
        let text = answer.unwrap().secret_string.unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let field = |name: &str| value[name].as_str().unwrap().to_owned();
        let (id, half) = (field("access_key_id"), field("secret_access_key"));
        (Credentials::new(id, half, None, None, "test"), field("note"))
    }

    pub(crate) fn client(&self) -> aws_sdk_secretsmanager::Client {
        let root = self.world.aws.root_key(HOME).unwrap();
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(aws_sdk_secretsmanager::config::BehaviorVersion::latest())
            .region(aws_sdk_secretsmanager::config::Region::new(REGIONS[1]))
            .endpoint_url(self.world.aws.endpoint())
            .credentials_provider(crate::support::credentials(&root))
            .build();
        aws_sdk_secretsmanager::Client::from_conf(config)
    }

    pub(crate) async fn refused(&self, key: &KeyPair) -> bool {
        let refused = self.world.try_with(crate::support::credentials(key)).await;
        refused.is_err_and(|code| code == "UnrecognizedClientException" || code.contains("Token"))
    }
}

pub(crate) fn is_make(action: &Action) -> bool {
    matches!(action, Action::Secret { what: SecretAction::MakeKey { .. }, .. })
}

#[tokio::test]
async fn a_key_in_a_secret_is_replaced_and_the_old_one_proven_dead() {
    let (mut rotation, user, old) = key_in_a_secret().await;
    assert_eq!(rotation.drive().await, Decision::Done(Verification::Probed));
    let (new, note) = rotation.handed_out().await;
    assert_ne!(new.access_key_id(), old.access_key_id);
    assert_eq!(note, "kept");
    assert!(rotation.refused(&old).await);
    assert!(!matches!(rotation.world.try_with(new).await, Err(code) if code.contains("Token")));
    let view = rotation.view().await;
    assert_eq!(view.current().unwrap().id, version_id(&TASK.into(), 1));
    assert_eq!(rotation.world.changes("CreateAccessKey"), 1);
    assert_eq!(user.name, "app");
}

#[tokio::test]
async fn a_new_key_is_not_handed_out_before_it_is_accepted() {
    let (mut rotation, _, old) = key_in_a_secret().await;
    rotation.world.aws.set_spread_delay(std::time::Duration::from_secs(9));
    let begun = rotation.world.aws.clock().now();
    let promotes = |action: &Action| {
        matches!(action, Action::Secret { what: SecretAction::Promote { .. }, .. })
    };
    rotation.drive_until(Desired::Rotated, promotes).await;
    assert!(rotation.world.aws.clock().now() - begun >= TimeDelta::seconds(9));
    assert_eq!(rotation.handed_out().await.0.access_key_id(), old.access_key_id);
}

#[tokio::test]
async fn a_key_whose_secret_half_was_lost_is_taken_away_and_one_is_made_anew() {
    let (mut rotation, _, _) = key_in_a_secret().await;
    let lost = FaultRule::new(Fault::AppliedUnanswered).on("CreateAccessKey").times(1);
    rotation.world.aws.faults().add(lost);
    assert_eq!(rotation.drive().await, Decision::Done(Verification::Probed));
    assert_eq!(rotation.world.changes("CreateAccessKey"), 2);
    let view = rotation.view().await;
    let handed_out = view.current().unwrap().key_id().unwrap().to_owned();
    let active = view.user_keys().iter().filter(|key| key.state.status.is_active());
    assert_eq!(active.map(|key| &key.state.id).collect::<Vec<_>>(), [&handed_out]);
}

#[tokio::test]
async fn a_version_that_was_stored_and_never_answered_is_found_again() {
    let (mut rotation, _, _) = key_in_a_secret().await;
    let lost = FaultRule::new(Fault::AppliedUnanswered).on("PutSecretValue").times(1);
    rotation.world.aws.faults().add(lost);
    assert_eq!(rotation.drive().await, Decision::Done(Verification::Probed));
    assert_eq!(rotation.world.changes("CreateAccessKey"), 1);
    assert_eq!(rotation.view().await.current().unwrap().id, version_id(&TASK.into(), 1));
}

#[tokio::test]
async fn an_exposed_key_dies_first_with_its_sessions_and_no_label_hands_it_out() {
    let (rotation, _, old) = key_in_a_secret().await;
    let session = rotation.world.session(&old).await;
    let mut rotation = rotation.exposed(RevokeOrder::RevokeFirst);
    rotation.drive_until(Desired::Rotated, is_make).await;
    assert!(rotation.refused(&old).await, "revoke first");
    assert_eq!(rotation.drive().await, Decision::Done(Verification::Probed));
    assert_eq!(rotation.world.try_with(session).await, Err("AccessDeniedException".into()));
    let view = rotation.view().await;
    assert!(view.labelled(PREVIOUS).is_none());
    assert!(view.current().unwrap().has(CURRENT));
}

#[tokio::test]
async fn the_secrets_own_function_rotates_it() {
    let world = world().await;
    let seed = SecretSeed {
        region: REGIONS[1].into(),
        name: "app".into(),
        value: Some("first".into()),
        function: Some(RotationFunction {
            kind: RotationKind::Succeeding,
            retires_key: false,
            delay_ms: None,
            failing_runs: None,
        }),
        ..SecretSeed::default()
    };
    let arn = world.seed().secret_with(seed).unwrap();
    let mut rotation = Rotation::of(world, arn, Issuer::Managed);
    rotation
        .client()
        .rotate_secret()
        .secret_id(&rotation.secret.arn)
        .rotation_lambda_arn(format!("arn:aws:lambda:{}:{HOME}:function:rotate", REGIONS[1]))
        .rotation_rules(
            aws_sdk_secretsmanager::types::RotationRulesType::builder()
                .automatically_after_days(30)
                .build(),
        )
        .rotate_immediately(false)
        .send()
        .await
        .unwrap();
    assert_eq!(rotation.drive().await, Decision::Done(Verification::ControlPlane));
    let answer = rotation.client().get_secret_value().secret_id("app").send().await.unwrap();
    assert_ne!(answer.secret_string.as_deref(), Some("first"));
    assert_eq!(answer.version_id.unwrap(), version_id(&TASK.into(), 1));
}

#[tokio::test]
async fn those_who_leave_are_denied_and_let_in_again_with_every_other_statement_as_it_was() {
    let (rotation, _, _) = key_in_a_secret().await;
    let other = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Theirs","Effect":"Deny","Principal":"*","Action":"secretsmanager:DeleteSecret","Resource":"*"}]}"#;
    let put = rotation.client().put_resource_policy().secret_id("app").resource_policy(other);
    put.send().await.unwrap();
    let leaver = rotation.world.user("leaver");
    rotation
        .world
        .seed()
        .attach_user_policy("leaver", "arn:aws:iam::aws:policy/AdministratorAccess")
        .unwrap();
    let key = rotation.world.key(&leaver);
    let reads = async || {
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(aws_sdk_secretsmanager::config::BehaviorVersion::latest())
            .region(aws_sdk_secretsmanager::config::Region::new(REGIONS[1]))
            .endpoint_url(rotation.world.aws.endpoint())
            .credentials_provider(crate::support::credentials(&key))
            .build();
        let client = aws_sdk_secretsmanager::Client::from_conf(config);
        client.get_secret_value().secret_id("app").send().await.is_ok()
    };
    assert!(reads().await);
    let readers = BTreeSet::from([format!("arn:aws:iam::{HOME}:user/leaver")]);
    let secret = || rotation.secret.clone();
    let deny = SecretAction::Deny { case: case(), readers };
    for _ in 0..2 {
        let what = deny.clone();
        rotation.world.act(Action::Secret { secret: secret(), what }).await.unwrap();
    }
    assert!(!reads().await && rotation.view().await.denied);
    let what = SecretAction::Allow { case: case() };
    rotation.world.act(Action::Secret { secret: secret(), what }).await.unwrap();
    assert!(reads().await && !rotation.view().await.denied);
    let policy = rotation.client().get_resource_policy().secret_id("app").send().await.unwrap();
    let now: serde_json::Value = serde_json::from_str(&policy.resource_policy.unwrap()).unwrap();
    assert_eq!(now, serde_json::from_str::<serde_json::Value>(other).unwrap());
}

#[tokio::test]
async fn what_was_the_leavers_alone_dies_and_is_hidden_after() {
    let (mut rotation, _, old) = key_in_a_secret().await;
    let deletes = |action: &Action| {
        matches!(action, Action::Secret { what: SecretAction::ScheduleDeletion { .. }, .. })
    };
    rotation.drive_until(Desired::Revoked, deletes).await;
    assert!(rotation.refused(&old).await, "dead before it is hidden");
    let end = rotation.drive_until(Desired::Revoked, |_| false).await;
    assert_eq!(end, Decision::Done(Verification::Probed));
    assert!(rotation.view().await.deleted_at.is_some());
}

#[tokio::test]
async fn a_value_that_holds_no_key_blocks_before_anything_is_changed() {
    let (mut rotation, _, old) = key_in_a_secret().await;
    let put = rotation.client().put_secret_value().secret_id("app").secret_string("not JSON");
    put.send().await.unwrap();
    rotation.world.aws.log().clear();
    let end = rotation.drive().await;
    assert!(
        matches!(&end, Decision::Blocked(BlockReason::UnfitValue { field, .. }) if field == "value"),
        "{end:?}"
    );
    let changes = rotation.world.aws.log().changes();
    assert!(changes.iter().all(|call| call.operation == "AssumeRole"), "{changes:?}");
    assert!(!rotation.refused(&old).await);
}

#[tokio::test]
async fn a_version_of_ours_that_cannot_be_read_yet_is_looked_at_again_and_not_taken_for_spoilt() {
    let (rotation, _, old) = key_in_a_secret().await;
    let version = version_id(&TASK.into(), 1);
    // A function that fails leaves a version that is listed and has no value.
    let rotate = rotation.client().rotate_secret().secret_id("app").client_request_token(&version);
    let function = format!("arn:aws:lambda:{}:{HOME}:function:failing", REGIONS[1]);
    let rules = aws_sdk_secretsmanager::types::RotationRulesType::builder();
    let rules = rules.automatically_after_days(30).build();
    rotate.rotation_lambda_arn(function).rotation_rules(rules).send().await.unwrap();
    let failure = rotation.world.provider.observe(&rotation.look()).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_str()), (FailureClass::RetrySoon, "NotReadableYet"));

    rotation.pass(TimeDelta::seconds(62));
    let held =
        async |rotation: &Rotation| rotation.view().await.version(&version).unwrap().held.clone();
    let late = held(&rotation).await;
    assert!(matches!(late, Held::Unfit { .. }), "it never was readable: {late:?}");
    // And then it is, all the same.
    let put = rotation.client().put_secret_value().secret_id("app").client_request_token(&version);
    put.version_stages("AWSPENDING").secret_string(json(&old)).send().await.unwrap();
    let key_id = old.access_key_id.clone();
    assert_eq!(held(&rotation).await, Held::AccessKey { key_id });
}

/// A user's key in a secret of the second region; the user lives in another account.
pub(crate) async fn key_of_another_account() -> (Rotation, UserRef, KeyPair) {
    let world = world().await;
    let theirs = world.aws.seed(OTHER).unwrap();
    let id = theirs.user("app", &[]).unwrap();
    let user = UserRef { account: OTHER.into(), name: "app".into(), id };
    let key = theirs.access_key("app").unwrap();
    let arn = world.seed().secret(REGIONS[1], "app", &json(&key), &[]).unwrap();
    // Of the same name, and none of it.
    world.user("app");
    let issuer = Issuer::AccessKey { user: user.clone() };
    (Rotation::of(world, arn, issuer), user, key)
}

#[tokio::test]
async fn a_key_of_a_user_in_another_account_is_replaced_and_dies_there() {
    let (rotation, user, old) = key_of_another_account().await;
    let mut rotation = rotation.exposed(RevokeOrder::RevokeFirst);
    let end = rotation.drive().await;
    assert!(matches!(end, Decision::Done(_)), "{end:?}");
    let (new, _) = rotation.handed_out().await;
    assert_ne!(new.access_key_id(), old.access_key_id);
    assert!(rotation.refused(&old).await);
    let keys = rotation.view().await.keys.unwrap();
    assert_eq!((keys.keys.len(), user.account.as_str()), (2, OTHER));
    assert_eq!(keys.old.unwrap().intruders, [], "what we made is no intruder's");
}

#[tokio::test]
async fn the_end_of_a_secret_whose_user_is_gone_comes_to_its_end() {
    let (mut rotation, user, key) = key_in_a_secret().await;
    let iam = rotation.world.somebody();
    iam.delete_access_key()
        .user_name(&user.name)
        .access_key_id(&key.access_key_id)
        .send()
        .await
        .unwrap();
    iam.delete_user().user_name(&user.name).send().await.unwrap();
    let end = rotation.drive_until(Desired::Revoked, |_| false).await;
    assert_eq!(end, Decision::Done(Verification::ControlPlane));
    assert!(rotation.view().await.deleted_at.is_some());
}

#[tokio::test]
async fn a_rotation_that_is_done_asks_for_nothing_once_its_user_is_gone() {
    let (mut rotation, user, _) = key_in_a_secret().await;
    assert_eq!(rotation.drive().await, Decision::Done(Verification::Probed));
    let iam = rotation.world.somebody();
    for key in rotation.view().await.user_keys() {
        let key_id = &key.state.id;
        let delete = iam.delete_access_key().user_name(&user.name).access_key_id(key_id);
        delete.send().await.unwrap();
    }
    iam.delete_user().user_name(&user.name).send().await.unwrap();
    assert_eq!(rotation.drive().await, Decision::Blocked(BlockReason::NotFound));
    assert!(rotation.record.dead_at.is_some(), "dead with its user");
}

#[tokio::test]
async fn a_user_that_was_renamed_gets_its_new_key_under_its_new_name() {
    let (mut rotation, user, old) = key_in_a_secret().await;
    let iam = rotation.world.somebody();
    iam.update_user().user_name(&user.name).new_user_name("other").send().await.unwrap();
    assert_eq!(rotation.drive().await, Decision::Done(Verification::Probed));
    assert!(rotation.refused(&old).await);
    assert_ne!(rotation.handed_out().await.0.access_key_id(), old.access_key_id);
}

#[tokio::test]
async fn a_key_that_was_made_is_stored_without_asking_to_be_admitted_again() {
    let (mut rotation, _, _) = key_in_a_secret().await;
    let Decision::Act(make, _) = rotation.drive_until(Desired::Rotated, is_make).await else {
        panic!("no key is made")
    };
    // After the current value was read, and the pair of calls admitted.
    let hold = rotation.world.recorder.hold_after(2);
    tokio::select! {
        answer = rotation.world.provider.act(&make, Lane::Rest) => drop(answer.unwrap()),
        () = hold.due() => panic!("given up here, the secret half would be lost"),
    }
    hold.release();
    assert!(rotation.view().await.version(&version_id(&TASK.into(), 1)).is_some());
}

#[tokio::test]
async fn a_leaver_who_is_gone_keeps_nobody_else_from_being_denied() {
    let (rotation, _, _) = key_in_a_secret().await;
    let arn = |name: &str| format!("arn:aws:iam::{HOME}:user/{name}");
    rotation.world.user("leaver");
    let secret = || rotation.secret.clone();
    let put = async |readers: BTreeSet<String>| {
        let what = SecretAction::Deny { case: case(), readers };
        rotation.world.act(Action::Secret { secret: secret(), what }).await
    };
    put(BTreeSet::from([arn("gone"), arn("leaver")])).await.unwrap();
    let text = async || {
        let read = rotation.client().get_resource_policy().secret_id("app").send().await;
        read.unwrap().resource_policy.unwrap()
    };
    let policy = text().await;
    assert!(policy.contains("user/leaver") && !policy.contains("user/gone"), "{policy}");
    assert!(rotation.view().await.denied);

    // Of all of them none is left: the case's deny is there for whoever takes a name of theirs, and for
    // nobody else.
    put(BTreeSet::from([arn("gone"), arn("ghost")])).await.unwrap();
    assert!(rotation.view().await.denied);
    assert_eq!(rotation.handed_out().await.1, "kept");
    let what = SecretAction::Allow { case: case() };
    rotation.world.act(Action::Secret { secret: secret(), what }).await.unwrap();
    assert!(!rotation.view().await.denied);
}
