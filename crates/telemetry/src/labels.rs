//! Label sets. A label's values come from a closed list, or from configuration and the provider's
//! own vocabulary (zones, account ids, operations, codes); never from an identity.

use prometheus_client::encoding::EncodeLabelSet;
use severance_lifecycle::ids::ZoneName;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RevokeLabels {
    pub(crate) trigger: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) zone: String,
    pub(crate) stage: &'static str,
    pub(crate) verification: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RotateLabels {
    pub(crate) trigger: &'static str,
    pub(crate) strategy: &'static str,
    pub(crate) zone: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(crate) struct ExposureLabels {
    pub(crate) zone: String,
    pub(crate) trigger: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CallLabels {
    pub(crate) account: String,
    pub(crate) operation: String,
    pub(crate) lane: &'static str,
    pub(crate) code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OperationLabels {
    pub(crate) operation: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct DecisionLabels {
    pub(crate) trigger: &'static str,
    pub(crate) decision: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ZoneLabels {
    pub(crate) zone: String,
    pub(crate) trigger: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PublishLabels {
    pub(crate) topic: &'static str,
    pub(crate) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct AccountLabels {
    pub(crate) account: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct InventoryLabels {
    pub(crate) account: String,
    pub(crate) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct DoingLabels {
    pub(crate) doing: &'static str,
}

/// Longest value that a label takes from outside.
const LONGEST: usize = 64;

/// An operation or a code as a label value. Both are words of the provider's API; anything else
/// (a message in the wrong place, an ARN) is counted as `other`, so that no label can carry it.
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '-' | '_');
    let identifies = text.starts_with("arn:") || is_key_id(text);
    if text.is_empty() || text.len() > LONGEST || !text.chars().all(plain) || identifies {
        "other".to_owned()
    } else {
        text.to_owned()
    }
}

/// AWS: IAM User Guide, "IAM identifiers", unique id prefixes: four capitals that begin with `A`,
/// then capitals and digits.
fn is_key_id(text: &str) -> bool {
    text.len() >= 16
        && text.starts_with('A')
        && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
}

/// A zone's name as a label value: names come from tags, which anyone who may tag can write.
pub(crate) fn zone(name: &ZoneName) -> String {
    word(name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_of_the_api_become_labels() {
        for word_ in ["iam:UpdateAccessKey", "AccessDenied", "ok", "partner-1", "Throttling"] {
            assert_eq!(word(word_), word_);
        }
        let long = "x".repeat(65);
        for other in ["AKIAIOSFODNN7EXAMPLE", "arn:aws:iam::1:user/a", "user bob", "", &long] {
            assert_eq!(word(other), "other", "{other}");
        }
    }
}
