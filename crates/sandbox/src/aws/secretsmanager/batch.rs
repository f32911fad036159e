//! `BatchGetSecretValue`: many values at once, each with its own refusal.

use serde_json::{Value, json};

use super::input::invalid;
use super::search::Filters;
use super::{SmCall, refusals, value};
use crate::aws::error::AwsError;
use crate::aws::paging::cut;

const MOST: i64 = 20;

pub(super) fn get(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    call.permit_on("*")?;
    let (listed, filtered) =
        (call.input.get("SecretIdList").is_some(), call.input.get("Filters").is_some());
    if listed == filtered {
        return Err(invalid("You must specify either SecretIdList or Filters, but not both."));
    }
    let (ids, token) = if listed { (listed_ids(call)?, None) } else { matching(call)? };
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for id in ids {
        match read(call, &id) {
            Ok(value) => values.push(value),
            Err(error) => errors.push(json!({
                "SecretId": id,
                "ErrorCode": error.code,
                "Message": error.message,
            })),
        }
    }
    "*".clone_into(&mut call.trace.resource);
    let mut reply = json!({ "SecretValues": values, "Errors": errors });
    if let Some(token) = token {
        reply["NextToken"] = Value::String(token);
    }
    Ok(reply)
}

fn listed_ids(call: &SmCall<'_>) -> Result<Vec<String>, AwsError> {
    if call.input.get("MaxResults").is_some() || call.input.get("NextToken").is_some() {
        return Err(invalid("MaxResults and NextToken can only be used with Filters."));
    }
    let ids = call.input.texts("SecretIdList")?;
    if !(1..=20).contains(&ids.len()) {
        return Err(invalid(format!("SecretIdList must have 1 to {MOST} entries")));
    }
    Ok(ids.into_iter().map(str::to_owned).collect())
}

/// The ARNs of a page of the secrets that the filters admit, and the token of the next one.
fn matching(call: &SmCall<'_>) -> Result<(Vec<String>, Option<String>), AwsError> {
    let filters = Filters::read(call.input)?;
    let size = call.input.page_size(MOST)?.min(call.world.settings.page_size);
    let after = call.input.after()?;
    let secrets = &call.world.account(&call.caller.account)?.secrets;
    let mut found: Vec<_> = secrets
        .by_age(&call.caller.region, None)
        .filter(|secret| secret.deleted.is_none() && filters.admit(secret))
        .filter(|secret| after.as_ref().is_none_or(|after| secret.name > *after))
        .map(|secret| (secret.name.clone(), secret.arn.clone()))
        .collect();
    found.sort();
    let page = cut(found.into_iter(), size);
    let token = page.token();
    Ok((page.items, token))
}

fn read(call: &mut SmCall<'_>, id: &str) -> Result<Value, AwsError> {
    let place = call.find(id, "GetSecretValue")?;
    if call.secret(&place)?.deleted.is_some() {
        return Err(refusals::scheduled_for_deletion());
    }
    value::read(call, &place, None, None)
}
