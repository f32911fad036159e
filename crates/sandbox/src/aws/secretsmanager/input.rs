//! The input of a JSON 1.1 call.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::aws::error::AwsError;
use crate::aws::paging::decode;
use crate::aws::state::Tags;
use crate::aws::state::secret::SecretValue;

/// AWS: Secrets Manager User Guide, "AWS Secrets Manager quotas".
const LARGEST_VALUE: usize = 65_536;
const LONGEST_DESCRIPTION: usize = 2_048;
const LONGEST_KMS_KEY: usize = 2_048;

/// A JSON object, read field by field. It may hold a secret value, so it is never shown.
#[derive(Clone, Copy)]
pub(super) struct Input<'a>(&'a Value);

impl<'a> Input<'a> {
    pub(super) fn new(value: &'a Value) -> Self {
        Self(value)
    }

    pub(super) fn get(self, field: &str) -> Option<&'a Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn text(self, field: &str) -> Result<Option<&'a str>, AwsError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(invalid(format!("{field} must be a string"))),
        }
    }

    pub(super) fn required(self, field: &str) -> Result<&'a str, AwsError> {
        let text = self.text(field)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| invalid(format!("You must provide a value for {field}")))
    }

    pub(super) fn integer(self, field: &str) -> Result<Option<i64>, AwsError> {
        let number = self.get(field).map(|value| {
            value.as_i64().ok_or_else(|| invalid(format!("{field} must be a whole number")))
        });
        number.transpose()
    }

    pub(super) fn flag(self, field: &str) -> Result<Option<bool>, AwsError> {
        let flag = self.get(field).map(|value| {
            value.as_bool().ok_or_else(|| invalid(format!("{field} must be true or false")))
        });
        flag.transpose()
    }

    pub(super) fn list(self, field: &str) -> &'a [Value] {
        self.0.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// A list of strings.
    pub(super) fn texts(self, field: &str) -> Result<Vec<&'a str>, AwsError> {
        let bad = || invalid(format!("{field} must be a list of strings"));
        self.list(field).iter().map(|it| it.as_str().ok_or_else(bad)).collect()
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

    /// `ClientRequestToken`, which becomes a version's id.
    pub(super) fn token(self) -> Result<Option<&'a str>, AwsError> {
        let token = self.text("ClientRequestToken")?;
        if token.is_some_and(|token| !(32..=64).contains(&token.len())) {
            return Err(invalid("ClientRequestToken must be 32-64 characters long."));
        }
        Ok(token)
    }

    /// `SecretString` or `SecretBinary`.
    pub(super) fn value(self) -> Result<Option<SecretValue>, AwsError> {
        let (length, value) = match (self.text("SecretString")?, self.text("SecretBinary")?) {
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "You can't specify both a binary secret value and a string secret value in the same secret.",
                ));
            }
            (Some(text), None) => (text.len(), SecretValue::Text(text.into())),
            (None, Some(binary)) => {
                let bad = |_| invalid("SecretBinary must be base64");
                let bytes = STANDARD.decode(binary).map_err(bad)?;
                (bytes.len(), SecretValue::Binary(binary.into()))
            }
            (None, None) => return Ok(None),
        };
        if length > LARGEST_VALUE {
            return Err(invalid(format!(
                "The secret value must have at most {LARGEST_VALUE} bytes"
            )));
        }
        Ok(Some(value))
    }

    pub(super) fn description(self) -> Result<Option<&'a str>, AwsError> {
        self.bounded("Description", LONGEST_DESCRIPTION)
    }

    pub(super) fn kms_key(self) -> Result<Option<&'a str>, AwsError> {
        self.bounded("KmsKeyId", LONGEST_KMS_KEY)
    }

    fn bounded(self, field: &str, longest: usize) -> Result<Option<&'a str>, AwsError> {
        let text = self.text(field)?;
        match text {
            Some(text) if text.chars().count() > longest => {
                Err(invalid(format!("{field} must have at most {longest} characters")))
            }
            _ => Ok(text),
        }
    }

    /// `MaxResults`, between 1 and `most`, which is also the default.
    pub(super) fn page_size(self, most: i64) -> Result<usize, AwsError> {
        match self.integer("MaxResults")?.unwrap_or(most) {
            size if (1..=most).contains(&size) => Ok(usize::try_from(size).unwrap_or(1)),
            _ => Err(invalid(format!("MaxResults must be between 1 and {most}"))),
        }
    }

    /// The key in `NextToken`.
    pub(super) fn after(self) -> Result<Option<String>, AwsError> {
        let bad =
            |_| AwsError::new(400, "InvalidNextTokenException", "The NextToken value is invalid.");
        self.text("NextToken")?.map(|token| decode(token).map_err(bad)).transpose()
    }

    /// The first field that is not in `known`.
    pub(super) fn unknown(self, known: &[&str]) -> Option<&'a str> {
        self.0.as_object()?.keys().map(String::as_str).find(|field| !known.contains(field))
    }
}

pub(super) fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidParameterException", message)
}
