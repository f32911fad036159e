//! Conditions of a statement, and the context they are asked of.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::document::malformed;
use super::pattern;
use crate::aws::error::AwsError;

/// What is known of a call: condition keys (in lower case) and their values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Context(BTreeMap<String, Vec<String>>);

impl Context {
    pub(crate) fn put(&mut self, key: &str, value: impl Into<String>) {
        self.0.entry(key.to_ascii_lowercase()).or_default().push(value.into());
    }

    pub(crate) fn get(&self, key: &str) -> Option<&[String]> {
        self.0.get(key).map(Vec::as_slice)
    }

    /// Puts values in the place of `${key}`.
    pub(crate) fn fill_variables<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !text.contains("${") {
            return Cow::Borrowed(text);
        }
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            filled.push_str(before);
            let Some((name, tail)) = after.split_once('}') else {
                filled.push_str("${");
                rest = after;
                continue;
            };
            match self.get(&name.to_ascii_lowercase()).and_then(<[String]>::first) {
                Some(value) => filled.push_str(value),
                None => filled.extend(["${", name, "}"]),
            }
            rest = tail;
        }
        filled.push_str(rest);
        Cow::Owned(filled)
    }
}

/// One operator on one key.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    test: Test,
    /// The test must fail for every value (`StringNotEquals` and its kind).
    negated: bool,
    /// An absent key counts as a match.
    if_exists: bool,
    quantifier: Quantifier,
    key: String,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    Single,
    AnyValue,
    AllValues,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Equals,
    EqualsIgnoringCase,
    Like,
    Numeric(Order),
    Date(Order),
    Bool,
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Same,
    Less,
    LessOrSame,
    Greater,
    GreaterOrSame,
}

impl Condition {
    pub(super) fn parse_all(value: Option<&Value>) -> Result<Vec<Self>, AwsError> {
        let Some(value) = value else {
            return Ok(Vec::new());
        };
        let operators = value.as_object().ok_or_else(|| malformed("Syntax errors in policy."))?;
        let mut conditions = Vec::new();
        for (operator, keys) in operators {
            let keys = keys.as_object().ok_or_else(|| malformed("Syntax errors in policy."))?;
            for (key, values) in keys {
                conditions.push(Self::parse(operator, key, values)?);
            }
        }
        Ok(conditions)
    }

    fn parse(operator: &str, key: &str, values: &Value) -> Result<Self, AwsError> {
        if !key.contains(':') {
            return Err(malformed(format!("Condition key {key} must be prefaced by a vendor")));
        }
        let (quantifier, name) = match operator.split_once(':') {
            Some(("ForAnyValue", name)) => (Quantifier::AnyValue, name),
            Some(("ForAllValues", name)) => (Quantifier::AllValues, name),
            _ => (Quantifier::Single, operator),
        };
        let (name, if_exists) = match name.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let (test, negated) = operator_named(name).ok_or_else(|| {
            malformed(format!("the sandbox does not evaluate the condition operator {operator}"))
        })?;
        let values = scalars(values)?;
        if let Some(bad) = values.iter().find(|value| !test.accepts(value)) {
            return Err(malformed(format!("Invalid value {bad} for {operator}")));
        }
        let key = key.to_ascii_lowercase();
        Ok(Self { test, negated, if_exists, quantifier, key, values })
    }

    /// Whether it holds for chosen callers only, whoever else there is.
    pub(super) fn narrows_who(&self) -> bool {
        const KEYS: [&str; 9] = [
            "aws:principalaccount",
            "aws:principalarn",
            "aws:principalorgid",
            "aws:principalorgpaths",
            "aws:sourceaccount",
            "aws:sourcearn",
            "aws:sourcevpc",
            "aws:sourcevpce",
            "aws:userid",
        ];
        let tests = matches!(self.test, Test::Equals | Test::EqualsIgnoringCase | Test::Like);
        let open = self.values.iter().any(|value| value.contains('*') || value.contains('?'));
        let every = self.quantifier == Quantifier::AllValues;
        KEYS.contains(&self.key.as_str())
            && tests
            && !self.negated
            && !self.if_exists
            && !open
            && !every
    }

    pub(crate) fn holds(&self, context: &Context) -> bool {
        let found = context.get(&self.key);
        if self.test == Test::Null {
            let wanted = self.values.iter().any(|value| value.eq_ignore_ascii_case("true"));
            return found.is_none() == wanted;
        }
        let Some(found) = found else {
            let vacuous = self.quantifier == Quantifier::AllValues;
            return self.if_exists
                || vacuous
                || (self.negated && self.quantifier == Quantifier::Single);
        };
        let mut hits = found.iter().map(|value| self.hits(value, context));
        match self.quantifier {
            Quantifier::AllValues => hits.all(|hit| hit),
            Quantifier::Single if self.negated => hits.all(|hit| hit),
            Quantifier::Single | Quantifier::AnyValue => hits.any(|hit| hit),
        }
    }

    fn hits(&self, value: &str, context: &Context) -> bool {
        let any = self
            .values
            .iter()
            .any(|wanted| self.test.passes(value, &context.fill_variables(wanted)));
        any != self.negated
    }
}

impl Test {
    /// Whether `value` can be compared by this test at all.
    fn accepts(self, value: &str) -> bool {
        match self {
            Test::Numeric(_) => value.parse::<f64>().is_ok(),
            Test::Date(_) => time(value).is_some(),
            Test::Bool | Test::Null => {
                value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
            }
            Test::Equals | Test::EqualsIgnoringCase | Test::Like => true,
        }
    }

    fn passes(self, found: &str, wanted: &str) -> bool {
        match self {
            Test::Equals => found == wanted,
            Test::EqualsIgnoringCase | Test::Bool => found.eq_ignore_ascii_case(wanted),
            Test::Like => pattern::matches(wanted, found),
            Test::Numeric(order) => match (found.parse::<f64>(), wanted.parse::<f64>()) {
                (Ok(found), Ok(wanted)) => order.admits(found.partial_cmp(&wanted)),
                _ => false,
            },
            Test::Date(order) => match (time(found), time(wanted)) {
                (Some(found), Some(wanted)) => order.admits(Some(found.cmp(&wanted))),
                _ => false,
            },
            Test::Null => false,
        }
    }
}

impl Order {
    fn admits(self, ordering: Option<std::cmp::Ordering>) -> bool {
        ordering.is_some_and(|ordering| match self {
            Order::Same => ordering.is_eq(),
            Order::Less => ordering.is_lt(),
            Order::LessOrSame => ordering.is_le(),
            Order::Greater => ordering.is_gt(),
            Order::GreaterOrSame => ordering.is_ge(),
        })
    }
}

/// The operator's test, and whether it is the test's opposite.
fn operator_named(name: &str) -> Option<(Test, bool)> {
    let ordered = |suffix: &str| match suffix {
        "Equals" => Some((Order::Same, false)),
        "NotEquals" => Some((Order::Same, true)),
        "LessThan" => Some((Order::Less, false)),
        "LessThanEquals" => Some((Order::LessOrSame, false)),
        "GreaterThan" => Some((Order::Greater, false)),
        "GreaterThanEquals" => Some((Order::GreaterOrSame, false)),
        _ => None,
    };
    if let Some(suffix) = name.strip_prefix("Numeric") {
        return ordered(suffix).map(|(order, negated)| (Test::Numeric(order), negated));
    }
    if let Some(suffix) = name.strip_prefix("Date") {
        return ordered(suffix).map(|(order, negated)| (Test::Date(order), negated));
    }
    Some(match name {
        "StringEquals" => (Test::Equals, false),
        "StringNotEquals" => (Test::Equals, true),
        "StringEqualsIgnoreCase" => (Test::EqualsIgnoringCase, false),
        "StringNotEqualsIgnoreCase" => (Test::EqualsIgnoringCase, true),
        "StringLike" | "ArnLike" | "ArnEquals" => (Test::Like, false),
        "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => (Test::Like, true),
        "Bool" => (Test::Bool, false),
        "Null" => (Test::Null, false),
        _ => return None,
    })
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(seconds) = text.parse::<i64>() {
        return DateTime::from_timestamp(seconds, 0);
    }
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc))
}

/// Condition values may be strings, numbers or booleans.
fn scalars(value: &Value) -> Result<Vec<String>, AwsError> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    items
        .iter()
        .map(|item| match item {
            Value::Bool(flag) => Ok(flag.to_string()),
            Value::Number(number) => Ok(number.to_string()),
            Value::String(text) => Ok(text.clone()),
            _ => Err(malformed("Syntax errors in policy.")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(condition: &str, facts: &[(&str, &str)]) -> bool {
        let value: Value = serde_json::from_str(condition).unwrap();
        let mut context = Context::default();
        for (key, value) in facts {
            context.put(key, *value);
        }
        Condition::parse_all(Some(&value)).unwrap().iter().all(|it| it.holds(&context))
    }

    #[test]
    fn operators_compare_as_their_names_say() {
        let user = [("aws:username", "eve")];
        assert!(holds(r#"{"StringEquals":{"aws:UserName":["bob","eve"]}}"#, &user));
        assert!(!holds(r#"{"StringNotEquals":{"aws:username":["bob","eve"]}}"#, &user));
        assert!(holds(r#"{"StringLike":{"aws:username":"e*"}}"#, &user));
        assert!(holds(r#"{"NumericLessThan":{"s:n":"10"}}"#, &[("s:n", "9")]));
        assert!(!holds(r#"{"NumericLessThan":{"s:n":10}}"#, &[("s:n", "10")]));
        assert!(holds(
            r#"{"Bool":{"aws:SecureTransport":false}}"#,
            &[("aws:securetransport", "false")]
        ));
    }

    #[test]
    fn an_absent_key_matches_only_where_aws_says_so() {
        assert!(!holds(r#"{"StringEquals":{"a:b":"c"}}"#, &[]));
        assert!(holds(r#"{"StringNotEquals":{"a:b":"c"}}"#, &[]));
        assert!(holds(r#"{"StringEqualsIfExists":{"a:b":"c"}}"#, &[]));
        assert!(holds(r#"{"Null":{"a:b":"true"}}"#, &[]));
        assert!(!holds(r#"{"Null":{"a:b":"false"}}"#, &[]));
        assert!(!holds(r#"{"DateLessThan":{"aws:TokenIssueTime":"2026-01-01T00:00:00Z"}}"#, &[]));
    }

    #[test]
    fn an_operator_that_is_not_evaluated_is_refused() {
        let value: Value =
            serde_json::from_str(r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#).unwrap();
        assert!(Condition::parse_all(Some(&value)).is_err());
    }
}
