//! Resource policies of secrets.

use std::sync::Arc;

use serde_json::{Value, json};

use super::SmCall;
use super::input::invalid;
use crate::aws::error::AwsError;
use crate::aws::iam::trust::{shown, tie};
use crate::aws::policy::{Admission, Asker, Context, Document, Kind, Question, admits};
use crate::aws::state::role::Trust;

/// AWS: "AWS Secrets Manager quotas".
const LARGEST_POLICY: usize = 20_480;

pub(super) fn put(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let place = call.primary()?;
    let policy = read(call)?;
    let block = call.input.flag("BlockPublicPolicy")?.unwrap_or(false);
    if block && policy.document.is_public() {
        let message = "You can't attach a policy that allows public access to the secret: a \
                       statement allows every principal, and no condition narrows it.";
        return Err(AwsError::new(400, "PublicPolicyException", message));
    }
    let at = call.at;
    let secret = call.secret_mut(&place)?;
    secret.content.policy.set(Some(Arc::new(policy)), &at);
    Ok(json!({ "ARN": secret.arn, "Name": secret.name }))
}

pub(super) fn get(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let place = call.live()?;
    let secret = call.secret(&place)?;
    let mut reply = json!({ "ARN": secret.arn, "Name": secret.name });
    if let Some(policy) = secret.content.policy.latest() {
        reply["ResourcePolicy"] = Value::String(shown(call.world, policy));
    }
    Ok(reply)
}

pub(super) fn delete(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let place = call.primary()?;
    let at = call.at;
    let secret = call.secret_mut(&place)?;
    let there = secret.content.policy.latest().is_some();
    if there {
        secret.content.policy.set(None, &at);
    }
    let reply = json!({ "ARN": secret.arn, "Name": secret.name });
    if !there {
        call.unchanged();
    }
    Ok(reply)
}

/// What `PutResourcePolicy` with `BlockPublicPolicy` would refuse, and whether the caller would lock
/// itself out. The names of the checks are the sandbox's own.
pub(super) fn validate(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let arn = if call.input.get("SecretId").is_some() {
        let place = call.live()?;
        call.secret(&place)?.arn.clone()
    } else {
        call.permit_on("*")?;
        "*".to_owned()
    };
    let policy = read(call)?;
    let mut errors = Vec::new();
    if policy.document.is_public() {
        errors.push(json!({
            "CheckName": "PUBLIC_ACCESS",
            "ErrorMessage": "The policy allows every principal, and no condition narrows it.",
        }));
    }
    if locks_out(call, &policy, &arn) {
        errors.push(json!({
            "CheckName": "CALLER_LOCKOUT",
            "ErrorMessage": "The policy denies its caller to change the policy again.",
        }));
    }
    Ok(json!({ "PolicyValidationPassed": errors.is_empty(), "ValidationErrors": errors }))
}

fn locks_out(call: &SmCall<'_>, policy: &Trust, arn: &str) -> bool {
    let asker = Asker {
        account: call.caller.account.clone(),
        arn: call.caller.arn(),
        id: call.caller.principal_id().to_owned(),
    };
    let context: Context = crate::aws::authorize::context_of(call.world, call.caller, &call.at);
    let action = "secretsmanager:PutResourcePolicy";
    let question = Question { action, resource: arn, context: &context };
    admits(&policy.document, &asker, &question) == Admission::Denied
}

/// `ResourcePolicy`, its principals tied to the users and roles that they name now.
fn read(call: &SmCall<'_>) -> Result<Trust, AwsError> {
    let text = call.input.required("ResourcePolicy")?;
    if text.chars().count() > LARGEST_POLICY {
        return Err(invalid(format!(
            "ResourcePolicy must have at most {LARGEST_POLICY} characters"
        )));
    }
    let malformed = |message: String| {
        let message = format!("This resource policy is malformed: {message}");
        AwsError::new(400, "MalformedPolicyDocumentException", message)
    };
    Document::parse(text, Kind::Resource).map_err(|error| malformed(error.message))?;
    tie(call.world, text, Kind::Resource).map_err(|_| {
        malformed("This resource policy contains an unsupported principal.".to_owned())
    })
}
