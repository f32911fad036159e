//! `AssumeRole`: the role's trust policy, and the caller's own policies.

use super::tokens::session_policies;
use super::{duration, issue};
use crate::aws::authorize::{Decision, bounds_of, context_of, denial};
use crate::aws::call::{Call, Operation, Target};
use crate::aws::caller::Identity;
use crate::aws::error::AwsError;
use crate::aws::policy::{Admission, Asker, Context, Question, admits};
use crate::aws::request::Service;
use crate::aws::state::{Role, SessionKind};
use crate::aws::xml::Xml;

const ACTION: &str = "sts:AssumeRole";
/// A role that a role takes. AWS: IAM User Guide, "Role chaining".
const LONGEST_CHAINED: i64 = 3_600;

pub(crate) const OPERATIONS: &[Operation] = &[Operation::write(
    "AssumeRole",
    Target::Free,
    &[
        "RoleArn",
        "RoleSessionName",
        "DurationSeconds",
        "ExternalId",
        "Policy",
        "PolicyArns",
        "Tags",
        "SourceIdentity",
    ],
    assume,
)];

fn assume(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let arn = call.params.required("RoleArn")?.to_owned();
    let session = call.params.required("RoleSessionName")?.to_owned();
    if !(2..=64).contains(&session.len()) {
        return Err(AwsError::validation("roleSessionName must have 2 to 64 characters"));
    }
    if matches!(call.caller.identity, Identity::Root) {
        return Err(AwsError::access_denied("Roles may not be assumed by root accounts."));
    }
    if matches!(call.caller.identity, Identity::Federated { .. }) {
        let message = "Cannot call AssumeRole with federated user credentials";
        return Err(AwsError::access_denied(message));
    }
    let context = context(call, &session);
    let role = admitted(call, &arn, &context)?;
    let (account, id) = (role.account.clone(), role.id.clone());
    let (assumed_arn, longest) = (role.session_arn(&session), role.max_session);
    let lasts = bounded_duration(call, longest)?;
    let policies = session_policies(call, &account)?;
    let assumed_id = format!("{id}:{session}");
    let (now, region) = (call.at.now, call.caller.region.clone());
    if let Some(role) = call.world.account_mut(&account)?.roles.with_id_mut(&id) {
        role.last_used = Some((now, region));
    }
    let kind = SessionKind::Role { role: id, name: session, policies };
    let mut xml = Xml::default();
    issue(call, &account, kind, lasts, false, &mut xml);
    xml.nest("AssumedRoleUser", |xml| {
        xml.text("AssumedRoleId", assumed_id).text("Arn", assumed_arn);
    });
    Ok(xml)
}

fn context(call: &Call<'_>, session: &str) -> Context {
    let mut context = context_of(call.world, call.caller, &call.at);
    context.put("sts:RoleSessionName", session);
    for (parameter, key) in
        [("ExternalId", "sts:ExternalId"), ("SourceIdentity", "sts:SourceIdentity")]
    {
        if let Some(value) = call.params.get(parameter) {
            context.put(key, value);
        }
    }
    context
}

/// The role, where both sides let the caller have it. AWS tells a role that does not exist and
/// one that does not trust the caller the same thing.
fn admitted<'c>(call: &'c Call<'_>, arn: &str, context: &Context) -> Result<&'c Role, AwsError> {
    let refused = |decision| denial(Service::Sts, call.caller, ACTION, arn, decision);
    let account = arn.split(':').nth(4).and_then(|id| call.world.accounts.get(id));
    let name = arn.rsplit('/').next().unwrap_or_default();
    let role = account.and_then(|account| account.roles.named(name));
    let role =
        role.filter(|role| role.arn() == arn).ok_or_else(|| refused(Decision::ImplicitDeny))?;
    let asker = Asker {
        account: call.caller.account.clone(),
        arn: call.caller.arn(),
        id: call.caller.principal_id().to_owned(),
    };
    let question = Question { action: ACTION, resource: arn, context };
    let trust = role.trust.holding(&call.at).as_ref();
    let admission =
        trust.map_or(Admission::Unmentioned, |trust| admits(&trust.document, &asker, &question));
    let by_name_at_home = admission == Admission::ByName && role.account == call.caller.account;
    match admission {
        Admission::Denied => return Err(refused(Decision::ExplicitDeny)),
        Admission::Unmentioned => return Err(refused(Decision::ImplicitDeny)),
        Admission::ByName | Admission::ByAccount => {}
    }
    let bounds = bounds_of(call.world, call.caller, &call.at);
    match bounds.decide_with(&question, by_name_at_home) {
        Decision::Allowed => Ok(role),
        decision => Err(refused(decision)),
    }
}

fn bounded_duration(call: &Call<'_>, role_allows: i64) -> Result<chrono::TimeDelta, AwsError> {
    let chained = matches!(call.caller.identity, Identity::Role { .. });
    let lasts = duration(call, 3_600, 43_200)?;
    if chained && lasts.num_seconds() > LONGEST_CHAINED {
        return Err(AwsError::validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by \
             role chaining",
        ));
    }
    if lasts.num_seconds() > role_allows {
        return Err(AwsError::validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    Ok(lasts)
}
