//! Trust policies as documents: who may assume a role, taking principals out, putting them back.
//!
//! A trust policy belongs to its owner: every statement and every principal that is not removed
//! stays exactly as it is, in its order.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A principal that was taken out of a statement, with enough of the statement to put it back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RemovedPrincipal {
    /// The principal, for example `arn:aws:iam::111122223333:user/partner-ci`.
    pub principal: String,
    /// The statement that it was in, without its `Principal`, as canonical JSON.
    pub statement: String,
}

/// Whom a partner consists of, as principals of trust policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partner {
    /// Account ids: every principal of these accounts is the partner's, their roots included.
    pub accounts: BTreeSet<String>,
    /// Single principals: ARNs of users and roles, and unique ids (`AIDA…`, `AROA…`).
    pub principals: BTreeSet<String>,
}

/// What a trust policy says about a partner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustReading {
    /// The partner's principals that are in it, by statement.
    pub partner: Vec<RemovedPrincipal>,
    /// Ids of deleted identities that are in it, by statement. They let nobody in, and AWS refuses to
    /// save a document that holds one, so they go with whatever is taken out.
    pub stale: Vec<RemovedPrincipal>,
    /// Whether anyone else is in it (services included).
    pub others: bool,
    /// Whether some statement has only the partner's principals: it cannot be emptied, since an empty
    /// principal is not valid (AWS: IAM JSON policy elements, `Principal`).
    pub emptied: bool,
    /// Services that may assume the role.
    pub services: Vec<String>,
    /// Whether everyone may assume it, the partner among them: `*`, or all but others. Nobody can be taken
    /// out of that.
    pub everyone: bool,
    /// Principals that a person should know of: `*`, whole accounts, ids of deleted identities.
    pub suspicious: Vec<String>,
}

impl Partner {
    /// The partner with more principals.
    #[must_use]
    pub fn with(&self, principals: &BTreeSet<String>) -> Self {
        let mut all = self.clone();
        all.principals.extend(principals.iter().cloned());
        all
    }

    /// Whether nobody is known to be the partner's.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.principals.is_empty()
    }

    /// Whether a principal is the partner's.
    pub fn has(&self, principal: &str) -> bool {
        self.principals.contains(principal)
            || account_of(principal).is_some_and(|account| self.accounts.contains(account))
    }

    /// Whether all of it is among these principals; of an account its root stands for all in it.
    fn is_within(&self, principals: &[String]) -> bool {
        let whole = |account: &str| {
            principals.iter().any(|it| {
                account_of(it) == Some(account) && (it == account || it.ends_with(":root"))
            })
        };
        let single = |principal: &String| {
            principals.contains(principal) || account_of(principal).is_some_and(whole)
        };
        self.accounts.iter().all(|account| whole(account)) && self.principals.iter().all(single)
    }
}

/// Reads a trust policy.
pub fn read(trust: &Value, partner: &Partner) -> TrustReading {
    let mut reading = TrustReading::default();
    for statement in statements(trust) {
        if statement.get("Effect").and_then(Value::as_str) != Some("Allow") {
            continue;
        }
        let mut kept = 0;
        let mut taken = 0;
        for principal in aws_principals(statement) {
            reading.everyone |= principal == "*";
            if is_suspicious(&principal) && !reading.suspicious.contains(&principal) {
                reading.suspicious.push(principal.clone());
            }
            let framed =
                || RemovedPrincipal { principal: principal.clone(), statement: frame(statement) };
            if partner.has(&principal) {
                taken += 1;
                reading.partner.push(framed());
            } else if is_stale(&principal) {
                reading.stale.push(framed());
            } else {
                kept += 1;
            }
        }
        if let Some(excepted) = statement.get("NotPrincipal") {
            reading.everyone |= !partner.is_within(&texts(excepted.get("AWS")));
            // Everyone but those that it names: nobody can be taken out of it.
            reading.suspicious.push("everyone but its NotPrincipal".to_owned());
            kept += 1;
        }
        let others = other_principals(statement);
        kept += others.len();
        reading.services.extend(services(statement));
        reading.others |= kept > 0;
        reading.emptied |= taken > 0 && kept == 0;
    }
    reading
}

/// Everyone that a trust policy allows, as written, for a person to read.
pub fn principals(trust: &Value) -> Vec<String> {
    statements(trust)
        .filter(|statement| statement.get("Effect").and_then(Value::as_str) == Some("Allow"))
        .flat_map(|statement| {
            let mut all = aws_principals(statement);
            all.extend(other_principals(statement));
            all
        })
        .collect()
}

/// The document without the partner's principals. A statement that would be left without a principal
/// is taken out whole when another statement remains; `None` where nothing would remain (then only a
/// deny can close the route).
pub fn without(trust: &Value, removed: &[RemovedPrincipal]) -> Option<Value> {
    let mut document = trust.clone();
    let mut kept = Vec::new();
    for mut statement in statements(trust).cloned() {
        let gone: BTreeSet<&str> = removed
            .iter()
            .filter(|r| r.statement == frame(&statement))
            .map(|r| r.principal.as_str())
            .collect();
        if gone.is_empty() || take_out(&mut statement, &gone) {
            kept.push(statement);
        }
    }
    if kept.is_empty() {
        return None;
    }
    document["Statement"] = Value::Array(kept);
    Some(document)
}

/// The document with the principals put back: into the statement that they came from if it is still
/// there, else as that statement anew. What is there already is not put twice; the id of a deleted
/// identity stays out, since AWS would refuse the document.
pub fn with(trust: &Value, removed: &[RemovedPrincipal]) -> Value {
    let mut document = trust.clone();
    let mut list: Vec<Value> = statements(trust).cloned().collect();
    for back in removed.iter().filter(|back| !is_stale(&back.principal)) {
        let home = list.iter_mut().find(|s| frame(s) == back.statement && has_aws_or_none(s));
        if let Some(statement) = home {
            put_in(statement, &back.principal);
        } else if let Ok(mut statement) = serde_json::from_str::<Value>(&back.statement) {
            statement["Principal"] = json!({ "AWS": back.principal });
            list.push(statement);
        }
    }
    document["Statement"] = Value::Array(list);
    document
}

/// The statement without its `Principal`: what names it, since a `Sid` is optional.
fn frame(statement: &Value) -> String {
    let mut frame = statement.clone();
    if let Some(fields) = frame.as_object_mut() {
        fields.remove("Principal");
    }
    frame.to_string()
}

fn statements(trust: &Value) -> impl Iterator<Item = &Value> {
    match trust.get("Statement") {
        Some(Value::Array(list)) => list.iter(),
        Some(one) => std::slice::from_ref(one).iter(),
        None => [].iter(),
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// `"Principal": "*"` means the same as `{"AWS": "*"}`.
fn aws_principals(statement: &Value) -> Vec<String> {
    match statement.get("Principal") {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Object(kinds)) => texts(kinds.get("AWS")),
        _ => Vec::new(),
    }
}

fn services(statement: &Value) -> Vec<String> {
    texts(statement.get("Principal").and_then(|p| p.get("Service")))
}

/// Service, federated and canonical-user principals: never the partner's by account.
fn other_principals(statement: &Value) -> Vec<String> {
    match statement.get("Principal") {
        Some(Value::Object(kinds)) => {
            kinds.iter().filter(|(k, _)| *k != "AWS").flat_map(|(_, v)| texts(Some(v))).collect()
        }
        _ => Vec::new(),
    }
}

fn has_aws_or_none(statement: &Value) -> bool {
    statement.get("Principal").is_none_or(Value::is_object)
}

/// Takes principals out; `false` where none is left.
fn take_out(statement: &mut Value, gone: &BTreeSet<&str>) -> bool {
    let kept: Vec<String> =
        aws_principals(statement).into_iter().filter(|p| !gone.contains(p.as_str())).collect();
    let Some(kinds) = statement.get_mut("Principal").and_then(Value::as_object_mut) else {
        return !kept.is_empty();
    };
    match kept.len() {
        0 => {
            kinds.remove("AWS");
        }
        1 => {
            kinds.insert("AWS".into(), json!(kept[0]));
        }
        _ => {
            kinds.insert("AWS".into(), json!(kept));
        }
    }
    !kinds.is_empty()
}

fn put_in(statement: &mut Value, principal: &str) {
    let mut list = aws_principals(statement);
    if list.iter().any(|p| p == principal) {
        return;
    }
    list.push(principal.to_owned());
    let value = if list.len() == 1 { json!(list[0]) } else { json!(list) };
    statement["Principal"]["AWS"] = value;
}

/// The account in an ARN, or a bare account id (which AWS reads as that account's root).
fn account_of(principal: &str) -> Option<&str> {
    if principal.len() == 12 && principal.bytes().all(|b| b.is_ascii_digit()) {
        return Some(principal);
    }
    principal.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(3))
}

/// AWS shows a principal that was deleted as its unique id (AWS: IAM User Guide, "`Principal`").
fn is_stale(principal: &str) -> bool {
    principal.starts_with("AIDA") || principal.starts_with("AROA")
}

fn is_suspicious(principal: &str) -> bool {
    let whole_account = principal.ends_with(":root") || account_of(principal) == Some(principal);
    principal == "*" || is_stale(principal) || whole_account
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partner() -> Partner {
        Partner {
            accounts: BTreeSet::from(["999988887777".to_owned()]),
            principals: BTreeSet::from(["AROASTALEIDOFPARTNER".to_owned()]),
        }
    }

    #[allow(clippy::needless_pass_by_value, reason = "reads better at its many callers")]
    fn trust(principal: Value) -> Value {
        json!({"Version": "2012-10-17", "Statement": [
            {"Sid": "a", "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
        ]})
    }

    #[test]
    fn removing_keeps_everyone_else_and_putting_back_restores_the_document() {
        let before = trust(json!({"AWS": ["arn:aws:iam::111122223333:role/ours",
            "arn:aws:iam::999988887777:user/theirs"], "Service": "ec2.amazonaws.com"}));
        let reading = read(&before, &partner());
        assert_eq!(reading.partner.len(), 1);
        assert!(reading.others && !reading.emptied);
        assert_eq!(reading.services, ["ec2.amazonaws.com"]);
        let after = without(&before, &reading.partner).unwrap();
        assert_eq!(
            after["Statement"][0]["Principal"]["AWS"],
            json!("arn:aws:iam::111122223333:role/ours")
        );
        assert!(read(&after, &partner()).partner.is_empty());
        assert_eq!(with(&after, &reading.partner), before);
        assert_eq!(with(&before, &reading.partner), before, "putting back twice adds nothing");
    }

    #[test]
    fn the_last_principal_cannot_be_taken_out() {
        let only = trust(json!({"AWS": "arn:aws:iam::999988887777:root"}));
        let reading = read(&only, &partner());
        assert!(reading.emptied && !reading.others);
        assert_eq!(reading.suspicious, ["arn:aws:iam::999988887777:root"]);
        assert_eq!(without(&only, &reading.partner), None);
    }

    #[test]
    fn an_emptied_statement_goes_when_another_stays_and_comes_back_whole() {
        let mut two = trust(json!({"AWS": "999988887777"}));
        two["Statement"].as_array_mut().unwrap().push(json!({"Effect": "Allow",
            "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}));
        let reading = read(&two, &partner());
        let after = without(&two, &reading.partner).unwrap();
        assert_eq!(after["Statement"].as_array().unwrap().len(), 1);
        let back = with(&after, &reading.partner);
        assert_eq!(read(&back, &partner()).partner, reading.partner);
        assert_eq!(back["Statement"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn stars_and_stale_ids_are_named() {
        let star = read(&trust(json!("*")), &partner());
        assert_eq!(star.suspicious, ["*"]);
        assert!(star.others && star.everyone, "a star is not the partner's, it is everybody's");
        let stale =
            read(&trust(json!({"AWS": ["AROASTALEIDOFPARTNER", "AIDASOMEONEELSES"]})), &partner());
        assert_eq!(stale.suspicious.len(), 2);
        assert_eq!(stale.partner.len(), 1);
        assert!(!stale.everyone);
    }

    #[test]
    fn everyone_but_somebody_is_named_and_kept() {
        let mut document = trust(json!("*"));
        let statement = document["Statement"][0].as_object_mut().unwrap();
        statement.remove("Principal");
        statement.insert("NotPrincipal".into(), json!({"AWS": "999988887777"}));
        let reading = read(&document, &partner());
        assert_eq!(reading.suspicious.len(), 1);
        assert!(reading.others && reading.partner.is_empty());
        assert!(reading.everyone, "one of the partner is not excepted");
        let named = json!({"AWS": ["arn:aws:iam::999988887777:root", "AROASTALEIDOFPARTNER"]});
        document["Statement"][0]["NotPrincipal"] = named;
        assert!(!read(&document, &partner()).everyone, "all of the partner is excepted");
    }

    #[test]
    fn stale_ids_go_along_and_do_not_come_back() {
        let before =
            trust(json!({"AWS": ["AIDASOMEONEELSES", "arn:aws:iam::111122223333:role/ours",
            "arn:aws:iam::999988887777:user/theirs"]}));
        let reading = read(&before, &partner());
        assert_eq!((reading.partner.len(), reading.stale.len()), (1, 1));
        let removed: Vec<_> = reading.partner.into_iter().chain(reading.stale).collect();
        let after = without(&before, &removed).unwrap();
        assert_eq!(principals(&after), ["arn:aws:iam::111122223333:role/ours"]);
        let back = principals(&with(&after, &removed));
        assert!(back.contains(&"arn:aws:iam::999988887777:user/theirs".to_owned()));
        assert!(!back.contains(&"AIDASOMEONEELSES".to_owned()));
    }

    #[test]
    fn a_statement_alone_is_read_like_a_list_and_denies_are_left_alone() {
        let single = json!({"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {"AWS": "arn:aws:iam::999988887777:user/x"}}});
        assert_eq!(read(&single, &partner()).partner.len(), 1);
        let deny = json!({"Statement": {"Effect": "Deny", "Action": "*",
            "Principal": {"AWS": "arn:aws:iam::999988887777:user/x"}}});
        assert!(read(&deny, &partner()).partner.is_empty());
    }
}
