//! Tags of secrets.

use serde_json::{Value, json};

use super::SmCall;
use crate::aws::error::AwsError;

pub(super) fn tag(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let tags = call.input.tags()?;
    call.secret()?.tags.extend(tags);
    Ok(json!({}))
}

pub(super) fn untag(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let keys: Vec<&str> = call.input.list("TagKeys").iter().filter_map(Value::as_str).collect();
    call.secret()?.tags.retain(|key, _| !keys.contains(&key.as_str()));
    Ok(json!({}))
}
