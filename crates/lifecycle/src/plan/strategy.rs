//! A secret's strategy, read from its tags.

use std::collections::BTreeMap;

use crate::secret::Strategy;

/// Which tag keys of a secret say how it is rotated. Compared with case, as Secrets Manager does.
#[derive(Clone, Copy, Debug)]
pub struct SecretTagKeys<'a> {
    /// The strategy: `iam-access-key`, `managed`, `database`, `webhook`.
    pub strategy: &'a str,
    /// The name of the webhook.
    pub webhook: &'a str,
    /// Whether two database users take turns: `true` or `false`.
    pub alternating: &'a str,
}

impl SecretTagKeys<'_> {
    /// What the tags say. A value that is not known is told with its tag, and never guessed at.
    pub fn read(&self, tags: &BTreeMap<String, String>) -> Strategy {
        let value = |key: &str| tags.get(key).map(|value| value.trim());
        let unknown = |tag: &str, value: &str| Strategy::Unknown {
            tag: tag.to_owned(),
            value: value.to_owned(),
        };
        match value(self.strategy) {
            None => Strategy::Untold,
            Some("iam-access-key") => Strategy::IamAccessKey,
            Some("managed") => Strategy::Managed,
            Some("database") => match value(self.alternating) {
                None | Some("false") => Strategy::Database { alternating: false },
                Some("true") => Strategy::Database { alternating: true },
                Some(other) => unknown(self.alternating, other),
            },
            Some("webhook") => match value(self.webhook) {
                None | Some("") => unknown(self.webhook, ""),
                Some(name) => Strategy::Webhook { name: name.to_owned() },
            },
            Some(other) => unknown(self.strategy, other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_say_the_strategy_and_what_they_say_wrong_is_told_with_the_tag() {
        let keys = SecretTagKeys { strategy: "s", webhook: "w", alternating: "a" };
        let read = |pairs: &[(&str, &str)]| {
            keys.read(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
        };
        let unknown = |tag: &str, value: &str| Strategy::Unknown {
            tag: tag.to_owned(),
            value: value.to_owned(),
        };
        assert_eq!(read(&[]), Strategy::Untold);
        assert_eq!(read(&[("s", "iam-access-key")]), Strategy::IamAccessKey);
        assert_eq!(read(&[("s", " managed ")]), Strategy::Managed);
        assert_eq!(read(&[("s", "database")]), Strategy::Database { alternating: false });
        let turns = read(&[("s", "database"), ("a", "true")]);
        assert_eq!(turns, Strategy::Database { alternating: true });
        assert_eq!(read(&[("s", "database"), ("a", "yes")]), unknown("a", "yes"));
        let webhook = Strategy::Webhook { name: "crm".to_owned() };
        assert_eq!(read(&[("s", "webhook"), ("w", "crm")]), webhook);
        assert_eq!(read(&[("s", "webhook")]), unknown("w", ""));
        assert_eq!(read(&[("s", "Lambda")]), unknown("s", "Lambda"));
    }
}
