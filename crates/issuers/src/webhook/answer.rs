//! What an endpoint answers. Anything that is not exactly an answer is nonsense, which is never taken
//! for a yes.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::call::CallKind;

/// Characters of a reason that are kept.
const LONGEST_REASON: usize = 500;

/// An unknown status is repeated where it looks like a word: anything else may be a value.
const LONGEST_STATUS: usize = 20;

/// What an endpoint says of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// `set`, `finish`, `revoke`: it is so now.
    Done,
    /// Not yet: ask again, with the same call.
    Pending,
    /// `test`: the version's value is accepted.
    Accepted,
    /// `test`: the version's value is refused. Otherwise: the endpoint will not do it.
    Refused,
}

/// An endpoint's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it says.
    pub status: Status,
    /// Why, in the owner's words: at most 500 characters, without control characters.
    pub reason: Option<String>,
}

/// What was wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// A redirect, which is never followed: the signature was meant for this endpoint.
    #[error("a redirect (HTTP {0})")]
    Redirect(u16),
    /// Another code than 200.
    #[error("HTTP {0}")]
    Code(u16),
    /// More than 64 KiB.
    #[error("more than 64 KiB")]
    TooLarge,
    /// Not JSON.
    #[error("not JSON")]
    NotJson,
    /// JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// A field twice, of which readers take one or the other.
    #[error("a field is given twice")]
    Twice,
    /// No `status`.
    #[error("status: missing")]
    NoStatus,
    /// A field is not a text.
    #[error("{0}: not a string")]
    NotAString(&'static str),
    /// A status that does not exist. Repeated where it can be no value.
    #[error("status: unknown{}", .0.as_ref().map_or_else(String::new, |word| format!(" ({word:?})")))]
    UnknownStatus(Option<String>),
    /// A status that exists, but says nothing about this call.
    #[error("status: {status:?} is no answer to {call}")]
    DoesNotFit {
        /// What was answered.
        status: String,
        /// What was asked.
        call: CallKind,
    },
}

/// The fields that are read; others are ignored, so that the format can grow.
#[derive(Deserialize)]
struct Body {
    status: Option<serde_json::Value>,
    reason: Option<serde_json::Value>,
}

/// Reads the body of an answer with code 200.
pub(super) fn answer(call: CallKind, body: &[u8]) -> Result<Answer, AnswerError> {
    let _: IgnoredAny = serde_json::from_slice(body).map_err(|_| AnswerError::NotJson)?;
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(AnswerError::NotAnObject);
    }
    let body: Body = serde_json::from_slice(body).map_err(|_| AnswerError::Twice)?;
    let status = match body.status {
        None => return Err(AnswerError::NoStatus),
        Some(serde_json::Value::String(status)) => status,
        Some(_) => return Err(AnswerError::NotAString("status")),
    };
    let reason = match body.reason {
        None => None,
        Some(serde_json::Value::String(reason)) => Some(printable(&reason, LONGEST_REASON)),
        Some(_) => return Err(AnswerError::NotAString("reason")),
    };
    Ok(Answer { status: fitting(call, &status)?, reason })
}

fn fitting(call: CallKind, text: &str) -> Result<Status, AnswerError> {
    let status = match text {
        "done" => Status::Done,
        "pending" => Status::Pending,
        "accepted" => Status::Accepted,
        "refused" => Status::Refused,
        _ => return Err(AnswerError::UnknownStatus(is_word(text).then(|| text.to_owned()))),
    };
    let fits = match status {
        Status::Done => call != CallKind::Test,
        Status::Accepted => call == CallKind::Test,
        Status::Pending | Status::Refused => true,
    };
    if fits { Ok(status) } else { Err(AnswerError::DoesNotFit { status: text.to_owned(), call }) }
}

fn is_word(text: &str) -> bool {
    let is_in_word = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_' | b' ');
    text.len() <= LONGEST_STATUS && text.bytes().all(is_in_word)
}

fn printable(text: &str, longest: usize) -> String {
    let shown = text.chars().take(longest);
    shown.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(call: CallKind, body: &str) -> Result<Status, String> {
        answer(call, body.as_bytes()).map(|a| a.status).map_err(|error| error.to_string())
    }

    #[test]
    fn each_call_has_its_answers() {
        use CallKind::{Finish, Revoke, Set, Test};
        for call in [Set, Finish, Revoke] {
            assert_eq!(read(call, r#"{"status":"done"}"#), Ok(Status::Done));
            let unfit = format!("status: \"accepted\" is no answer to {call}");
            assert_eq!(read(call, r#"{"status":"accepted"}"#), Err(unfit));
        }
        for call in [Set, Test, Finish, Revoke] {
            assert_eq!(read(call, r#"{"status":"pending"}"#), Ok(Status::Pending));
            assert_eq!(read(call, r#"{"status":"refused"}"#), Ok(Status::Refused));
        }
        assert_eq!(read(Test, r#"{"status":"accepted"}"#), Ok(Status::Accepted));
        let unfit = "status: \"done\" is no answer to test".to_owned();
        assert_eq!(read(Test, r#"{"status":"done"}"#), Err(unfit));
    }

    #[test]
    fn nonsense_is_named() {
        for (body, expected) in [
            ("", "not JSON"),
            ("ok", "not JSON"),
            (r#"{"status":"done"} x"#, "not JSON"),
            (r#"["done"]"#, "not a JSON object"),
            (r#""done""#, "not a JSON object"),
            (r#"{"status":"refused","status":"done"}"#, "a field is given twice"),
            ("{}", "status: missing"),
            (r#"{"status":null}"#, "status: missing"),
            (r#"{"status":true}"#, "status: not a string"),
            (r#"{"status":"DONE"}"#, "status: unknown (\"DONE\")"),
            (r#"{"status":"hunter2"}"#, "status: unknown"),
            (r#"{"status":"QGx1bWJlcmphY2tzQGx1bWJlcmphY2tz"}"#, "status: unknown"),
            (r#"{"status":"done","reason":7}"#, "reason: not a string"),
        ] {
            assert_eq!(read(CallKind::Set, body), Err(expected.to_owned()), "{body}");
        }
    }

    #[test]
    fn a_reason_is_cut_and_cannot_write_lines_of_its_own() {
        let body = format!(r#"{{"status":"refused","reason":"a\nb{}","more":1}}"#, "c".repeat(600));
        let reason = answer(CallKind::Set, body.as_bytes()).unwrap().reason.unwrap();
        assert!(reason.starts_with("a bccc"), "{reason}");
        assert_eq!(reason.chars().count(), 500);
    }
}
