//! A secret whose value is binary fits no strategy but `managed`, whose function alone knows what it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_secretsmanager::primitives::Blob;
use severance_engine::ports::Clock;
use severance_issuers::database::{DatabaseIssuer, DatabaseSettings, Transport};
use severance_issuers::webhook::{Endpoint, SigningKey, WebhookIssuer, WebhookSettings};
use severance_issuers::{Database, Webhook};
use severance_lifecycle::credential::UserRef;
use severance_lifecycle::secret::{Issuer, SecretRef};
use severance_lifecycle::task::{BlockReason, Task, TaskState};

use crate::rig::{ACCOUNT, Beyond, REGION, Rig, Why};

const VALUE: &[u8] = b"hunter2\xff";

/// An engine that knows a database and a webhook, neither of which is there: nobody is to be asked.
async fn rig() -> Rig {
    let mut rig = Rig::new().await;
    let settings =
        DatabaseSettings { transport: Transport::Plaintext, ..DatabaseSettings::default() };
    let issuer = DatabaseIssuer::new(settings).unwrap();
    let clock = Arc::clone(&rig.clock) as Arc<dyn Clock>;
    let webhook = Webhook {
        issuer: WebhookIssuer::new(&WebhookSettings::default(), clock).unwrap(),
        endpoint: Endpoint::new("http://127.0.0.1:9/", SigningKey::new(vec![7; 32]).unwrap())
            .unwrap(),
        field: "token".to_owned(),
    };
    let webhooks = BTreeMap::from([("hook".to_owned(), webhook)]);
    let database = Some(Database { issuer, administrators: Vec::new() });
    rig.start(Beyond { database, webhooks }).await;
    rig
}

async fn binary(rig: &Rig, name: &str) -> SecretRef {
    let create = rig.secrets.create_secret().name(name).secret_binary(Blob::new(VALUE));
    let arn = create.send().await.unwrap().arn.unwrap();
    SecretRef { account: ACCOUNT.into(), region: REGION.into(), arn, name: name.to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binary_value_is_blocked_whatever_the_strategy_and_nothing_is_stored() {
    let rig = rig().await;
    let seed = rig.aws.seed(ACCOUNT).unwrap();
    let id = seed.user("app", &[]).unwrap();
    seed.access_key("app").unwrap();
    let user = UserRef { account: ACCOUNT.into(), name: "app".into(), id };
    for (name, issuer) in [
        ("key", Issuer::AccessKey { user }),
        ("single", Issuer::Database { alternating: false }),
        ("turns", Issuer::Database { alternating: true }),
        ("hooked", Issuer::Webhook { name: "hook".into() }),
    ] {
        let secret = binary(&rig, name).await;
        let case = rig.rotate(&secret, issuer, Why::Routine).await;
        let is_blocked = |task: &Task| matches!(task.state, TaskState::Blocked { .. });
        let task = rig.task_until("it is blocked", &case, is_blocked).await;
        let TaskState::Blocked { reason } = task.state else { unreachable!() };
        let is_unfit = match &reason {
            BlockReason::UnfitValue { field, .. } => field == "value",
            BlockReason::Refused { code, message, .. } => {
                code == "UnfitValue" && message.starts_with("value: ")
            }
            _ => false,
        };
        assert!(is_unfit && reason.to_string().contains("binary"), "{name}: {reason}");

        let read = rig.secrets.get_secret_value().secret_id(&secret.arn).send().await.unwrap();
        assert_eq!(read.secret_binary.unwrap().into_inner(), VALUE, "{name}: it is as it was");
        assert_eq!(rig.versions(&secret).await.0, 1, "{name}: nothing is stored");
        assert!(!rig.said(&[&case]).await.contains("hunter2"));
    }
    assert!(rig.metric(&["operation=\"secretsmanager:DescribeSecret\""]).is_some(), "it looked");
    for change in ["iam:CreateAccessKey", "iam:UpdateAccessKey", "secretsmanager:PutSecretValue"] {
        assert_eq!(rig.metric(&[&format!("operation=\"{change}\"")]), None);
    }
}
