//! Principals of a trust policy or a resource policy: whom it speaks of.

use serde_json::Value;

use super::document::{Document, Effect, malformed, strings};
use super::evaluate::Question;
use super::pattern;
use crate::aws::error::AwsError;

/// One principal of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Principal {
    /// `*`.
    Anyone,
    /// An account, by its number or its root's ARN: whoever that account lets in.
    Account(String),
    /// A session by its ARN, or a user or role that could not be tied to an id.
    Arn(String),
    /// A user or role by its unique id, which outlives its name.
    Id(String),
    /// An AWS service.
    Service(String),
    /// An identity provider.
    Federated(String),
}

impl Principal {
    pub(super) fn parse_all(value: &Value) -> Result<Vec<Self>, AwsError> {
        let object = match value {
            Value::String(all) if all == "*" => return Ok(vec![Self::Anyone]),
            Value::Object(object) => object,
            other => return Err(malformed(format!("Invalid principal in policy: {other}"))),
        };
        let mut principals = Vec::new();
        for (kind, value) in object {
            for name in strings(value)? {
                principals.push(Self::parse(kind, &name)?);
            }
        }
        if principals.is_empty() {
            return Err(malformed("Invalid principal in policy: it names nobody"));
        }
        Ok(principals)
    }

    fn parse(kind: &str, name: &str) -> Result<Self, AwsError> {
        let invalid = || malformed(format!("Invalid principal in policy: \"{kind}\":\"{name}\""));
        match kind {
            "Service" if name.contains('.') => Ok(Self::Service(name.to_owned())),
            "Federated" if !name.is_empty() => Ok(Self::Federated(name.to_owned())),
            "AWS" => Self::parse_aws(name).ok_or_else(invalid),
            _ => Err(invalid()),
        }
    }

    fn parse_aws(name: &str) -> Option<Self> {
        if name == "*" {
            return Some(Self::Anyone);
        }
        if is_account(name) {
            return Some(Self::Account(name.to_owned()));
        }
        if name.starts_with("AIDA") || name.starts_with("AROA") {
            return Some(Self::Id(name.to_owned()));
        }
        let parts: Vec<&str> = name.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", _, "iam", "", account, "root"] if is_account(account) => {
                Some(Self::Account((*account).to_owned()))
            }
            ["arn", _, "iam" | "sts", "", account, _]
                if is_account(account) && !name.contains('*') =>
            {
                Some(Self::Arn(name.to_owned()))
            }
            _ => None,
        }
    }
}

fn is_account(name: &str) -> bool {
    name.len() == 12 && name.bytes().all(|it| it.is_ascii_digit())
}

/// Who asks to be let in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asker {
    pub(crate) account: String,
    /// The caller's own ARN: a user's, or a session's.
    pub(crate) arn: String,
    /// The unique id of the user or role behind it.
    pub(crate) id: String,
}

/// What a trust or resource policy says to an asker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// A statement denies it.
    Denied,
    /// It is let in by name: within one account nothing else is needed.
    ByName,
    /// Its account is let in: its own policies must allow it too.
    ByAccount,
    /// No statement speaks of it.
    Unmentioned,
}

/// Asks a trust or resource policy whether `asker` may do what is asked.
pub(crate) fn admits(document: &Document, asker: &Asker, question: &Question<'_>) -> Admission {
    let mut admission = Admission::Unmentioned;
    for statement in &document.statements {
        if !statement.speaks_of(question) {
            continue;
        }
        let by_name = statement.principals.iter().any(|it| names(it, asker));
        let by_account =
            statement.principals.iter().any(|it| *it == Principal::Account(asker.account.clone()));
        match (statement.effect, by_name, by_account) {
            (Effect::Deny, true, _) | (Effect::Deny, _, true) => return Admission::Denied,
            (Effect::Allow, true, _) => admission = Admission::ByName,
            (Effect::Allow, false, true) if admission == Admission::Unmentioned => {
                admission = Admission::ByAccount;
            }
            _ => {}
        }
    }
    admission
}

fn names(principal: &Principal, asker: &Asker) -> bool {
    match principal {
        Principal::Anyone => true,
        Principal::Arn(arn) => pattern::matches(arn, &asker.arn),
        Principal::Id(id) => *id == asker.id,
        Principal::Account(_) | Principal::Service(_) | Principal::Federated(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::condition::Context;
    use super::super::document::Kind;
    use super::*;

    fn asker() -> Asker {
        Asker {
            account: "111111111111".to_owned(),
            arn: "arn:aws:iam::111111111111:user/eve".to_owned(),
            id: "AIDAEVE".to_owned(),
        }
    }

    fn ask_document(document: &Document) -> Admission {
        let context = Context::default();
        let question = Question { action: "sts:AssumeRole", resource: "role", context: &context };
        admits(document, &asker(), &question)
    }

    fn ask(principal: &str) -> Admission {
        let text = format!(
            r#"{{"Statement":{{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{principal}}}}}"#
        );
        let document = Document::parse(&text, Kind::Trust).unwrap();
        ask_document(&document)
    }

    #[test]
    fn principals_let_in_by_name_or_by_account() {
        assert_eq!(ask(r#""*""#), Admission::ByName);
        assert_eq!(ask(r#"{"AWS":"*"}"#), Admission::ByName);
        assert_eq!(ask(r#"{"AWS":"arn:aws:iam::111111111111:user/eve"}"#), Admission::ByName);
        assert_eq!(ask(r#"{"AWS":"arn:aws:iam::111111111111:user/bob"}"#), Admission::Unmentioned);
        assert_eq!(ask(r#"{"AWS":"AIDAEVE"}"#), Admission::ByName);
        assert_eq!(ask(r#"{"AWS":["AIDAGONE","111111111111"]}"#), Admission::ByAccount);
        assert_eq!(ask(r#"{"AWS":"arn:aws:iam::111111111111:root"}"#), Admission::ByAccount);
        assert_eq!(ask(r#"{"AWS":"arn:aws:iam::222222222222:root"}"#), Admission::Unmentioned);
        assert_eq!(ask(r#"{"Service":"ec2.amazonaws.com"}"#), Admission::Unmentioned);
    }

    #[test]
    fn a_deny_in_the_trust_policy_wins() {
        let text = r#"{"Statement":[
            {"Effect":"Allow","Action":"sts:AssumeRole","Principal":"*"},
            {"Effect":"Deny","Action":"sts:*","Principal":{"AWS":"111111111111"}}]}"#;
        let document = Document::parse(text, Kind::Trust).unwrap();
        assert_eq!(ask_document(&document), Admission::Denied);
    }

    #[test]
    fn a_wildcard_inside_an_arn_is_not_a_principal() {
        let text = r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole",
            "Principal":{"AWS":"arn:aws:iam::111111111111:user/*"}}}"#;
        assert!(Document::parse(text, Kind::Trust).is_err());
    }
}
