//! Whether a caller may do something to a secret: its own policies and the secret's.
//!
//! AWS: IAM User Guide, "Policy evaluation logic", and Service Authorization Reference, "Actions,
//! resources, and condition keys for AWS Secrets Manager".

use serde_json::Value;

use super::input::Input;
use crate::aws::authorize::{Decision, bounds_of, context_of, denial};
use crate::aws::caller::Caller;
use crate::aws::error::AwsError;
use crate::aws::policy::{Admission, Asker, Context, Question, admits};
use crate::aws::request::Service;
use crate::aws::state::{Moment, Secret, World};

/// What is asked, of what.
pub(super) struct Asked<'a> {
    pub(super) operation: &'a str,
    pub(super) input: Input<'a>,
    /// The account that the secret is, or would be, in.
    pub(super) account: &'a str,
    pub(super) arn: &'a str,
}

/// Fields of a request that are condition keys too, under their own names.
const REQUEST_KEYS: [&str; 11] = [
    "Name",
    "Description",
    "SecretId",
    "KmsKeyId",
    "VersionId",
    "VersionStage",
    "RotationLambdaARN",
    "BlockPublicPolicy",
    "ForceDeleteWithoutRecovery",
    "ForceOverwriteReplicaSecret",
    "RecoveryWindowInDays",
];

/// Refuses unless both sides let the caller: within one account either suffices, across accounts
/// both are needed. A deny of either is final.
pub(super) fn permit(
    world: &World,
    caller: &Caller,
    at: &Moment,
    secret: Option<&Secret>,
    asked: &Asked<'_>,
) -> Result<(), AwsError> {
    let action = format!("secretsmanager:{}", asked.operation);
    let context = context(world, caller, at, secret, asked);
    let question = Question { action: &action, resource: asked.arn, context: &context };
    let admission = admission(caller, at, secret, &question);
    let at_home = caller.account == asked.account;
    let stands_in = at_home && admission == Admission::ByName;
    let decision = bounds_of(world, caller, at).decide_with(&question, stands_in);
    let refused = |because: &str| {
        let message = format!(
            "User: {} is not authorized to perform: {action} on resource: {} {because}",
            caller.arn(),
            asked.arn
        );
        AwsError::new(400, "AccessDeniedException", message)
    };
    match (decision, admission) {
        (Decision::ExplicitDeny, _) => {
            Err(denial(Service::SecretsManager, caller, &action, asked.arn, decision))
        }
        (_, Admission::Denied) => Err(refused("with an explicit deny in a resource-based policy")),
        (_, Admission::Unmentioned) if !at_home => {
            Err(refused(&format!("because no resource-based policy allows the {action} action")))
        }
        (Decision::ImplicitDeny, _) => {
            Err(denial(Service::SecretsManager, caller, &action, asked.arn, decision))
        }
        (Decision::Allowed, _) => Ok(()),
    }
}

/// What the secret's own policy, as far as it has spread, says to the caller.
fn admission(
    caller: &Caller,
    at: &Moment,
    secret: Option<&Secret>,
    question: &Question<'_>,
) -> Admission {
    let policy = secret.and_then(|secret| secret.content.policy.holding(at).as_ref());
    let Some(policy) = policy else { return Admission::Unmentioned };
    let asker = Asker {
        account: caller.account.clone(),
        arn: caller.arn(),
        id: caller.principal_id().to_owned(),
    };
    admits(&policy.document, &asker, question)
}

fn context(
    world: &World,
    caller: &Caller,
    at: &Moment,
    secret: Option<&Secret>,
    asked: &Asked<'_>,
) -> Context {
    let mut context = context_of(world, caller, at);
    for field in REQUEST_KEYS {
        let value = match asked.input.get(field) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(flag)) => flag.to_string(),
            Some(Value::Number(number)) => number.to_string(),
            _ => continue,
        };
        context.put(&format!("secretsmanager:{field}"), value);
    }
    let reads_current = asked.operation == "GetSecretValue"
        && asked.input.get("VersionStage").is_none()
        && asked.input.get("VersionId").is_none();
    if reads_current {
        context.put("secretsmanager:VersionStage", "AWSCURRENT");
    }
    for (key, value) in asked.input.tags().unwrap_or_default() {
        context.put(&format!("aws:RequestTag/{key}"), value);
        context.put("aws:TagKeys", key);
    }
    for key in asked.input.list("TagKeys").iter().filter_map(Value::as_str) {
        context.put("aws:TagKeys", key);
    }
    if let Some(secret) = secret {
        for (key, value) in &secret.content.tags {
            context.put(&format!("aws:ResourceTag/{key}"), value);
            context.put(&format!("secretsmanager:ResourceTag/{key}"), value);
        }
        let primary = secret.primary_region().unwrap_or(&secret.region);
        context.put("secretsmanager:SecretPrimaryRegion", primary);
        if let Some(arn) = &secret.content.rotation.lambda_arn {
            context.put("secretsmanager:resource/AllowRotationLambdaArn", arn);
        }
    }
    context
}
