//! Late spreading, throttles, faults, the log and the controls.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::Duration;

use aws_sdk_iam::types::StatusType;
use severance_sandbox::aws::{Attempt, Fault, FaultRule, Service, ThrottleRule};
use support::*;

const AN_HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_deactivation_shows_at_once_and_holds_late() {
    let sandbox = with(|config| config.spread_delay = AN_HOUR).await;
    let (key, eve) = user_with(&sandbox, "eve", ALLOW_ALL);
    let admin = root(&sandbox);
    let update = admin.iam.update_access_key().user_name("eve");
    let update = update.access_key_id(&key.access_key_id).status(StatusType::Inactive);
    update.send().await.unwrap();
    let listed = admin.iam.list_access_keys().user_name("eve").send().await.unwrap();
    assert_eq!(listed.access_key_metadata()[0].status(), Some(&StatusType::Inactive));
    eve.sts.get_caller_identity().send().await.unwrap();
    let state = sandbox.key_state(&key.access_key_id).unwrap();
    assert!(state.accepted && state.stopped_at.unwrap() > sandbox.clock().now());
    sandbox.settle();
    is(&refusal(eve.sts.get_caller_identity().send().await), ("InvalidClientTokenId", 403));
    let state = sandbox.key_state(&key.access_key_id).unwrap();
    assert!(!state.accepted && state.stopped_at.unwrap() <= sandbox.clock().now());
}

#[tokio::test]
async fn a_new_key_and_a_policy_hold_late() {
    let sandbox = with(|config| config.spread_delay = AN_HOUR).await;
    let (_, eve) = user_with(&sandbox, "eve", ALLOW_ALL);
    let admin = root(&sandbox);
    let made = admin.iam.create_access_key().user_name("eve").send().await.unwrap();
    let made = made.access_key().unwrap();
    let new = aws_sdk_iam::config::Credentials::new(
        made.access_key_id(),
        made.secret_access_key(),
        None,
        None,
        "test",
    );
    let new = clients(&sandbox, &new);
    is(&refusal(new.sts.get_caller_identity().send().await), ("InvalidClientTokenId", 403));
    let put = admin.iam.put_user_policy().user_name("eve").policy_name("deny");
    put.policy_document(DENY_ALL).send().await.unwrap();
    let shown = admin.iam.get_user_policy().user_name("eve").policy_name("deny").send().await;
    shown.unwrap();
    eve.iam.list_users().send().await.unwrap();
    sandbox.settle();
    new.sts.get_caller_identity().send().await.unwrap();
    is(&refusal(eve.iam.list_users().send().await), ("AccessDenied", 403));
}

#[tokio::test]
async fn a_throttle_answers_each_services_own_code() {
    let sandbox = sandbox().await;
    let admin = root(&sandbox);
    let rule = ThrottleRule { per_operation: true, ..ThrottleRule::per_account(0.001, 1.0) };
    sandbox.set_throttles(vec![rule]);
    admin.iam.list_users().send().await.unwrap();
    is(&refusal(admin.iam.list_users().send().await), ("Throttling", 400));
    admin.sts.get_caller_identity().send().await.unwrap();
    is(&refusal(admin.sts.get_caller_identity().send().await), ("Throttling", 400));
    admin.secrets.list_secrets().send().await.unwrap();
    is(&refusal(admin.secrets.list_secrets().send().await), ("ThrottlingException", 400));
    sandbox.set_throttles(Vec::new());
    admin.iam.list_users().send().await.unwrap();
}

#[tokio::test]
async fn faults_strike_before_the_call_is_carried_out() {
    let sandbox = sandbox().await;
    let admin = root(&sandbox);
    for (fault, expected) in [
        (Fault::InternalError, ("ServiceFailure", 500)),
        (Fault::Unavailable, ("ServiceUnavailable", 503)),
        (Fault::Throttle, ("Throttling", 400)),
        (Fault::Refuse, ("no code", 0)),
    ] {
        sandbox.faults().add(FaultRule::new(fault).on("CreateUser").times(1));
        let made = admin.iam.create_user().user_name("eve").send().await;
        is(&refusal(made), expected);
    }
    assert!(sandbox.log().changes().is_empty());
    admin.iam.create_user().user_name("eve").send().await.unwrap();
    assert_eq!(sandbox.log().changes().len(), 1);
}

#[tokio::test]
async fn a_call_that_is_applied_but_never_answered_has_had_its_effect() {
    let sandbox = sandbox().await;
    let admin = root(&sandbox);
    sandbox.faults().add(FaultRule::new(Fault::AppliedUnanswered).on("CreateUser").times(1));
    is(&refusal(admin.iam.create_user().user_name("eve").send().await), ("no code", 0));
    admin.iam.get_user().user_name("eve").send().await.unwrap();
    let changes = sandbox.log().changes();
    assert_eq!(changes.len(), 1);
    assert!(!changes[0].answered && changes[0].outcome == "Success");
}

#[tokio::test]
async fn a_hanging_call_is_never_answered_and_others_are() {
    let sandbox = sandbox().await;
    let admin = root(&sandbox);
    let id = sandbox.faults().add(FaultRule::new(Fault::Hang).on("ListUsers"));
    let iam = admin.iam.clone();
    let hanging = tokio::spawn(async move { iam.list_users().send().await.is_ok() });
    tokio::time::timeout(Duration::from_secs(20), async {
        while sandbox.faults().struck(id) != Some(1) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the call arrives");
    admin.iam.list_roles().send().await.unwrap();
    assert!(!hanging.is_finished());
    hanging.abort();
}

#[tokio::test]
async fn the_log_tells_who_did_what_and_reads_do_not_count_as_changes() {
    let sandbox = sandbox().await;
    let (key, eve) = user_with(&sandbox, "eve", ALLOW_ALL);
    eve.iam.list_users().send().await.unwrap();
    let update = eve.iam.update_access_key().user_name("eve");
    let update = update.access_key_id(&key.access_key_id).status(StatusType::Inactive);
    update.send().await.unwrap();
    is(&refusal(eve.iam.list_users().send().await), ("InvalidClientTokenId", 403));
    let calls = sandbox.log().calls();
    assert_eq!(calls.len(), 3);
    assert_eq!(calls[2].outcome, "InvalidClientTokenId");
    let changes = sandbox.log().changes();
    assert_eq!(changes.len(), 1);
    let change = &changes[0];
    assert_eq!(change.operation, "UpdateAccessKey");
    assert_eq!(change.caller, "arn:aws:iam::111111111111:user/eve");
    assert_eq!(change.subject.as_deref(), Some(key.access_key_id.as_str()));
    assert!(change.started <= change.finished);
}

#[tokio::test]
async fn passwords_ssh_keys_and_the_rest_can_be_tried() {
    let sandbox = sandbox().await;
    let seed = sandbox.seed(ACCOUNT).unwrap();
    user_with(&sandbox, "eve", ALLOW_ALL);
    seed.login_profile("eve", "correct horse").unwrap();
    let ssh = seed.ssh_key("eve", "ssh-ed25519 AAAA").unwrap();
    let cert = seed.signing_certificate("eve", "-----BEGIN CERTIFICATE-----").unwrap();
    let (service, password) = seed.service_credential("eve", "codecommit.amazonaws.com").unwrap();
    let serial = seed.mfa_device("eve", "phone").unwrap();
    let (account, user) = (ACCOUNT.to_owned(), "eve".to_owned());
    let attempts = || {
        let (account, user, action) = (account.clone(), user.clone(), None::<String>);
        [
            Attempt::Password {
                account: account.clone(),
                user: user.clone(),
                password: "correct horse".to_owned(),
                action: action.clone(),
            },
            Attempt::Ssh {
                account: account.clone(),
                user: user.clone(),
                key_id: ssh.clone(),
                action: action.clone(),
            },
            Attempt::SigningCertificate {
                account: account.clone(),
                user: user.clone(),
                certificate_id: cert.clone(),
                action: action.clone(),
            },
            Attempt::ServiceSpecific {
                account: account.clone(),
                user: user.clone(),
                credential_id: service.clone(),
                password: password.clone(),
                action,
            },
            Attempt::Mfa { account, user, serial: serial.clone() },
        ]
    };
    for attempt in attempts() {
        assert!(sandbox.try_credential(&attempt).accepted);
    }
    let iam = root(&sandbox).iam;
    iam.delete_login_profile().user_name("eve").send().await.unwrap();
    let update = iam.update_ssh_public_key().user_name("eve").ssh_public_key_id(&ssh);
    update.status(StatusType::Inactive).send().await.unwrap();
    let update = iam.update_signing_certificate().user_name("eve").certificate_id(&cert);
    update.status(StatusType::Inactive).send().await.unwrap();
    let update = iam.update_service_specific_credential().user_name("eve");
    let update = update.service_specific_credential_id(&service).status(StatusType::Inactive);
    update.send().await.unwrap();
    iam.deactivate_mfa_device().user_name("eve").serial_number(&serial).send().await.unwrap();
    for attempt in attempts() {
        let verdict = sandbox.try_credential(&attempt);
        assert!(!verdict.accepted && !verdict.authenticated, "{verdict:?}");
    }
}

#[tokio::test]
async fn a_password_under_a_deny_of_everything_opens_nothing() {
    let sandbox = sandbox().await;
    user_with(&sandbox, "eve", DENY_ALL);
    let seed = sandbox.seed(ACCOUNT).unwrap();
    seed.login_profile("eve", "correct horse").unwrap();
    let verdict = sandbox.try_credential(&Attempt::Password {
        account: ACCOUNT.to_owned(),
        user: "eve".to_owned(),
        password: "correct horse".to_owned(),
        action: None,
    });
    assert!(verdict.authenticated && !verdict.accepted);
}

#[tokio::test]
async fn everything_can_be_driven_over_http() {
    let sandbox = sandbox().await;
    let http = reqwest::Client::new();
    let url = |path: &str| format!("{}/_sandbox/{path}", sandbox.endpoint());
    let seed = serde_json::json!({
        "account": ACCOUNT,
        "users": [{ "name": "eve", "access_keys": 1, "tags": {"severance:zone": "z"}, "secret": "eve/key" }],
    });
    let seeded: serde_json::Value =
        http.post(url("seed")).json(&seed).send().await.unwrap().json().await.unwrap();
    let id = seeded["users"][0]["access_keys"][0][0].as_str().unwrap();
    let patch = serde_json::json!({
        "spread_delay_ms": 3_600_000, "page_size": 2, "throttles": [{"rate": 1.0, "burst": 5.0}],
    });
    let settings: serde_json::Value =
        http.patch(url("settings")).json(&patch).send().await.unwrap().json().await.unwrap();
    assert_eq!(settings["page_size"], 2);
    let fault = serde_json::json!({
        "kind": "delay", "millis": 1, "operation": "GetUser", "service": "iam", "count": 1,
    });
    http.post(url("faults")).json(&fault).send().await.unwrap().error_for_status().unwrap();
    let rule = &sandbox.faults().list()[0].rule;
    assert_eq!(rule.fault, Fault::Delay { millis: 1 });
    assert_eq!(rule.service, Some(Service::Iam));
    root(&sandbox).iam.delete_access_key().user_name("eve").access_key_id(id).send().await.unwrap();
    let read = async |path: &str| -> serde_json::Value {
        http.get(url(path)).send().await.unwrap().json().await.unwrap()
    };
    assert_eq!(read(&format!("keys/{id}")).await["accepted"], true);
    http.post(url("settle")).send().await.unwrap();
    assert_eq!(read(&format!("keys/{id}")).await["accepted"], false);
    assert_eq!(read("changes").await[0]["operation"], "DeleteAccessKey");
    assert_eq!(read("calls?after=1").await, serde_json::json!([]));
    let attempt = serde_json::json!({
        "kind": "password", "account": ACCOUNT, "user": "eve", "password": "x",
    });
    let verdict: serde_json::Value =
        http.post(url("try")).json(&attempt).send().await.unwrap().json().await.unwrap();
    assert_eq!(verdict["accepted"], false);
    assert_eq!(http.get(url("nothing")).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn an_operation_or_a_parameter_that_is_not_known_is_refused_by_name() {
    let sandbox = sandbox().await;
    let admin = root(&sandbox);
    let refused = admin.iam.list_saml_providers().send().await.unwrap_err();
    assert!(format!("{refused:?}").contains("ListSAMLProviders"));
    is(&refusal::<(), _>(Err(refused)), ("InvalidAction", 400));
    let rotate = admin.secrets.rotate_secret().secret_id("x");
    let refused = rotate.external_secret_rotation_role_arn("arn:aws:iam::1:role/x").send().await;
    is(&refusal(refused), ("InvalidParameterException", 400));
    let made = admin.iam.list_service_specific_credentials().user_name("x").all_users(true);
    is(&refusal(made.send().await), ("ValidationError", 400));
}
