//! The input of a JSON 1.1 call.

use serde_json::Value;

use crate::aws::error::AwsError;
use crate::aws::state::Tags;

/// A JSON object, read field by field.
#[derive(Clone, Copy)]
pub(super) struct Input<'a>(&'a Value);

impl<'a> Input<'a> {
    pub(super) fn new(value: &'a Value) -> Self {
        Self(value)
    }

    pub(super) fn text(self, field: &str) -> Result<Option<&'a str>, AwsError> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(invalid(format!("{field} must be a string"))),
        }
    }

    pub(super) fn required(self, field: &str) -> Result<&'a str, AwsError> {
        self.text(field)?.ok_or_else(|| invalid(format!("You must provide a value for {field}")))
    }

    pub(super) fn number(self, field: &str) -> Option<u64> {
        self.0.get(field).and_then(Value::as_u64)
    }

    pub(super) fn list(self, field: &str) -> &'a [Value] {
        self.0.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub(super) fn tags(self) -> Result<Tags, AwsError> {
        self.list("Tags")
            .iter()
            .map(|tag| {
                let tag = Input(tag);
                let value = tag.text("Value")?.unwrap_or_default();
                Ok((tag.required("Key")?.to_owned(), value.to_owned()))
            })
            .collect()
    }

    /// The first field that is not in `known`.
    pub(super) fn unknown(self, known: &[&str]) -> Option<&'a str> {
        self.0.as_object()?.keys().map(String::as_str).find(|field| !known.contains(field))
    }
}

pub(super) fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidParameterException", message)
}
