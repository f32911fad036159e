//! `ListSecretVersionIds`.

use serde_json::{Value, json};

use super::SmCall;
use super::describe::seconds;
use crate::aws::error::AwsError;
use crate::aws::paging::cut;

pub(super) fn list(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    let place = call.any()?;
    let deprecated = call.input.flag("IncludeDeprecated")?.unwrap_or(false);
    let size = call.input.page_size(100)?.min(call.world.settings.page_size);
    let after = call.input.after()?;
    let secret = call.secret(&place)?;
    let labels = secret.content.labels.latest();
    let mut versions: Vec<_> = secret
        .content
        .versions
        .iter()
        .filter(|(id, _)| deprecated || !labels.of(id).is_empty())
        .map(|(id, version)| {
            // Oldest first; the token is the key of the last one shown.
            (format!("{:020}/{id}", version.created.timestamp_micros()), (id, version))
        })
        .filter(|(key, _)| after.as_ref().is_none_or(|after| key > after))
        .collect();
    versions.sort_by(|left, right| left.0.cmp(&right.0));
    let page = cut(versions.into_iter(), size);
    let shown = page.items.iter().map(|(id, version)| {
        let key = version.kms_key.as_deref().unwrap_or("DefaultEncryptionKey");
        let mut entry = json!({
            "VersionId": id,
            "VersionStages": labels.of(id),
            "CreatedDate": seconds(version.created),
            "KmsKeyIds": [key],
        });
        if let Some(accessed) = version.accessed {
            entry["LastAccessedDate"] = seconds(accessed);
        }
        entry
    });
    let mut reply = json!({
        "ARN": secret.arn,
        "Name": secret.name,
        "Versions": shown.collect::<Vec<_>>(),
    });
    if let Some(token) = page.token() {
        reply["NextToken"] = Value::String(token);
    }
    Ok(reply)
}
