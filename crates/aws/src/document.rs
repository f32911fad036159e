//! Policy documents as IAM hands them out.

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// Reads a document. IAM percent-encodes it (AWS: IAM API reference, `GetUserPolicy`). `None` where
/// it is no JSON, which IAM itself would not have taken.
pub(crate) fn read(encoded: &str) -> Option<Value> {
    let text = percent_decode_str(encoded).decode_utf8().ok()?;
    serde_json::from_str(&text).ok()
}

/// Whether two trust policies say the same: IAM may hand out a list of one as a text and a list in
/// another order.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    canonical(left) == canonical(right)
}

/// Texts as lists of one, lists of texts sorted; statements keep their order.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let inner = |(key, field): (&String, &Value)| {
                let field = match (key.as_str(), canonical(field)) {
                    ("Version" | "Sid" | "Effect" | "Id", kept) => kept,
                    ("Statement", one @ Value::Object(_)) => Value::Array(vec![one]),
                    (_, text @ Value::String(_)) => Value::Array(vec![text]),
                    (_, kept) => kept,
                };
                (key.clone(), field)
            };
            Value::Object(fields.iter().map(inner).collect())
        }
        Value::Array(list) if list.iter().all(Value::is_string) => {
            let mut sorted = list.clone();
            sorted.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
            sorted.dedup();
            Value::Array(sorted)
        }
        Value::Array(list) => Value::Array(list.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_encoded_document_is_read_and_nonsense_is_not() {
        assert_eq!(read("%7B%22Version%22%3A%22x%22%7D"), Some(json!({"Version": "x"})));
        assert_eq!(read("{\"a\":1}"), Some(json!({"a": 1})));
        assert_eq!(read("%7B"), None);
    }

    #[test]
    fn the_same_trust_in_another_spelling_is_the_same() {
        let one = json!({"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {"AWS": ["b", "a"]}}});
        let other = json!({"Statement": [{"Effect": "Allow", "Action": ["sts:AssumeRole"],
            "Principal": {"AWS": ["a", "b"]}}]});
        assert!(same(&one, &other));
        let less = json!({"Statement": [{"Effect": "Allow", "Action": ["sts:AssumeRole"],
            "Principal": {"AWS": ["a"]}}]});
        assert!(!same(&one, &less));
    }
}
