//! The deny documents: what is written, and what a document read back still says.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use severance_lifecycle::action::{DenyHandle, DenyPurpose, DenyScope};

/// The names of the two statements. AWS allows letters and digits in a `Sid`.
const SESSIONS: &str = "SeveranceSessions";
const EVERYTHING: &str = "SeveranceEverything";

/// The document of a deny. Kept small: the inline policies of a user total 2,048 characters.
pub(crate) fn document(scope: DenyScope) -> Value {
    json!({"Version": "2012-10-17", "Statement": [statement(scope)]})
}

/// The one statement of a deny (AWS: IAM User Guide, "Revoke IAM role temporary security credentials").
fn statement(scope: DenyScope) -> Value {
    match scope {
        DenyScope::Everything => {
            json!({"Sid": EVERYTHING, "Effect": "Deny", "Action": "*", "Resource": "*"})
        }
        DenyScope::SessionsBefore(cutoff) => json!({
            "Sid": SESSIONS, "Effect": "Deny", "Action": "*", "Resource": "*",
            "Condition": {"DateLessThan": {"aws:TokenIssueTime": cutoff_text(cutoff)}}
        }),
    }
}

/// The cutoff to the second, rounded up: IAM compares with the second of issue, and one that is cut
/// off downwards would let the sessions of that second live.
fn cutoff_text(cutoff: DateTime<Utc>) -> String {
    let whole = cutoff.timestamp() + i64::from(cutoff.timestamp_subsec_nanos() > 0);
    DateTime::from_timestamp(whole, 0).unwrap_or(cutoff).format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What a document denies, where it is exactly what we would write for that purpose; `None` where
/// somebody edited it.
pub(crate) fn scope(document: &Value, purpose: DenyPurpose) -> Option<DenyScope> {
    let found = match purpose {
        DenyPurpose::Everything => DenyScope::Everything,
        DenyPurpose::Sessions => {
            let only = statements(document).next()?;
            let cutoff = only.pointer("/Condition/DateLessThan/aws:TokenIssueTime")?.as_str()?;
            DenyScope::SessionsBefore(cutoff.parse().ok()?)
        }
    };
    (*document == self::document(found)).then_some(found)
}

/// Whether a document is a deny of ours, of whichever case.
pub(crate) fn is_ours(document: &Value) -> bool {
    [DenyPurpose::Sessions, DenyPurpose::Everything]
        .into_iter()
        .any(|purpose| scope(document, purpose).is_some())
}

/// A boundary that keeps what the old one said and denies everything besides. An old boundary's own
/// denies and allows stay, so that taking ours off again changes nothing else.
pub(crate) fn boundary(old: Option<&Value>) -> Value {
    let mut list: Vec<Value> = old.into_iter().flat_map(statements).cloned().collect();
    list.retain(|kept| kept.get("Sid").and_then(Value::as_str) != Some(EVERYTHING));
    list.push(statement(DenyScope::Everything));
    json!({"Version": "2012-10-17", "Statement": list})
}

/// A boundary that bounds nothing: what a user without one has.
pub(crate) fn open_boundary() -> Value {
    let all = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    json!({"Version": "2012-10-17", "Statement": [all]})
}

/// Whether a boundary holds our deny of everything, untouched.
pub(crate) fn boundary_denies(document: &Value) -> bool {
    let ours = statement(DenyScope::Everything);
    statements(document).any(|found| *found == ours)
}

/// The name of the managed policy of a deny. It carries the identity's unique id, because one case may
/// deny many identities of an account and each has a cutoff of its own; names of managed policies are
/// unique in an account whatever their path.
pub(crate) fn managed_name(handle: &DenyHandle, unique_id: &str) -> String {
    format!("{}-{unique_id}", handle.policy_name())
}

fn statements(document: &Value) -> impl Iterator<Item = &Value> {
    match document.get("Statement") {
        Some(Value::Array(list)) => list.iter(),
        Some(one) => std::slice::from_ref(one).iter(),
        None => [].iter(),
    }
}

#[cfg(test)]
mod tests {
    use severance_lifecycle::action::DenyPlace;
    use severance_lifecycle::ids::CaseId;

    use super::*;

    fn cutoff() -> DateTime<Utc> {
        "2026-03-04T05:06:07Z".parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_with_its_cutoff() {
        let scope_of = DenyScope::SessionsBefore(cutoff());
        let written = document(scope_of);
        assert_eq!(scope(&written, DenyPurpose::Sessions), Some(scope_of));
        assert_eq!(scope(&written, DenyPurpose::Everything), None);
        let all = document(DenyScope::Everything);
        assert_eq!(scope(&all, DenyPurpose::Everything), Some(DenyScope::Everything));
        assert_eq!(scope(&all, DenyPurpose::Sessions), None);
    }

    #[test]
    fn an_edited_deny_no_longer_counts() {
        for pointer in ["/Statement/0/Effect", "/Statement/0/Action", "/Statement/0/Resource"] {
            let mut edited = document(DenyScope::SessionsBefore(cutoff()));
            *edited.pointer_mut(pointer).unwrap() = json!("other");
            assert_eq!(scope(&edited, DenyPurpose::Sessions), None, "{pointer}");
        }
        let mut added = document(DenyScope::Everything);
        added["Statement"].as_array_mut().unwrap().push(json!({"Effect": "Allow"}));
        assert_eq!(scope(&added, DenyPurpose::Everything), None);
        let mut narrowed = document(DenyScope::Everything);
        narrowed["Statement"][0]["Condition"] = json!({"Bool": {"aws:SecureTransport": "false"}});
        assert_eq!(scope(&narrowed, DenyPurpose::Everything), None);
    }

    #[test]
    fn a_cutoff_between_seconds_is_rounded_up() {
        let between = cutoff() + chrono::TimeDelta::milliseconds(1);
        assert_eq!(cutoff_text(between), "2026-03-04T05:06:08Z");
        assert_eq!(cutoff_text(cutoff()), "2026-03-04T05:06:07Z");
    }

    #[test]
    fn a_deny_takes_little_of_the_inline_budget() {
        assert!(document(DenyScope::SessionsBefore(cutoff())).to_string().len() < 256);
    }

    #[test]
    fn a_boundary_keeps_the_old_one_and_denies_besides_and_putting_it_twice_adds_nothing() {
        let old = json!({"Version": "2012-10-17", "Statement":
            {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}});
        let ours = boundary(Some(&old));
        assert_eq!(ours["Statement"].as_array().unwrap().len(), 2);
        assert_eq!(ours["Statement"][0], old["Statement"]);
        assert!(boundary_denies(&ours) && !boundary_denies(&old));
        assert_eq!(boundary(Some(&ours)), ours);
        assert!(boundary_denies(&boundary(None)));
    }

    #[test]
    fn managed_names_of_two_users_in_one_case_differ_and_fit() {
        let handle = DenyHandle {
            case: CaseId::from("c-0123456789abcdef"),
            purpose: DenyPurpose::Everything,
            place: DenyPlace::Managed,
        };
        let name = managed_name(&handle, "AIDAABCDEFGHIJKLMNOP2");
        assert_ne!(name, managed_name(&handle, "AIDAABCDEFGHIJKLMNOP3"));
        assert!(name.len() <= 128, "AWS: IAM quotas, 128 characters for a policy name");
    }
}
