//! Sessions of a user itself.

use std::sync::Arc;

use super::{duration, issue};
use crate::aws::call::{Call, Operation, Target};
use crate::aws::caller::Identity;
use crate::aws::error::AwsError;
use crate::aws::policy::{Document, Kind};
use crate::aws::request::Service;
use crate::aws::service_call::permit;
use crate::aws::state::SessionKind;
use crate::aws::xml::Xml;

/// 36 hours. AWS: STS API Reference, `GetSessionToken`.
const LONGEST: i64 = 129_600;
const DEFAULT: i64 = 43_200;

pub(crate) const OPERATIONS: &[Operation] = &[
    // AWS: STS API Reference, GetSessionToken: "No permissions are required"; a policy cannot
    // stop a user from calling it.
    Operation::write(
        "GetSessionToken",
        Target::Free,
        &["DurationSeconds", "SerialNumber", "TokenCode"],
        session_token,
    ),
    Operation::write(
        "GetFederationToken",
        Target::Free,
        &["Name", "Policy", "DurationSeconds", "PolicyArns"],
        federation_token,
    ),
];

fn session_token(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    refuse_session(call, "GetSessionToken")?;
    let lasts = duration(call, DEFAULT, LONGEST)?;
    let mfa = check_mfa(call)?;
    let kind = match &call.caller.identity {
        Identity::User { id, .. } => SessionKind::User { user: id.clone() },
        _ => SessionKind::Root,
    };
    let mut xml = Xml::default();
    let account = call.caller.account.clone();
    issue(call, &account, kind, lasts, mfa, &mut xml);
    Ok(xml)
}

fn federation_token(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    refuse_session(call, "GetFederationToken")?;
    let name = call.params.required("Name")?.to_owned();
    let account = call.caller.account.clone();
    let resource = format!("arn:aws:sts::{account}:federated-user/{name}");
    permit(call.world, call.caller, &call.at, Service::Sts, "sts:GetFederationToken", &resource)?;
    let lasts = duration(call, DEFAULT, LONGEST)?;
    let Identity::User { id, .. } = &call.caller.identity else {
        return Err(AwsError::access_denied("Cannot call GetFederationToken as the root user"));
    };
    let kind = SessionKind::Federated {
        user: id.clone(),
        name: name.clone(),
        policies: session_policies(call, &account)?,
    };
    let mut xml = Xml::default();
    issue(call, &account, kind, lasts, false, &mut xml);
    xml.nest("FederatedUser", |xml| {
        xml.text("FederatedUserId", format!("{account}:{name}")).text("Arn", &resource);
    });
    xml.number("PackedPolicySize", 0);
    Ok(xml)
}

/// The policies that a session is cut to: `Policy` and `PolicyArns`.
pub(super) fn session_policies(
    call: &Call<'_>,
    account: &str,
) -> Result<Vec<Arc<Document>>, AwsError> {
    let mut policies = Vec::new();
    if let Some(text) = call.params.get("Policy") {
        policies.push(Arc::new(Document::parse(text, Kind::Identity)?));
    }
    for entry in call.params.structs("PolicyArns") {
        let arn = entry.required("arn")?;
        let policy = call.world.managed_policy(account, arn).ok_or_else(|| {
            AwsError::validation(format!("The session policy {arn} does not exist"))
        })?;
        policies.push(policy.document.latest().clone());
    }
    Ok(policies)
}

fn refuse_session(call: &Call<'_>, operation: &str) -> Result<(), AwsError> {
    if call.caller.session.is_some() {
        return Err(AwsError::access_denied(format!(
            "Cannot call {operation} with session credentials"
        )));
    }
    Ok(())
}

/// Any six digits pass, for a device that the caller has enabled.
fn check_mfa(call: &Call<'_>) -> Result<bool, AwsError> {
    let Some(serial) = call.params.get("SerialNumber") else {
        return Ok(false);
    };
    let code = call.params.get("TokenCode").unwrap_or_default();
    let enabled = call.caller.user_name().is_some_and(|name| {
        call.account()
            .and_then(|account| account.user(name))
            .is_ok_and(|user| user.mfa.holding(&call.at).contains_key(serial))
    });
    if enabled && code.len() == 6 && code.bytes().all(|it| it.is_ascii_digit()) {
        Ok(true)
    } else {
        Err(AwsError::access_denied(
            "MultiFactorAuthentication failed with invalid MFA one time pass code.",
        ))
    }
}
