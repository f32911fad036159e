//! Tags of secrets.

use serde_json::{Value, json};

use super::SmCall;
use super::input::invalid;
use crate::aws::error::AwsError;
use crate::aws::state::Tags;

/// AWS: "AWS Secrets Manager quotas".
const MOST_TAGS: usize = 50;
const LONGEST_KEY: usize = 128;
const LONGEST_VALUE: usize = 256;

pub(super) fn tag(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let place = call.primary()?;
    let tags = call.input.tags()?;
    check(&tags)?;
    let now = call.at.now;
    let content = &mut call.secret_mut(&place)?.content;
    let mut next = content.tags.clone();
    next.extend(tags);
    check_count(&next)?;
    let changes = next != content.tags;
    if changes {
        (content.tags, content.changed) = (next, now);
    } else {
        call.unchanged();
    }
    Ok(json!({}))
}

pub(super) fn untag(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let place = call.primary()?;
    let keys = call.input.texts("TagKeys")?;
    let now = call.at.now;
    let content = &mut call.secret_mut(&place)?.content;
    let before = content.tags.len();
    content.tags.retain(|key, _| !keys.contains(&key.as_str()));
    if content.tags.len() == before {
        call.unchanged();
    } else {
        content.changed = now;
    }
    Ok(json!({}))
}

/// Refuses tags that no secret may have.
pub(super) fn check(tags: &Tags) -> Result<(), AwsError> {
    check_count(tags)?;
    for (key, value) in tags {
        if key.chars().count() > LONGEST_KEY || value.chars().count() > LONGEST_VALUE {
            return Err(invalid(format!(
                "A tag's key must have at most {LONGEST_KEY} characters, its value {LONGEST_VALUE}"
            )));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid("A tag's key must not begin with aws:"));
        }
    }
    Ok(())
}

fn check_count(tags: &Tags) -> Result<(), AwsError> {
    if tags.len() > MOST_TAGS {
        return Err(invalid(format!("A secret can have at most {MOST_TAGS} tags")));
    }
    Ok(())
}
