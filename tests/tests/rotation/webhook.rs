//! The strategy `webhook`: the reference receiver, which reads values by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use severance_issuers::Webhook;
use severance_issuers::webhook::{Endpoint, SigningKey, WebhookIssuer, WebhookSettings};
use severance_lifecycle::event::Severity;
use severance_lifecycle::secret::{Issuer, SecretRef};
use severance_lifecycle::task::{TaskState, Verification};
use tokio::net::TcpListener;

use crate::receiver::Receiver;
use crate::rig::{Beyond, Rig, Why};

const FIRST: &str = r#"{"url":"https://a","token":"f1rstT0ken"}"#;

struct World {
    rig: Rig,
    receiver: Arc<Receiver>,
    secret: SecretRef,
}

impl World {
    async fn new() -> Self {
        let mut rig = Rig::new().await;
        let secret = rig.secret("hooked", FIRST);
        let clock = Arc::clone(&rig.aws);
        let receiver = Receiver::new(&[vec![7; 32]], move || clock.clock().now().timestamp());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let router = receiver.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let clock = Arc::clone(&rig.clock);
        let webhook = Webhook {
            issuer: WebhookIssuer::new(&WebhookSettings::default(), clock).unwrap(),
            endpoint: Endpoint::new(&url, SigningKey::new(vec![7; 32]).unwrap()).unwrap(),
            field: "token".to_owned(),
        };
        let webhooks = BTreeMap::from([("hook".to_owned(), webhook)]);
        rig.start(Beyond { webhooks, ..Beyond::default() }).await;
        let world = Self { rig, receiver, secret };
        world.receiver_reads().await;
        world.receiver.accept(&world.secret.arn, FIRST);
        world
    }

    /// The receiver reads every version, as it would with `GetSecretValue`.
    async fn receiver_reads(&self) {
        let listed = self.rig.secrets.list_secret_version_ids().secret_id(&self.secret.arn);
        let listed = listed.include_deprecated(true).send().await.unwrap();
        for version in listed.versions.unwrap_or_default() {
            let id = version.version_id.unwrap();
            let value = self.rig.value(&self.secret, Some(&id)).await;
            self.receiver.store(&self.secret.arn, &id, &value);
        }
    }

    /// Rotates to the end; the receiver learns of the new version when it is there.
    async fn rotate(&self, why: Why) -> severance_lifecycle::task::Task {
        let issuer = Issuer::Webhook { name: "hook".to_owned() };
        let case = self.rig.rotate(&self.secret, issuer, why).await;
        let limit = std::time::Duration::from_mins(2);
        severance_tests::wait::until("it is done", limit, async || {
            self.receiver_reads().await;
            let task = self.rig.case(&case).await.tasks.remove(0).task;
            matches!(task.state, TaskState::Done { .. }).then_some(task)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owners_endpoint_is_told_of_versions_and_the_old_one_ends_refused() {
    for why in [Why::Routine, Why::Compromise(Severity::High)] {
        let world = World::new().await;
        let task = world.rotate(why).await;
        assert_eq!(task.state, TaskState::Done { verification: Verification::Probed });
        let current = world.rig.value(&world.secret, None).await;
        assert!(current.starts_with(r#"{"url":"https://a","token":""#) && current != FIRST);
        assert!(world.receiver.accepts(&world.secret.arn, &current), "{why:?}");
        assert!(!world.receiver.accepts(&world.secret.arn, FIRST), "{why:?}");
        assert_eq!(task.record.rotation.finished.len(), 1, "told that it is current");
    }
}
