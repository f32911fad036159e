//! What an endpoint is asked.

use std::fmt;

use serde::Serialize;

/// Longest id; an ARN has at most 2,048 characters.
const LONGEST: usize = 2048;

/// What an endpoint is asked to do with a version of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallKind {
    /// Accept this version's value, beside what is accepted already.
    Set,
    /// Try this version's value where it is used: is it accepted?
    Test,
    /// This version is current now. What was accepted before stays so until it is revoked.
    Finish,
    /// Never accept this version's value again, and end what it opened.
    Revoke,
}

impl fmt::Display for CallKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Set => "set",
            Self::Test => "test",
            Self::Finish => "finish",
            Self::Revoke => "revoke",
        })
    }
}

/// One call, as its body is written. Names a value and does not hold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// What to do.
    pub call: CallKind,
    /// The secret's ARN.
    pub secret: String,
    /// The version's id: the `ClientRequestToken` under which it is stored.
    pub version: String,
    /// Stays the same when the call is repeated after a failure or a crash.
    pub attempt_id: String,
}

impl Call {
    /// The same for every repetition of this call, and for no other.
    pub(super) fn idempotency_key(&self) -> String {
        format!("{}:{}:{}", self.attempt_id, self.call, self.version)
    }

    /// The field that cannot be sent: ids are visible ASCII, since they go into headers.
    pub(super) fn bad_field(&self) -> Option<&'static str> {
        [("secret", &self.secret), ("version", &self.version), ("attempt_id", &self.attempt_id)]
            .into_iter()
            .find(|(_, id)| {
                id.is_empty()
                    || id.len() > LONGEST
                    || !id.bytes().all(|byte| byte.is_ascii_graphic())
            })
            .map(|(field, _)| field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        Call {
            call: CallKind::Set,
            secret: "arn:aws:secretsmanager:eu-west-1:1:secret:a-x".to_owned(),
            version: "0d6f1b1e".to_owned(),
            attempt_id: "task-7".to_owned(),
        }
    }

    #[test]
    fn the_body_is_as_documented() {
        let expected = r#"{"call":"set","secret":"arn:aws:secretsmanager:eu-west-1:1:secret:a-x","version":"0d6f1b1e","attempt_id":"task-7"}"#;
        assert_eq!(serde_json::to_string(&call()).unwrap(), expected);
        assert_eq!(call().idempotency_key(), "task-7:set:0d6f1b1e");
    }

    #[test]
    fn an_id_that_could_be_a_header_of_its_own_is_not_sent() {
        assert_eq!(call().bad_field(), None);
        let bad = ["", "a b", "a\r\nb", "ü", &"x".repeat(2049)].map(str::to_owned);
        for id in bad {
            assert_eq!(Call { secret: id.clone(), ..call() }.bad_field(), Some("secret"));
            assert_eq!(Call { version: id.clone(), ..call() }.bad_field(), Some("version"));
            assert_eq!(Call { attempt_id: id, ..call() }.bad_field(), Some("attempt_id"));
        }
    }
}
