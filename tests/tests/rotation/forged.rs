//! A key's id is no secret: whoever may write a secret's value could name anybody's.

use severance_lifecycle::credential::UserRef;
use severance_lifecycle::secret::{Issuer, SecretRef};
use severance_lifecycle::task::{BlockReason, Task, TaskState};

use crate::rig::{ACCOUNT, Beyond, REGION, Rig, Why};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_only_names_a_key_is_handed_none_of_that_user() {
    let mut rig = Rig::new().await;
    rig.start(Beyond::default()).await;
    let seed = rig.aws.seed(ACCOUNT).unwrap();
    let id = seed.user("victim", &[]).unwrap();
    let key = seed.access_key("victim").unwrap();
    let user = UserRef { account: ACCOUNT.into(), name: "victim".into(), id };
    let secret = |half: &str| {
        format!(r#"{{"access_key_id":"{}","secret_access_key":"{half}"}}"#, key.access_key_id)
    };
    let create = rig.secrets.create_secret().name("ev").secret_string(secret(&"A".repeat(40)));
    let arn = create.send().await.unwrap().arn.unwrap();
    let named =
        SecretRef { account: ACCOUNT.into(), region: REGION.into(), arn, name: "ev".into() };

    let case = rig.rotate(&named, Issuer::AccessKey { user }, Why::Routine).await;
    let is_blocked = |task: &Task| matches!(task.state, TaskState::Blocked { .. });
    let task = rig.task_until("it is blocked", &case, is_blocked).await;
    let TaskState::Blocked { reason } = task.state else { unreachable!() };
    assert!(
        matches!(&reason, BlockReason::NotHeld { credential, .. } if credential.contains(&key.access_key_id)),
        "{reason}"
    );
    assert_eq!(rig.versions(&named).await.0, 1, "nothing is stored");
    for change in ["iam:CreateAccessKey", "iam:UpdateAccessKey", "secretsmanager:PutSecretValue"] {
        assert_eq!(rig.metric(&[&format!("operation=\"{change}\"")]), None);
    }
}
