//! `SimulatePrincipalPolicy`, by the same engine that enforces.

use std::sync::Arc;

use crate::aws::authorize::{Bounds, Decision, Seen, bounds_of_role, bounds_of_user};
use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::paging::page_of;
use crate::aws::policy::{Context, Document, Kind, Question};
use crate::aws::xml::{Xml, iso};

pub(crate) const OPERATIONS: &[Operation] = &[Operation::read(
    "SimulatePrincipalPolicy",
    Target::Any,
    &[
        "PolicySourceArn",
        "ActionNames",
        "ResourceArns",
        "PolicyInputList",
        "PermissionsBoundaryPolicyInputList",
        "ContextEntries",
        "CallerArn",
        "Marker",
        "MaxItems",
    ],
    simulate,
)];

fn simulate(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let source = call.params.required("PolicySourceArn")?;
    let bounds = bounds(call, source)?;
    let context = context(call, source)?;
    let actions = call.params.list("ActionNames");
    if actions.is_empty() {
        return Err(AwsError::new(400, "InvalidInput", "ActionNames must not be empty"));
    }
    let mut resources = call.params.list("ResourceArns");
    if resources.is_empty() {
        resources.push("*");
    }
    let pairs = actions.iter().flat_map(|action| resources.iter().map(move |it| (*action, *it)));
    let pairs = pairs.enumerate().map(|(place, pair)| (format!("{place:08}"), pair));
    let page = page_of(call.params, call.world.settings.page_size, pairs)?;
    let mut xml = Xml::default();
    xml.list("EvaluationResults", &page.items, |xml, (action, resource)| {
        let question = Question { action, resource, context: &context };
        let decision = match bounds.decide(&question) {
            Decision::Allowed => "allowed",
            Decision::ExplicitDeny => "explicitDeny",
            Decision::ImplicitDeny => "implicitDeny",
        };
        xml.text("EvalActionName", action).text("EvalResourceName", resource);
        xml.text("EvalDecision", decision);
        xml.nest("MatchedStatements", |_| {}).nest("MissingContextValues", |_| {});
    });
    page.close(&mut xml);
    Ok(xml)
}

/// The policies of the user or role as the control plane shows them, with those of the call.
fn bounds(call: &Call<'_>, source: &str) -> Result<Bounds, AwsError> {
    let missing = || AwsError::no_such_entity(format!("{source} cannot be found."));
    let account = call.account()?;
    let name = source.rsplit('/').next().unwrap_or_default();
    let user = account.users.named(name).filter(|it| it.arn() == source);
    let role = account.roles.named(name).filter(|it| it.arn() == source);
    let mut bounds = match (user, role) {
        (Some(user), _) => bounds_of_user(call.world, &account.id, &user.id, Seen::Latest),
        (None, Some(role)) => bounds_of_role(call.world, &account.id, &role.id, Seen::Latest),
        (None, None) => return Err(missing()),
    };
    let more = documents(&call.params.list("PolicyInputList"))?;
    bounds.identity.get_or_insert_default().extend(more);
    let boundary = documents(&call.params.list("PermissionsBoundaryPolicyInputList"))?;
    if !boundary.is_empty() {
        bounds.boundary = Some(boundary);
    }
    Ok(bounds)
}

fn documents(texts: &[&str]) -> Result<Vec<Arc<Document>>, AwsError> {
    texts.iter().map(|text| Document::parse(text, Kind::Identity).map(Arc::new)).collect()
}

fn context(call: &Call<'_>, source: &str) -> Result<Context, AwsError> {
    let mut context = Context::default();
    context.put("aws:CurrentTime", iso(call.at.now));
    context.put("aws:PrincipalArn", source);
    context.put("aws:PrincipalAccount", &call.caller.account);
    if source.contains(":user/") {
        context.put("aws:username", source.rsplit('/').next().unwrap_or_default());
    }
    for entry in call.params.structs("ContextEntries") {
        let key = entry.required("ContextKeyName")?;
        for value in entry.list("ContextKeyValues") {
            context.put(key, value);
        }
    }
    Ok(context)
}
