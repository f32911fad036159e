//! Reading a policy document, strictly.

use serde_json::{Map, Value};

use super::condition::Condition;
use super::principal::Principal;
use crate::aws::error::AwsError;

/// Where a document is attached, which decides what it may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// On a user, group or role, as a managed policy, a boundary or a session policy.
    Identity,
    /// A role's trust policy: it names principals and no resources.
    Trust,
    /// On a secret: it names principals and resources.
    Resource,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

/// A policy document as it was put, and what it says.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) text: String,
    pub(crate) statements: Vec<Statement>,
}

#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) sid: Option<String>,
    pub(crate) effect: Effect,
    pub(crate) principals: Vec<Principal>,
    pub(crate) actions: Patterns,
    pub(crate) resources: Patterns,
    pub(crate) conditions: Vec<Condition>,
}

/// `Action`/`NotAction`, `Resource`/`NotResource`.
#[derive(Debug, Clone)]
pub(crate) struct Patterns {
    pub(crate) negated: bool,
    pub(crate) patterns: Vec<String>,
}

impl Document {
    pub(crate) fn parse(text: &str, kind: Kind) -> Result<Self, AwsError> {
        let value: Value = serde_json::from_str(text)
            .map_err(|_| malformed("This policy contains invalid Json"))?;
        let object = value.as_object().ok_or_else(|| malformed("Syntax errors in policy."))?;
        known_keys(object, &["Version", "Id", "Statement"])?;
        if let Some(version) = object.get("Version")
            && !matches!(version.as_str(), Some("2012-10-17" | "2008-10-17"))
        {
            return Err(malformed("The policy has an invalid Version."));
        }
        let statements = match object.get("Statement") {
            Some(Value::Array(items)) => items.iter().collect(),
            Some(single @ Value::Object(_)) => vec![single],
            _ => return Err(malformed("Missing required field Statement")),
        };
        if statements.is_empty() {
            return Err(malformed("Syntax errors in policy."));
        }
        let statements = statements
            .into_iter()
            .map(|statement| Statement::parse(statement, kind))
            .collect::<Result<Vec<_>, _>>()?;
        refuse_repeated_sids(&statements)?;
        Ok(Self { text: text.to_owned(), statements })
    }

    /// Whether a statement allows every principal, and no condition narrows whom.
    pub(crate) fn is_public(&self) -> bool {
        self.statements.iter().any(|statement| {
            statement.effect == Effect::Allow
                && statement.principals.contains(&Principal::Anyone)
                && !statement.conditions.iter().any(Condition::narrows_who)
        })
    }

    /// The document's length as IAM's quotas count it: characters that are not white space.
    pub(crate) fn counted_size(text: &str) -> usize {
        text.chars().filter(|letter| !letter.is_whitespace()).count()
    }
}

impl Statement {
    fn parse(value: &Value, kind: Kind) -> Result<Self, AwsError> {
        let object = value.as_object().ok_or_else(|| malformed("Syntax errors in policy."))?;
        known_keys(
            object,
            &[
                "Sid",
                "Effect",
                "Principal",
                "NotPrincipal",
                "Action",
                "NotAction",
                "Resource",
                "NotResource",
                "Condition",
            ],
        )?;
        let effect = match object.get("Effect").and_then(Value::as_str) {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            Some(other) => return Err(malformed(format!("Invalid effect: {other}"))),
            None => return Err(malformed("Missing required field Effect")),
        };
        let actions = Patterns::parse(object, "Action", "NotAction")?
            .ok_or_else(|| malformed("Missing required field Action"))?;
        actions.patterns.iter().try_for_each(|action| check_action(action))?;
        Ok(Self {
            sid: object.get("Sid").and_then(Value::as_str).map(str::to_owned),
            effect,
            principals: parse_principals(object, kind)?,
            actions,
            resources: parse_resources(object, kind)?,
            conditions: Condition::parse_all(object.get("Condition"))?,
        })
    }
}

impl Patterns {
    fn anything() -> Self {
        Self { negated: false, patterns: vec!["*".to_owned()] }
    }

    fn parse(
        object: &Map<String, Value>,
        plain: &str,
        negated: &str,
    ) -> Result<Option<Self>, AwsError> {
        let (value, negated) = match (object.get(plain), object.get(negated)) {
            (Some(_), Some(_)) => {
                return Err(malformed(format!("Statement has both {plain} and {negated}")));
            }
            (Some(value), None) => (value, false),
            (None, Some(value)) => (value, true),
            (None, None) => return Ok(None),
        };
        let patterns = strings(value)?;
        if patterns.is_empty() {
            return Err(malformed(format!("{plain} cannot be empty")));
        }
        Ok(Some(Self { negated, patterns }))
    }
}

fn parse_principals(object: &Map<String, Value>, kind: Kind) -> Result<Vec<Principal>, AwsError> {
    if object.contains_key("NotPrincipal") {
        return Err(malformed("the sandbox does not evaluate NotPrincipal"));
    }
    match (object.get("Principal"), kind) {
        (None, Kind::Identity) => Ok(Vec::new()),
        (Some(_), Kind::Identity) => {
            Err(malformed("Policy document should not specify a principal."))
        }
        (None, Kind::Trust | Kind::Resource) => Err(malformed("Missing required field Principal")),
        (Some(value), Kind::Trust | Kind::Resource) => Principal::parse_all(value),
    }
}

fn parse_resources(object: &Map<String, Value>, kind: Kind) -> Result<Patterns, AwsError> {
    match (Patterns::parse(object, "Resource", "NotResource")?, kind) {
        (Some(_), Kind::Trust) => Err(malformed("Has prohibited field Resource")),
        (None, Kind::Trust) => Ok(Patterns::anything()),
        (None, Kind::Identity | Kind::Resource) => {
            Err(malformed("Policy statement must contain resources."))
        }
        (Some(resources), Kind::Identity | Kind::Resource) => {
            let bad = resources.patterns.iter().find(|it| *it != "*" && !it.starts_with("arn:"));
            match bad {
                Some(bad) => {
                    Err(malformed(format!("Resource {bad} must be in ARN format or \"*\".")))
                }
                None => Ok(resources),
            }
        }
    }
}

fn check_action(action: &str) -> Result<(), AwsError> {
    let well_formed = action == "*"
        || action.split_once(':').is_some_and(|(vendor, name)| {
            !vendor.is_empty()
                && !name.is_empty()
                && vendor.chars().all(|it| it.is_ascii_alphanumeric() || it == '-')
        });
    if well_formed {
        Ok(())
    } else {
        let message = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.";
        Err(malformed(message))
    }
}

fn refuse_repeated_sids(statements: &[Statement]) -> Result<(), AwsError> {
    let mut sids: Vec<_> = statements.iter().filter_map(|it| it.sid.as_deref()).collect();
    sids.sort_unstable();
    match sids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            let message =
                format!("Statement IDs (SID) in a single policy must be unique: {}", pair[0]);
            Err(malformed(message))
        }
        None => Ok(()),
    }
}

fn known_keys(object: &Map<String, Value>, known: &[&str]) -> Result<(), AwsError> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(unknown) => {
            Err(malformed(format!("Syntax errors in policy: unknown field {unknown}.")))
        }
        None => Ok(()),
    }
}

/// A string, or a list of strings.
pub(super) fn strings(value: &Value) -> Result<Vec<String>, AwsError> {
    let one = |value: &Value| {
        value.as_str().map(str::to_owned).ok_or_else(|| malformed("Syntax errors in policy."))
    };
    match value {
        Value::Array(items) => items.iter().map(one).collect(),
        single => Ok(vec![one(single)?]),
    }
}

pub(super) fn malformed(message: impl Into<String>) -> AwsError {
    AwsError::malformed_policy(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, kind: Kind) -> String {
        let error = Document::parse(text, kind).unwrap_err();
        assert_eq!(error.code, "MalformedPolicyDocument");
        error.message
    }

    #[test]
    fn what_iam_refuses_is_refused() {
        use Kind::{Identity, Trust};
        refused("not json", Identity);
        refused(r#"{"Statement":[]}"#, Identity);
        refused(r#"{"Statement":{"Effect":"Allow","Action":"GetUser","Resource":"*"}}"#, Identity);
        refused(r#"{"Statement":{"Effect":"Maybe","Action":"*","Resource":"*"}}"#, Identity);
        refused(r#"{"Statement":{"Effect":"Allow","Action":"*"}}"#, Identity);
        refused(r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"bucket"}}"#, Identity);
        refused(
            r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}}"#,
            Identity,
        );
        refused(r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole"}}"#, Trust);
        refused(
            r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":[]}}}"#,
            Trust,
        );
        refused(
            r#"{"Statement":[{"Sid":"a","Effect":"Deny","Action":"*","Resource":"*"},
                             {"Sid":"a","Effect":"Deny","Action":"*","Resource":"*"}]}"#,
            Identity,
        );
    }

    #[test]
    fn white_space_is_not_counted() {
        assert_eq!(Document::counted_size("{ \"a\" :\n1}"), 7);
    }
}
