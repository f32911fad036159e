//! What the adapter is configured with.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::plan::SecretTagKeys;

/// Everything that the adapter needs to know. Its TOML form is this struct; unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AwsConfig {
    /// The partition: `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
    /// Where calls that name no region go (IAM is global; STS is asked here).
    pub region: String,
    /// The accounts that are looked after.
    pub accounts: Vec<AccountConfig>,
    /// The name of the sessions that we take roles with, as CloudTrail shows it.
    pub session_name: String,
    /// Endpoints other than AWS's own.
    pub endpoints: Endpoints,
    /// How long a call may take.
    pub timeouts: Timeouts,
    /// How the secret half of an access key is found.
    pub secrets: SecretFinding,
    /// How much is asked at once.
    pub limits: Limits,
}

/// One account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountConfig {
    /// Twelve digits.
    pub id: String,
    /// The role to take there; none: the worker's own credentials are of this account.
    #[serde(default)]
    pub role_arn: Option<String>,
    /// The external id that the role's trust policy asks for.
    #[serde(default)]
    pub external_id: Option<String>,
    /// Regions whose secrets are read and whose STS endpoints answer probes: two at least, or no key
    /// can be proven dead in two places. None: the configuration's `region` alone.
    #[serde(default)]
    pub regions: Vec<String>,
}

/// Endpoints other than AWS's own: for tests, emulators and VPC endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Endpoints {
    /// IAM.
    pub iam: Option<String>,
    /// STS.
    pub sts: Option<String>,
    /// Secrets Manager.
    pub secretsmanager: Option<String>,
    /// STS as probes reach it, by region; `sts` where a region has none of its own.
    pub probes: BTreeMap<String, String>,
}

/// Bounds in time. The SDK's defaults bound the connect alone: a server that accepts and never answers
/// would hang a call for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// To connect.
    #[serde(with = "duration")]
    pub connect: Duration,
    /// For one attempt, and so for a call: none is tried twice.
    #[serde(with = "duration")]
    pub attempt: Duration,
    /// For a call with everything before it (taking the account's role).
    #[serde(with = "duration")]
    pub operation: Duration,
}

/// How the secret half of an access key is found among an account's secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretFinding {
    /// Whether secrets are looked at at all. Without, every verification is `control-plane`.
    pub enabled: bool,
    /// The tag whose value is the id of the key that the secret holds (or several, with spaces).
    pub key_id_tag: String,
    /// The tag that says that a secret holds an access key whose id stands in its JSON alone.
    pub holds_tag: String,
    /// The value of that tag.
    pub holds_value: String,
    /// The tag whose value names the login that the secret holds, where its JSON does not or is not to be
    /// read: two secrets of the same value share one login.
    pub login_tag: String,
    /// The tag that says how the secret is rotated: `iam-access-key`, `managed`, `database`, `webhook`.
    pub strategy_tag: String,
    /// The tag that names the webhook.
    pub webhook_tag: String,
    /// The tag that says whether two database users take turns: `true` or `false`.
    pub alternating_tag: String,
    /// Pairs of JSON fields: the key's id and its secret half. The first pair that is there counts.
    pub fields: Vec<FieldPair>,
}

/// Names of the JSON fields of an access key in a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldPair {
    /// The field of the key's id.
    pub id: String,
    /// The field of its secret half.
    pub secret: String,
}

/// Bounds in number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Pages of one listing. One that is longer is a failure, never a part taken for the whole.
    pub pages: usize,
    /// Users or roles whose details are asked for at the same time in one look or one inventory page.
    pub concurrency: usize,
    /// Secrets that one refresh may read for the key ids in their JSON.
    pub secret_reads: usize,
    /// Whether the inventory counts every kind of credential (four more calls a user), or access keys
    /// alone. Planning counts by it for the blast radius.
    pub count_every_credential: bool,
}

impl Default for AwsConfig {
    fn default() -> Self {
        Self {
            partition: "aws".into(),
            region: "us-east-1".into(),
            accounts: Vec::new(),
            session_name: "severance".into(),
            endpoints: Endpoints::default(),
            timeouts: Timeouts::default(),
            secrets: SecretFinding::default(),
            limits: Limits::default(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            attempt: Duration::from_secs(10),
            operation: Duration::from_secs(15),
        }
    }
}

impl Default for SecretFinding {
    fn default() -> Self {
        let pair = |id: &str, secret: &str| FieldPair { id: id.into(), secret: secret.into() };
        Self {
            enabled: true,
            key_id_tag: "severance:access-key-id".into(),
            holds_tag: "severance:holds".into(),
            holds_value: "access-key".into(),
            login_tag: "severance:login".into(),
            strategy_tag: "severance:strategy".into(),
            webhook_tag: "severance:webhook".into(),
            alternating_tag: "severance:alternating".into(),
            fields: vec![
                pair("access_key_id", "secret_access_key"),
                pair("aws_access_key_id", "aws_secret_access_key"),
                pair("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
                pair("accessKeyId", "secretAccessKey"),
                pair("AccessKeyId", "SecretAccessKey"),
            ],
        }
    }
}

impl SecretFinding {
    pub(crate) fn strategy_keys(&self) -> SecretTagKeys<'_> {
        SecretTagKeys {
            strategy: &self.strategy_tag,
            webhook: &self.webhook_tag,
            alternating: &self.alternating_tag,
        }
    }

    fn problems(&self) -> Vec<String> {
        let tags = [
            ("key_id_tag", &self.key_id_tag),
            ("holds_tag", &self.holds_tag),
            ("login_tag", &self.login_tag),
            ("strategy_tag", &self.strategy_tag),
            ("webhook_tag", &self.webhook_tag),
            ("alternating_tag", &self.alternating_tag),
        ];
        let wrong = tags.iter().enumerate().filter_map(|(place, (name, tag))| {
            let twice = tags[..place].iter().any(|(_, other)| other == tag);
            match (tag.is_empty(), twice) {
                (true, _) => Some(format!("aws.secrets.{name} is empty")),
                (_, true) => {
                    Some(format!("aws.secrets.{name} is the same tag as another one here"))
                }
                _ => None,
            }
        });
        wrong.collect()
    }
}

impl Default for Limits {
    fn default() -> Self {
        // 1,000 pages of 100 are ten times the users that AWS allows an account by default.
        Self { pages: 1_000, concurrency: 8, secret_reads: 1_000, count_every_credential: true }
    }
}

impl AwsConfig {
    /// The account of that id, where it is configured.
    pub fn account(&self, id: &AccountId) -> Option<&AccountConfig> {
        self.accounts.iter().find(|account| account.id == id.0)
    }

    /// What is wrong with it, in words that name the key; empty where nothing is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.accounts.is_empty() {
            problems.push("aws.accounts is empty: no account to look after".to_owned());
        }
        for (place, account) in self.accounts.iter().enumerate() {
            if account.id.len() != 12 || !account.id.bytes().all(|b| b.is_ascii_digit()) {
                problems.push(format!("aws.accounts[{place}].id is not twelve digits"));
            }
            if self.accounts[..place].iter().any(|other| other.id == account.id) {
                problems.push(format!("aws.accounts[{place}].id is there twice"));
            }
            if let Some(role) = &account.role_arn {
                let prefix = format!("arn:{}:iam::{}:role/", self.partition, account.id);
                if !role.starts_with(&prefix) {
                    problems.push(format!("aws.accounts[{place}].role_arn is not {prefix}…"));
                }
            }
        }
        problems.extend(self.secrets.problems());
        if self.limits.concurrency == 0 || self.limits.pages == 0 {
            problems.push("aws.limits: concurrency and pages must be at least 1".to_owned());
        }
        problems
    }

    /// The regions of an account, never empty.
    pub(crate) fn regions(&self, account: &AccountConfig) -> Vec<String> {
        if account.regions.is_empty() { vec![self.region.clone()] } else { account.regions.clone() }
    }
}

/// Durations as people write them: `3s`, `500ms`.
mod duration {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(*value))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        humantime::parse_duration(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_name_the_key_that_is_wrong() {
        let mut config = AwsConfig::default();
        assert_eq!(config.problems().len(), 1);
        let account = |id: &str, role: Option<&str>| AccountConfig {
            id: id.into(),
            role_arn: role.map(str::to_owned),
            ..AccountConfig::default()
        };
        config.accounts = vec![
            account("111122223333", Some("arn:aws:iam::999988887777:role/severance")),
            account("12", None),
            account("111122223333", None),
        ];
        let problems = config.problems();
        assert!(problems[0].contains("accounts[0].role_arn"), "{problems:?}");
        assert!(problems[1].contains("accounts[1].id"), "{problems:?}");
        assert!(problems[2].contains("twice"), "{problems:?}");
    }

    #[test]
    fn durations_are_written_as_people_write_them_and_unknown_keys_are_errors() {
        let config: AwsConfig =
            serde_json::from_str(r#"{"timeouts":{"connect":"500ms"}}"#).unwrap();
        assert_eq!(config.timeouts.connect, Duration::from_millis(500));
        assert_eq!(config.timeouts.attempt, Duration::from_secs(10));
        assert!(serde_json::from_str::<AwsConfig>(r#"{"timeout":{}}"#).is_err());
    }
}
