//! Reading the sandbox's log.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use severance_sandbox::aws::CallRecord;

/// The calls that were signed with this key.
pub fn by<'a>(
    calls: &'a [CallRecord],
    access_key_id: &'a str,
) -> impl Iterator<Item = &'a CallRecord> {
    calls.iter().filter(move |call| call.access_key_id == access_key_id)
}

/// Whether a call deactivated an access key.
pub fn deactivates(call: &CallRecord) -> bool {
    call.operation == "UpdateAccessKey" && call.changed
}

/// When each key was first deactivated.
pub fn first_deactivations(calls: &[CallRecord]) -> HashMap<&str, DateTime<Utc>> {
    let mut first = HashMap::new();
    for call in calls.iter().filter(|call| deactivates(call)) {
        if let Some(key) = call.subject.as_deref() {
            let at = first.entry(key).or_insert(call.finished);
            *at = call.finished.min(*at);
        }
    }
    first
}

/// How often each operation was called.
pub fn count<'a>(calls: impl IntoIterator<Item = &'a CallRecord>) -> HashMap<&'a str, usize> {
    let mut counts = HashMap::new();
    for call in calls {
        *counts.entry(call.operation.as_str()).or_default() += 1;
    }
    counts
}
